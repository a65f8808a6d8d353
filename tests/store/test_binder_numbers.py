"""Which 700 number a binding may have: cool-down, strangers, and what the pools pick."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.problems import Problem, ProblemCode
from tests.store.bound import A, B, C, X
from tests.store.conftest import INVENTORY
from tests.store.shop import DAY_S, Shop, open_shop

Y = "700123456780002"
KILL = "INSERT INTO restriction VALUES ({}, 'killed', 0, '', '')"
ORDER = "INSERT INTO service_order VALUES ('bu-express', 'order-1', '', 'forged', 1, NULL, '')"
D, E, F = "13600136000", "13500135000", "13400134000"


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        yield shop


@pytest.mark.parametrize(
    ("pair", "refusal"),
    [
        ((A, B), ""), ((B, A), ""),  # the same pair may have it back
        ((A, C), "NUMBER_COOLING"), ((C, A), "NUMBER_COOLING"), ((C, B), "NUMBER_COOLING"), ((B, C), "NUMBER_COOLING"),
        ((C, D), ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["unbound", "expired", "in force"])
def test_x_cools_down(shop: Shop, pair: tuple[str, str], refusal: str, how: str) -> None:
    first = shop.bind()
    if how == "unbound":
        ended = shop.do(lambda: shop.binder.unbind(first.subs_id, shop.now))
        assert ended.cool_until == round(shop.now + DAY_S, 3)
    elif how == "expired":
        shop.now += 7 * DAY_S
    else:
        refusal = "" if set(pair).isdisjoint((A, B)) else "BIND_CONFLICT"
    found = shop.refused(tel_a=pair[0], tel_b=pair[1])
    assert found.startswith(refusal) if refusal else found == ""
    if how != "in force" and refusal:
        shop.now += DAY_S
        assert shop.refused(tel_a=pair[0], tel_b=pair[1]) == ""


def test_y_cools_down_as_x_does_and_so_do_the_members_of_a_group(shop: Shop) -> None:
    shop.group(A, C)
    bound = shop.bind(mode="GXYB", group_id="g-1", tel_y=Y)
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
    for number in (X, Y):
        assert shop.refused(tel_x=number, tel_a=C, tel_b=D).startswith("NUMBER_COOLING")
        assert shop.refused(tel_x=number, tel_a=B, tel_b=D).startswith("NUMBER_COOLING")
    assert shop.refused(tel_x=X, tel_a=C, tel_b=B).startswith("NUMBER_COOLING"), "A may still call B"
    assert shop.refused(mode="GXYB", group_id="g-1", tel_y=Y) == ""


def test_who_was_in_the_group_counts_until_then(shop: Shop) -> None:
    shop.group(A, C)
    bound = shop.bind(mode="GXB", group_id="g-1")
    shop.now += 10.0
    shop.do(lambda: shop.groups().edit("g-1", "remove", [C], shop.now))
    assert shop.refused(tel_a=C, tel_b=D).startswith("BIND_CONFLICT"), "its binding is in force"
    shop.now += 10.0
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
    shop.now += 10.0
    shop.do(lambda: shop.groups().edit("g-1", "add", [E], shop.now))
    assert shop.refused(tel_a=C, tel_b=D).startswith("NUMBER_COOLING")
    assert shop.refused(tel_a=E, tel_b=D) == "", "who came later has nothing to do with X"


def test_a_stranger_that_has_called_x_counts_while_x_has_old_parties(shop: Shop, data_dir: Path) -> None:
    call_by_stranger(shop, data_dir, C)
    assert shop.refused(tel_a=C, tel_b=D) == "", "X was nobody's: the call was meant for nobody"
    shop.run("DELETE FROM target")
    shop.now += 10 * DAY_S
    call_by_stranger(shop, data_dir, C)
    first = shop.bind()
    shop.do(lambda: shop.binder.unbind(first.subs_id, shop.now))
    assert shop.refused(tel_a=E, tel_b=C).startswith(f"NUMBER_COOLING tel_x: {X} was called by 137****7000")
    assert shop.refused(tel_a=E, tel_b=F) == ""


def call_by_stranger(shop: Shop, data_dir: Path, caller: str) -> None:
    from engine.store.database import RECORDS, open_database

    records = open_database(data_dir / "records.db", RECORDS, shop.cipher)
    row = (X, shop.cipher.encrypt(caller, "cdr.caller"), shop.now - 60)
    records.execute("INSERT OR REPLACE INTO stranger VALUES (?, ?, ?)", row)
    records.close()


def test_a_conflict_names_the_other_binding(shop: Shop) -> None:
    first = shop.bind()
    with pytest.raises(Problem) as caught:
        shop.bind(tel_b=C)
    assert caught.value.code is ProblemCode.BIND_CONFLICT
    assert str(caught.value) == f"tel_x: {X} is already bound for 138****8000, by {first.subs_id}"


def test_a_number_is_picked(shop: Shop) -> None:
    """All that a business user has, and never one twice for the same parties."""
    picked = [shop.bind(tel_x="", tel_b=f"139001{number:05d}").tel_x for number in range(60)]
    assert len(set(picked)) == 60
    assert {number[:11] for number in picked} == {"70012345678", "70013800138"}
    bound = shop.bind(mode="AXYB", tel_x="", tel_y="", pool_key="any")
    assert bound.tel_x != bound.tel_y
    assert {bound.tel_x[:11], bound.tel_y[:11]} == {"70012345678"}


def test_no_number_is_left(shop: Shop) -> None:
    """9,998 are locked, one is A's already, and the last is given."""
    shop.run("INSERT INTO restriction WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
             " SELECT 'number', printf('70012345678%04d', i), 'locked', 0, '', '' FROM n")  # fmt: skip
    shop.bind(tel_x="700123456780000")
    assert shop.bind(tel_x="", tel_b=C, pool_key="any").tel_x == "700123456780001"
    assert shop.refused(tel_x="", tel_b=D, pool_key="any").startswith("NO_AVAILABLE_NUMBER tel_x: pool any has no")
    assert shop.bind(tel_x="", tel_a=D, tel_b=E, pool_key="any").tel_x in ("700123456780000", "700123456780001")
    shop.run("UPDATE number_block SET state = 'recalling'")
    assert shop.refused(tel_x="", pool_key="any") == "NO_AVAILABLE_NUMBER tel_x: pool any has no block that numbers" \
        " can be taken from"  # fmt: skip


def test_sticky(shop: Shop) -> None:
    first = shop.bind(tel_x="", pool_key="same")
    shop.do(lambda: shop.binder.unbind(first.subs_id, shop.now))
    other = shop.bind(tel_x="", pool_key="same", tel_b=C)
    assert other.tel_x != first.tel_x, "it has to cool down for A with another B"
    assert shop.bind(tel_x="", pool_key="same").tel_x == first.tel_x
    shop.do(lambda: shop.binder.unbind(other.subs_id, shop.now))
    shop.now += 3600.0
    assert shop.bind(tel_x="", pool_key="same", tel_b=D).tel_x == other.tel_x


def test_least_recently_used(shop: Shop) -> None:
    picked = []
    for number in range(4):
        shop.now += 1.0
        picked.append(shop.bind(tel_x="", pool_key="oldest", tel_a=f"138000000{number:02d}", tel_b=C).tel_x)
    assert picked == [f"70012345678000{number}" for number in range(4)]
    shop.run("UPDATE x_use SET used_at = ? WHERE used_at = 0", shop.now + 1.0)
    shop.now += 2.0
    assert shop.bind(tel_x="", pool_key="oldest", tel_a=D, tel_b=E).tel_x == picked[0]
