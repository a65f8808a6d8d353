"""Who joins a group whose bindings are in force: held against the numbers of each of them as if it were bound now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.binding import Binding
from engine.domain.problems import Problem
from engine.store.audit import Asker
from engine.store.binding_reader import BindingReader
from engine.store.database import RECORDS, open_database
from engine.store.invariants import BindingInvariants
from engine.store.restrictions import kill, move_number, restore
from tests.store.bound import A, B, C, X
from tests.store.conftest import INVENTORY
from tests.store.shop import DAY_S, Shop, open_shop

Y, Z = "700123456780002", "700123456780003"
D, E, F = "13600136000", "13500135000", "13400134000"


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        shop.group(A, C)
        yield shop


def joins(shop: Shop, number: str = D) -> str:
    """The code and field with which it is refused, "" when it is a member then. What is refused writes nothing."""
    before = list(shop.connection.iterdump())
    try:
        shop.do(lambda: shop.groups().edit("g-1", "add", [number], shop.now))
    except Problem as problem:
        assert list(shop.connection.iterdump()) == before
        return f"{problem.code} {problem.field}"
    return ""


def is_bound(shop: Shop, rest_s: float, **other: str) -> None:
    """D and F have or had a number, and this long ago it was theirs to the last; `rest_s` 0: it is."""
    bound = shop.bind(tel_a=D, tel_b=F, **other)
    if rest_s:
        shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
        shop.now = round(shop.now + rest_s, 3)


def has_called(shop: Shop, data_dir: Path, rest_s: float) -> None:
    """D has called X, which had been that of E and F."""
    with closing(open_database(data_dir / "records.db", RECORDS, shop.cipher)) as records:
        row = (X, shop.cipher.encrypt(D, "cdr.caller"), shop.now - rest_s)
        records.execute("INSERT INTO stranger VALUES (?, ?, ?)", row)
    bound = shop.bind(tel_a=E, tel_b=F)
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))


PASTS: dict[str, tuple[Callable[[Shop, Path], None], str]] = {
    "nothing": (lambda *_: None, ""),
    "calls another through X": (lambda shop, _: is_bound(shop, 0), "BIND_CONFLICT tel_x"),
    "calls another through Y": (lambda shop, _: is_bound(shop, 0, tel_x=Y), "BIND_CONFLICT tel_y"),
    "is called through X": (lambda shop, _: is_bound(shop, 0, mode="AXYB", tel_y=Z), "BIND_CONFLICT tel_x"),
    "had X an hour ago": (lambda shop, _: is_bound(shop, 3600), "NUMBER_COOLING tel_x"),
    "had Y an hour ago": (lambda shop, _: is_bound(shop, 3600, tel_x=Y), "NUMBER_COOLING tel_y"),
    "had X a day ago": (lambda shop, _: is_bound(shop, DAY_S), ""),
    "called X an hour ago": (lambda shop, path: has_called(shop, path, 3600), "NUMBER_COOLING tel_x"),
    "called X a day ago": (lambda shop, path: has_called(shop, path, DAY_S), ""),
}  # fmt: skip


@pytest.mark.parametrize("past", PASTS)
def test_who_has_to_do_with_a_number_does_not_join_who_has_it(shop: Shop, data_dir: Path, past: str) -> None:
    make, refusal = PASTS[past]
    make(shop, data_dir)
    shop.bind(mode="GXYB", group_id="g-1", tel_y=Y)
    assert joins(shop) == refusal


@pytest.mark.parametrize(
    ("kind", "key", "refusal"),
    [
        ("everything", "", "PARTNER_IS_CLOSED business_user"),
        ("app_platform", "ap-demo", "PARTNER_IS_CLOSED business_user"),
        ("business_user", "bu-express", "PARTNER_IS_CLOSED business_user"),
        ("number_block", X[:11], "NUMBER_FROZEN tel_x"),
        ("number", X, "NUMBER_FROZEN tel_x"),
        ("number", Y, "NUMBER_FROZEN tel_y"),
    ],
)
def test_nobody_joins_what_is_shut_off_and_members_may_leave_it(shop: Shop, kind: str, key: str, refusal: str) -> None:
    shop.bind(mode="GXYB", group_id="g-1", tel_y=Y)
    shop.do(lambda: kill(shop.connection, kind, key, Asker("tester"), shop.now))
    assert joins(shop) == refusal
    assert shop.do(lambda: shop.groups().edit("g-1", "remove", [C], shop.now)).members == (A,)
    shop.do(lambda: restore(shop.connection, kind, key, Asker("tester"), shop.now))
    assert joins(shop) == ""


def test_nobody_joins_at_a_number_that_is_locked(shop: Shop) -> None:
    shop.bind(mode="GXB", group_id="g-1")
    shop.do(lambda: move_number(shop.connection, X, "locked", Asker("tester"), shop.now))
    assert joins(shop) == "NUMBER_LOCKED tel_x"


def test_what_a_member_had_with_the_same_other_side_is_no_hindrance(shop: Shop) -> None:
    bound = shop.bind(tel_a=D, tel_b=B)
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
    shop.now += 10
    shop.bind(tel_a=D, tel_b=E, tel_x=Z)
    shop.group(D, group_id="g-2")
    shop.bind(mode="GXB", group_id="g-2")
    assert shop.do(lambda: shop.groups().edit("g-2", "add", [A], shop.now)).members == (D, A)


def test_each_binding_of_the_group_is_asked(shop: Shop) -> None:
    shop.bind(mode="GXB", group_id="g-1", tel_x=Z, tel_b=E)
    is_bound(shop, 0)
    shop.bind(mode="GXB", group_id="g-1")
    assert joins(shop) == "BIND_CONFLICT tel_x"


def test_who_is_on_the_black_list_joins_and_gets_through_to_nobody(shop: Shop, data_dir: Path) -> None:
    """As with a binding: the list is about calls, and is read for each of them."""
    shop.bind(mode="GXB", group_id="g-1", callback="sequential")
    shop.run("INSERT INTO blacklist VALUES ('ap-demo', ?, x'', 'both', 1, 'k')",
             shop.cipher.encrypt(D, "blacklist.number"))  # fmt: skip
    assert joins(shop) == ""
    reader = BindingReader(data_dir / "bindings.db", shop.cipher)
    try:
        by_d, by_b = reader.find(X, D, shop.now), reader.find(X, B, shop.now)
    finally:
        reader.close()
    assert isinstance(by_d, Binding) and by_d.conditions.blacklisted == "caller"
    assert isinstance(by_b, Binding) and (by_b.callee, by_b.conditions.members) == (A, (C,))


def test_what_the_gate_lets_in_is_proved_and_what_it_keeps_out_is_found(shop: Shop) -> None:
    """The same history once by the binder, and once past it: the proof judges a member from when it came."""
    shop.connection.execute("UPDATE meta SET value = '0' WHERE name = 'gates_since'")
    shop.connection.execute("UPDATE assignment SET from_at = 0")
    bound = shop.bind(mode="GXB", group_id="g-1")
    shop.now += 100
    is_bound(shop, 10)
    assert joins(shop) == "NUMBER_COOLING tel_x"
    shop.now += DAY_S
    assert joins(shop) == ""
    assert findings(shop) == []
    shop.run("UPDATE group_member SET since_at = since_at - 86400 WHERE member = ?",
             shop.cipher.encrypt(D, "group_member.member"))  # fmt: skip
    (finding,) = findings(shop)
    assert finding.startswith(f"I5 {X} was given to {bound.subs_id} version 1 before it had cooled down from ")


def findings(shop: Shop) -> list[str]:
    return [" ".join(one) for one in BindingInvariants(shop.connection, shop.cipher, shop.now).findings()]
