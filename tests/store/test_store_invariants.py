"""inventory verify on a store: a clean one has no finding, and each seeded violation is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.domain.spells import Finding
from engine.store import number_pages
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import BINDINGS, open_database
from engine.store.invariants import BindingInvariants
from engine.store.inventory import apply_inventory, read_inventory
from tests.store.conftest import INVENTORY, NOW

BLOCK = "70012345678"
OTHER_BLOCK = "70013800138"
DAY_S = 86_400.0


COMMON = (
    "subs_id", "version", "mode", "tel_y", "app_platform", "business_user", "order_id", "scenario", "expires_at",
    "key_id",
)  # fmt: skip


@dataclass
class Book:
    """bindings.db, and bindings written into it as no gate would have."""

    connection: sqlite3.Connection
    cipher: NumberCipher
    made: Iterator[int] = field(default_factory=lambda: count(1))

    def bind(self, x: str, tel_a: str, tel_b: str, /, **changes: object) -> str:
        """One version of a binding with its targets; what is in force at NOW."""
        subs_id = str(changes.pop("subs_id", f"s{next(self.made)}"))
        row: dict[str, object] = {
            "subs_id": subs_id, "version": 1, "mode": "AXB", "tel_x": x, "tel_y": "",
            "tel_a": self.cipher.encrypt(tel_a, "binding.tel_a"), "tel_b": self.cipher.encrypt(tel_b, "binding.tel_b"),
            "group_id": "", "business_user": "bu-express", "app_platform": "ap-demo", "order_id": "o",
            "scenario": "express", "expires_at": NOW + 3600, "valid_from": NOW - 3600, "valid_to": None,
            "key_id": self.cipher.key_id,
        } | changes  # fmt: skip
        names = ", ".join(row)
        self.connection.execute(f"INSERT INTO binding ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
        if row["valid_to"] is None and float(str(row["expires_at"])) > NOW:
            y = str(row["tel_y"])
            self.target(row, y or x, tel_a, tel_b, x)
            self.target(row, x, tel_b, tel_a, y or x)
        return subs_id

    def target(self, row: dict[str, object], x: str, caller: str, callee: str, presented: str) -> None:
        self.connection.execute(
            "INSERT INTO target (x, caller, callee, presented, subs_id, version, mode, tel_y, app_platform,"
            " business_user, order_id, scenario, expires_at, key_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (x, self.cipher.encrypt(caller, "target.caller"), self.cipher.encrypt(callee, "target.callee"), presented,
             *(row[name] for name in COMMON)),
        )  # fmt: skip

    def do(self, sql: str, *parameters: object) -> None:
        self.connection.execute(sql, parameters)

    def findings(self) -> list[Finding]:
        return list(BindingInvariants(self.connection, self.cipher, NOW).findings())


@contextmanager
def open_book(folder: Path) -> Iterator[Book]:
    data_dir = folder / "var"
    cipher = open_key(data_dir)
    inventory = folder / "inventory.toml"
    inventory.write_text(INVENTORY)
    path = data_dir / "bindings.db"
    apply_inventory(path, cipher, read_inventory(inventory), wall_s=NOW - 90 * DAY_S)
    connection = open_database(path, BINDINGS, cipher)
    connection.execute("UPDATE meta SET value = '0' WHERE name = 'gates_since'")
    try:
        yield Book(connection, cipher)
    finally:
        connection.close()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with open_book(tmp_path) as book:
        yield book


def number(at: int) -> str:
    return f"{BLOCK}{at:04d}"


def mobile(at: int) -> str:
    return f"138{at:08d}"


A, B, C = mobile(1), mobile(2), mobile(3)
X, Y = number(9001), number(9002)


def two_at_once(book: Book) -> None:
    book.bind(X, A, B, valid_to=NOW - 10)
    book.bind(X, C, A, valid_from=NOW - 20, valid_to=NOW - 5)


def lost_target(book: Book) -> None:
    book.bind(X, A, B)
    book.do("DELETE FROM target WHERE x = ? AND caller = ?", X, book.cipher.encrypt(A, "target.caller"))


def stray_target(book: Book) -> None:
    subs_id = book.bind(X, A, B)
    book.do("UPDATE binding SET valid_to = ? WHERE subs_id = ?", NOW - 10, subs_id)


def wrong_callee(book: Book) -> None:
    book.bind(X, A, B)
    values = (book.cipher.encrypt(C, "target.callee"), X, book.cipher.encrypt(A, "target.caller"))
    book.do("UPDATE target SET callee = ? WHERE x = ? AND caller = ?", *values)


def wrong_presented(book: Book) -> None:
    book.bind(X, A, B, mode="AXYB", tel_y=Y)
    book.do("UPDATE target SET presented = ? WHERE x = ?", X, X)


def one_number_twice(book: Book) -> None:
    book.bind(X, A, B, mode="AXYB", tel_y=X)


def foreign_y(book: Book) -> None:
    book.bind(X, A, B, mode="AXYB", tel_y="700999999990001")


def foreign_x(book: Book) -> None:
    book.bind("700999999990001", A, B)


def other_users_block(book: Book) -> None:
    book.bind(X, A, B, business_user="bu-other")
    book.do("INSERT INTO contract (id, app_platform, business_user, from_day, to_day) VALUES"
            " ('c-2', 'ap-demo', 'bu-other', '2026-01-01', '2036-12-31')")  # fmt: skip


def block_of_two(book: Book) -> None:
    book.do("INSERT INTO assignment (prefix, app_platform, business_user, from_at, until_at)"
            " VALUES (?, 'ap-demo', 'bu-other', ?, ?)", BLOCK, NOW - 100, NOW)  # fmt: skip


def block_beside_the_register(book: Book) -> None:
    book.do("UPDATE number_block SET business_user = 'bu-other' WHERE prefix = ?", OTHER_BLOCK)


def too_short(book: Book) -> None:
    book.bind(X, A, B, valid_from=NOW - 3600, expires_at=NOW - 3600 + 60)


def too_long_for_its_scenario(book: Book) -> None:
    book.bind(X, A, B, expires_at=NOW - 3600 + 2_592_001)


def too_long_for_its_contract(book: Book) -> None:
    book.do("UPDATE contract SET to_day = '2026-11-24'")
    book.bind(X, A, B, expires_at=1_795_536_000.1)  # 2026-11-25 in China has just begun


def without_contract(book: Book) -> None:
    book.do("DELETE FROM contract")
    book.bind(X, A, B)


def warm_number(book: Book) -> None:
    book.bind(X, A, B, valid_from=NOW - 9000, valid_to=NOW - 8000)
    book.bind(X, C, B, valid_from=NOW - 8000 + DAY_S / 20)


def group_of(book: Book, *members: tuple[str, float]) -> None:
    """Group "g", and who is in it since when."""
    book.do("INSERT INTO number_group VALUES ('g', 'ap-demo', 'bu-express', 'g', 'active', 1)")
    for at, (one, since) in enumerate(members):
        row = ("g", at, book.cipher.encrypt(one, "group_member.member"), since, book.cipher.key_id)
        book.do("INSERT INTO group_member (group_id, position, member, since_at, key_id) VALUES (?, ?, ?, ?, ?)", *row)


def joins_an_x_that_is_warm(book: Book) -> None:
    """C has had X with somebody else, and comes into a group that has it."""
    group_of(book, (A, NOW - 20_000), (C, NOW - 7000))
    group = {"mode": "GXB", "tel_a": None, "group_id": "g"}
    book.bind(X, C, mobile(7), valid_from=NOW - 9000, valid_to=NOW - 8000)
    book.bind(X, A, B, valid_from=NOW - 9500, expires_at=NOW - 60, **group)


def joins_an_x_that_it_has(book: Book) -> None:
    """Through Y it calls another party, so that the callers of X differ; to B it is shown by the same number."""
    group_of(book, (A, NOW - 20_000), (C, NOW - 7000))
    book.bind(X, C, mobile(7), mode="AXYB", tel_y=Y, valid_from=NOW - 9000, expires_at=NOW - 60)
    group = {"mode": "GXYB", "tel_y": number(9003), "tel_a": None, "group_id": "g"}
    book.bind(X, A, B, valid_from=NOW - 9500, expires_at=NOW - 60, **group)


def joins_as_a_caller(book: Book) -> None:
    group_of(book, (A, NOW - 20_000), (C, NOW - 7000))
    book.bind(X, C, mobile(7), valid_from=NOW - 9000, expires_at=NOW - 60)
    book.bind(X, A, B, valid_from=NOW - 9500, expires_at=NOW - 60, mode="GXB", tel_a=None, group_id="g")


def bound_while_leaving(book: Book) -> None:
    leave(book, "2026-11-24T00:00:00.000Z")
    book.bind(X, A, B, valid_from=NOW - 60)


def renewed_while_leaving(book: Book) -> None:
    leave(book, "2026-11-24T00:00:00.000Z")
    subs_id = book.bind(X, A, B, valid_from=NOW - DAY_S, valid_to=NOW - 60, expires_at=NOW + 60)
    book.bind(X, A, B, subs_id=subs_id, version=2, valid_from=NOW - 60, expires_at=NOW + 120)


def leave(book: Book, at: str) -> None:
    book.do("INSERT INTO transition (kind, entity, from_state, to_state, at, actor, reason)"
            " VALUES ('app_platform', 'ap-demo', 'active', 'winding_down', ?, 'ops', '')", at)  # fmt: skip


def answered_with_nothing(book: Book) -> None:
    book.do("INSERT INTO api_request VALUES ('ap-demo', 'r-1', x'', 201, '{\"subs_id\": \"gone\"}', 0)")


def answered_with_anothers(book: Book) -> None:
    subs_id = book.bind(X, A, B)
    book.do("INSERT INTO app_platform (id, name, licence_no, approval_no, state) VALUES ('ap-2', '', '', '', 'active')")
    book.do("INSERT INTO api_request VALUES ('ap-2', 'r-1', x'', 201, ?, 0)", f'{{"subs_id": "{subs_id}"}}')


SEEDS: list[tuple[Callable[[Book], None], str, str]] = [
    (two_at_once, "I1", "has two targets for one caller: "),
    (lost_target, "I1", "has no target for a party of "),
    (stray_target, "I1", "that no binding in force asks for"),
    (wrong_callee, "I1", "that differs from its binding"),
    (wrong_presented, "I7", f"{X} shows {X} for "),
    (one_number_twice, "I2", "has one number as X and Y"),
    (foreign_y, "I2", "700999999990001 lay in no block of bu-express"),
    (foreign_x, "I3", "700999999990001 lay in no block of bu-express"),
    (other_users_block, "I3", f"{X} lay in no block of bu-other"),
    (block_of_two, "I3", f"block {BLOCK} was bu-express and bu-other at the same time"),
    (block_beside_the_register, "I3", f"block {OTHER_BLOCK} is bu-express in the register only"),
    (too_short, "I4", "expires within 60 s of its beginning"),
    (too_long_for_its_scenario, "I4", "lives longer than scenario express allows"),
    (too_long_for_its_contract, "I4", "lives longer than any contract that was in force"),
    (without_contract, "I4", "lives longer than any contract that was in force"),
    (warm_number, "I5", f"{X} was given to "),
    (joins_an_x_that_is_warm, "I5", f"{X} was given to s2 version 1 before it had cooled down from s1 version 1"),
    (joins_an_x_that_it_has, "I5", f"{X} was given to s2 version 1 while s1 version 1 was in force"),
    (joins_as_a_caller, "I1", f"{X} has two targets for one caller: "),
    (bound_while_leaving, "I13", "was made while ap-demo was winding down"),
    (renewed_while_leaving, "I13", "version 2 was renewed while ap-demo was winding down"),
    (answered_with_nothing, "I14", "req_id 'r-1' of ap-demo was answered with gone, not its binding"),
    (answered_with_anothers, "I14", "req_id 'r-1' of ap-2 was answered with "),
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.lists(st.integers(0, 8), max_size=5, unique=True), st.booleans())
def test_a_seeded_violation_is_named_among_bindings_that_are_right(
    seed: tuple[Callable[[Book], None], str, str], clean: list[int], ended: bool
) -> None:
    with TemporaryDirectory() as folder, open_book(Path(folder)) as book:
        for at in clean:
            if seed[0] not in (without_contract, too_long_for_its_contract):
                book.bind(number(at), mobile(10 + at), mobile(30 + at), valid_to=NOW - 60 if ended else None)
                book.bind(number(at), mobile(50 + at), mobile(70 + at), mode="AXYB", tel_y=number(100 + at))
        assert book.findings() == []
        seed[0](book)
        assert {finding.invariant for finding in book.findings()} >= {seed[1]}


@pytest.mark.parametrize(("seed", "invariant", "told"), SEEDS, ids=lambda value: getattr(value, "__name__", None))
def test_each_violation_is_named(book: Book, seed: Callable[[Book], None], invariant: str, told: str) -> None:
    assert book.findings() == []
    seed(book)
    found = book.findings()
    assert any(finding.invariant == invariant and told in finding.detail for finding in found), found
    assert not any(real in str(found) for real in (A, B, C))


def test_what_is_right_is_not_named(book: Book) -> None:
    """The same pair may have X back, disjoint pairs share it, a cold number is anybody's, a version follows another."""
    first = book.bind(X, A, B, valid_from=NOW - 9000, valid_to=NOW - 8000)
    book.bind(X, B, A, valid_from=NOW - 7999, valid_to=NOW - 7000)
    book.bind(X, mobile(8), mobile(9))
    book.bind(Y, A, B, valid_from=NOW - 3 * DAY_S, valid_to=NOW - 2 * DAY_S)
    book.bind(Y, A, C, valid_from=NOW - 2 * DAY_S + DAY_S, valid_to=NOW - 60, subs_id="two")
    book.bind(Y, A, B, version=2, valid_from=NOW - 60, subs_id="two")
    book.do("INSERT INTO api_request VALUES ('ap-demo', 'r', x'', 201, ?, 0)", f'{{"subs_id": "{first}"}}')
    book.do("INSERT INTO api_request VALUES ('operator', 'r', x'', 201, ?, 0)", f'{{"subs_id": "{first}"}}')
    book.do("INSERT INTO api_request VALUES ('ap-demo', 'other', x'', 409, 'no JSON', 0)")
    assert book.findings() == []


def test_rules_that_came_later_are_not_held_against_what_was_before(book: Book) -> None:
    warm_number(book)
    book.bind(number(1), mobile(10), mobile(11), expires_at=NOW + 3_000_000)
    assert {finding.invariant for finding in book.findings()} == {"I4", "I5"}
    book.do("UPDATE meta SET value = ? WHERE name = 'gates_since'", str(NOW))
    assert book.findings() == []


def test_a_scenario_or_pool_that_was_changed_later_is_not_held_against_a_binding(book: Book) -> None:
    too_long_for_its_scenario(book)
    assert [finding.invariant for finding in book.findings()] == ["I4"]
    what = ("2026-11-24T01:00:00.000Z", "ops", "scenario.change", "express: max_ttl_s 9000000 -> 2592000")
    book.do("INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)", *what)
    assert book.findings() == []


def member(book: Book, table: str, number: str, *times: float) -> None:
    sealed = book.cipher.encrypt(number, "group_member.member")
    if table == "group_member":
        names = "group_id, position, member, since_at, key_id"
        book.do(f"INSERT INTO group_member ({names}) VALUES ('g', 0, ?, ?, '')", sealed, *times)
    else:
        book.do(
            "INSERT INTO group_past (group_id, member, since_at, until_at, key_id) VALUES ('g', ?, ?, ?, '')",
            sealed,
            *times,
        )


def test_a_member_crosses_only_while_it_is_one(book: Book) -> None:
    book.do("INSERT OR IGNORE INTO number_group VALUES ('g', 'ap-demo', 'bu-express', 'g', 'active', 1)")
    group = {"mode": "GXB", "tel_a": None, "group_id": "g", "valid_from": NOW - 900, "valid_to": NOW - 100}
    book.bind(X, A, B, **group)
    book.bind(X, C, mobile(7), valid_from=NOW - 500, valid_to=NOW - 400)
    member(book, "group_past", C, NOW - 950, NOW - 600)
    member(book, "group_member", A, NOW - 950)
    assert [finding.invariant for finding in book.findings()] == ["I5"], "B still knows X as the number of C"
    member(book, "group_past", C, NOW - 450, NOW - 440)
    assert [finding.invariant for finding in book.findings()] == ["I1", "I5", "I5"], "and it has come back to X"
    book.do("DELETE FROM group_past")
    member(book, "group_past", mobile(9), NOW - 800, NOW - 700)
    assert book.findings() == []
    book.bind(X, mobile(9), mobile(8), valid_from=NOW - 50)
    assert [finding.invariant for finding in book.findings()] == ["I5"]


def test_a_group_has_its_targets(book: Book) -> None:
    for at, member in enumerate((A, C)):
        book.do("INSERT OR IGNORE INTO number_group VALUES ('g', 'ap-demo', 'bu-express', 'g', 'active', 1)")
        names = "group_id, position, member, key_id"
        row = ("g", at, book.cipher.encrypt(member, "group_member.member"), book.cipher.key_id)
        book.do(f"INSERT INTO group_member ({names}) VALUES (?, ?, ?, ?)", *row)
    book.bind(X, A, B, mode="GXB", tel_a=None, group_id="g")
    assert [finding.detail for finding in book.findings()] == [f"{X} has no target for a party of s1"]
    (row,) = book.connection.execute("SELECT * FROM target LIMIT 1").fetchall()
    copied = dict(zip([name for _, name, *_ in book.connection.execute("PRAGMA table_info(target)")], row, strict=True))
    book.target(copied, X, C, B, X)
    assert book.findings() == []


@pytest.mark.parametrize("rows", range(1, 8))
def test_where_a_page_ends_does_not_matter(book: Book, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Numbers that are X, Y or only in a target, one of them with more rows than a page has."""
    lost_target(book)
    for at in range(1, 5):
        book.bind(number(at), A, B, mode="AXYB", tel_y=number(100 + at))
        book.bind(number(7), mobile(10 + at), mobile(20 + at))
    two_at_once(book)
    strays = (number(8), number(7), book.cipher.encrypt(mobile(11), "target.caller"))
    book.do("UPDATE target SET x = ? WHERE x = ? AND caller = ?", *strays)
    book.do("UPDATE target SET expires_at = ? WHERE x = ?", NOW - 1, number(102))

    def looked() -> tuple[list[Finding], int, int]:
        look = BindingInvariants(book.connection, book.cipher, NOW)
        return list(look.findings()), look.bindings, look.numbers

    whole = looked()
    assert whole[1:] == (11, 11)
    assert [finding.detail[:15] for finding in whole[0]].count(number(8)) == 1
    monkeypatch.setattr(number_pages, "ROWS_AT_ONCE", rows)
    assert looked() == whole
