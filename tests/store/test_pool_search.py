"""No pool says that it has no number while it has one: what is picked against a try of each of its numbers by name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.problems import Problem, ProblemCode
from engine.store.binder import Binder, Bound
from engine.store.bulk_binder import BulkBinder
from engine.store.database import RECORDS, open_database
from engine.store.number_memory import RecentCallers
from tests.store.bound import A, B
from tests.store.conftest import INVENTORY, NOW
from tests.store.shop import DAY_S, Shop, open_shop, working_shop

BLOCK = "70012345678"
LEFT = tuple(f"{BLOCK}{place:04d}" for place in (0, 17, 4711, 9999))  # all others of the block are locked
PEOPLE = tuple(f"1380013800{number}" for number in range(5))
POOLS = st.sampled_from(["any", "same", "oldest"])
TWO = st.permutations(PEOPLE).map(lambda people: people[:2])
LOCK = (
    "INSERT INTO restriction WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
    " SELECT 'number', printf('%s%04d', ?, i), 'locked', 0, '', '' FROM n"
)


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        yield shop


def lock_all_but(shop: Shop, prefix: str, *left: str) -> None:
    shop.run(LOCK, prefix)
    for number in left:
        shop.run("DELETE FROM restriction WHERE id = ?", number)


EVENTS = st.one_of(
    st.tuples(st.just("bind"), TWO, st.sampled_from(LEFT), st.sampled_from(LEFT), st.sampled_from(["AXB", "AXYB"])),
    st.tuples(st.just("group"), TWO, st.sampled_from(LEFT), st.lists(st.sampled_from(PEOPLE), min_size=1, unique=True)),
    st.tuples(st.just("unbind"), st.integers(0, 20)),
    st.tuples(st.just("call"), st.sampled_from(PEOPLE), st.sampled_from(LEFT)),
    st.tuples(st.just("lock"), st.sampled_from(LEFT)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 1800.0, 3600.0, DAY_S])),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(EVENTS, max_size=25), TWO, POOLS, st.booleans())
def test_a_number_is_picked_if_and_only_if_one_would_be_given_by_name(
    events: list[tuple[object, ...]], pair: list[str], pool: str, by_group: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, open_shop(Path(folder) / "var", INVENTORY, NOW) as shop:
        lock_all_but(shop, BLOCK, *LEFT)
        with closing(open_database(Path(folder) / "var" / "records.db", RECORDS, shop.cipher)) as records:
            _live(shop, records, events)
        wish = {"tel_a": pair[0], "tel_b": pair[1], "pool_key": pool}
        if by_group:
            shop.group(pair[0], PEOPLE[-1] if pair[1] != PEOPLE[-1] else PEOPLE[0], group_id="wish")
            wish |= {"mode": "GXB", "group_id": "wish", "tel_a": ""}
        possible = {x for x in LEFT if _tried(shop, wish | {"tel_x": x}) is not None}
        for one_by_one_in_bulk in (False, True):
            picked = _tried(shop, wish | {"tel_x": ""}, one_by_one_in_bulk)
            assert picked in possible if possible else picked is None


def _live(shop: Shop, records: object, events: list[tuple[object, ...]]) -> None:
    made: list[str] = []
    for kind, *rest in events:
        try:
            if kind == "bind":
                (a, b), x, y, mode = rest
                made.append(shop.bind(tel_a=a, tel_b=b, tel_x=x, tel_y=y if mode == "AXYB" else "", mode=mode).subs_id)
            elif kind == "group":
                (_, b), x, members = rest
                group = shop.group(*members, group_id=f"g-{len(made)}-{shop.random.random()}")
                made.append(shop.bind(mode="GXB", group_id=group, tel_b=b, tel_x=x).subs_id)
            elif kind == "unbind" and made:
                subs_id = made[rest[0] % len(made)]
                shop.do(lambda subs_id=subs_id: shop.binder.unbind(subs_id, shop.now))
            elif kind == "call":
                row = (rest[1], shop.cipher.encrypt(rest[0], "cdr.caller"), shop.now)
                records.execute("INSERT OR REPLACE INTO stranger VALUES (?, ?, ?)", row)
            elif kind == "lock":
                shop.run("INSERT OR IGNORE INTO restriction VALUES ('number', ?, 'locked', 0, '', '')", rest[0])
            elif kind == "wait":
                shop.now = round(shop.now + rest[0], 3)
        except Problem:
            pass


def _tried(shop: Shop, wish: dict[str, str], in_bulk: bool = False) -> str | None:
    """The number that is given, None when none is; nothing of it stays."""
    shop.connection.execute("BEGIN IMMEDIATE")
    try:
        request = shop.ask(**wish)
        if not in_bulk:
            return shop.binder.bind(request, shop.now).tel_x
        recent = RecentCallers(Path(shop.run("PRAGMA database_list")[0][2]).parent / "records.db", shop.cipher)
        with closing(recent):
            binder = BulkBinder(shop.connection, shop.cipher, recent, shop.random.randrange, shop.now)
            binder.add(1, request)
            ((_, result),) = binder.flush()
        return result.tel_x if isinstance(result, Bound) else None
    except Problem:
        return None
    finally:
        shop.connection.execute("ROLLBACK")


BLOCKS = tuple(f"7005555{place:04d}" for place in range(12))
ONLY = f"{BLOCKS[7]}1234"


@pytest.fixture(scope="module")
def known_to_a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which A has all numbers of the twelve blocks but one; it is copied, not worked on."""
    folder = tmp_path_factory.mktemp("known") / "var"
    with open_shop(folder, INVENTORY, NOW) as shop:
        _stock(shop, "random")
        _bind_all_to_a(shop, *BLOCKS)
    return folder


@pytest.mark.parametrize("choice", ["random", "least_recently_used"])
def test_the_only_number_of_twelve_blocks_that_a_does_not_know_is_found(
    known_to_a: Path, tmp_path: Path, choice: str
) -> None:
    folder = shutil.copytree(known_to_a, tmp_path / "var")
    with working_shop(folder, NOW) as shop:
        shop.run("UPDATE number_pool SET choice = ? WHERE key = 'twelve'", choice)
        _finds_the_only_one(shop)


def test_the_only_number_of_twelve_blocks_that_is_not_locked_is_found(shop: Shop) -> None:
    _stock(shop, "random")
    for prefix in BLOCKS:
        lock_all_but(shop, prefix, ONLY)
    _finds_the_only_one(shop)


def _finds_the_only_one(shop: Shop) -> None:
    behind_it = 7 * 10_000 + 1235  # from there on it is the last that is looked at
    shop.binder = Binder(shop.connection, shop.cipher, None, lambda total: behind_it)
    assert shop.bind(tel_x="", pool_key="twelve").tel_x == ONLY
    shop.run("INSERT INTO restriction VALUES ('number', ?, 'frozen', 0, '', '')", ONLY)
    with pytest.raises(Problem) as none_left:  # `refused` would dump 120,000 rows, twice
        shop.bind(tel_x="", pool_key="twelve")
    assert none_left.value.code is ProblemCode.NO_AVAILABLE_NUMBER


def _stock(shop: Shop, choice: str) -> None:
    for prefix in BLOCKS:
        shop.run("INSERT INTO number_block (prefix, operator, app_platform, business_user, certificate_no, state)"
                 " VALUES (?, 'op', 'ap-demo', 'bu-express', 'c', 'assigned')", prefix)  # fmt: skip
    shop.run(
        "INSERT INTO number_pool VALUES ('twelve', 'ap-demo', 'bu-express', 'active', ?, 'last_caller', 3600)", choice
    )
    for prefix in BLOCKS:
        shop.run("INSERT INTO pool_block VALUES ('twelve', ?)", prefix)


def _bind_all_to_a(shop: Shop, *prefixes: str) -> None:
    """A has each number but one, with somebody else each time."""
    a, b = shop.cipher.encrypt(A, "binding.tel_a"), shop.cipher.encrypt(PEOPLE[1], "binding.tel_b")
    numbers = (f"{prefix}{place:04d}" for prefix in prefixes for place in range(10_000))
    rows = [(f"s-{x}", x, a, b, shop.now + DAY_S, shop.now - 60) for x in numbers if x != ONLY]
    shop.connection.execute("BEGIN")
    shop.connection.executemany(
        "INSERT INTO binding (subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user,"
        " app_platform, order_id, scenario, expires_at, valid_from, key_id)"
        " VALUES (?, 1, 'AXB', ?, '', ?, ?, '', 'bu-express', 'ap-demo', 'o', 'express', ?, ?, 'k')",
        rows,
    )
    shop.connection.execute("COMMIT")


def test_where_all_numbers_are_shared_no_more_than_the_draws_are_counted(shop: Shop) -> None:
    """A pool that is used up is the usual one: there a bind must not go through all of it."""
    _bind_all_to_a(shop, BLOCK)
    looked_at: list[str] = []
    shop.connection.set_trace_callback(lambda sql: looked_at.append(sql) if "tel_x = '" in sql else None)
    shop.bind(tel_x="", tel_a=PEOPLE[2], tel_b=PEOPLE[3], pool_key="any")
    shop.connection.set_trace_callback(None)
    assert 0 < len(looked_at) <= 33


def test_a_number_is_picked_again_in_the_moment_in_which_it_is_cold(shop: Shop) -> None:
    lock_all_but(shop, BLOCK, LEFT[1])
    first = shop.bind(tel_x="", pool_key="any", tel_b=PEOPLE[1])
    shop.do(lambda: shop.binder.unbind(first.subs_id, shop.now))
    shop.now = round(shop.now + 3599.999, 3)
    assert shop.refused(tel_x="", pool_key="any").startswith("NO_AVAILABLE_NUMBER")
    shop.now = round(shop.now + 0.001, 3)
    assert shop.bind(tel_x="", pool_key="any").tel_x == first.tel_x


@pytest.mark.parametrize("pair", [(A, B), (B, A)])
def test_the_same_pair_is_picked_its_number_again_before_it_is_cold(shop: Shop, pair: tuple[str, str]) -> None:
    lock_all_but(shop, BLOCK, LEFT[1])
    first = shop.bind(tel_x="", pool_key="any")
    shop.do(lambda: shop.binder.unbind(first.subs_id, shop.now))
    assert shop.refused(tel_x="", pool_key="any", tel_b=PEOPLE[1]).startswith("NO_AVAILABLE_NUMBER")
    assert shop.bind(tel_x="", pool_key="any", tel_a=pair[0], tel_b=pair[1]).tel_x == first.tel_x
