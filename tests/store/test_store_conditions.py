"""What a call finds beside its numbers: restrictions, black list, real names, hours, order, the group."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.binding import (
    ASK_DECISION,
    ASK_ORDER,
    CALLEE_VERIFIED,
    CALLER_VERIFIED,
    CALLS_BLOCKED,
    LAST_CALLER,
    LEGACY,
    SEQUENTIAL,
    TO_GROUP,
    UNCONDITIONAL,
    Binding,
    Conditions,
    Miss,
    Restriction,
)
from engine.domain.gates import COOL_S
from engine.store.binding_reader import BindingReader
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.group_calls import GroupCalls
from tests.store.bound import REQUEST, A, B, C, X

D, E = "13700137001", "13700137002"
Y = "700123456780002"
LEGACY_X = "17000001234"
Execute = Callable[..., None]


@pytest.fixture
async def bound(stocked: Path, cipher: NumberCipher, now: float) -> str:
    """A plain AXB binding; its subs_id."""
    async with open_bindings(stocked, cipher, lambda: now) as store:
        return await store.bind(REQUEST)


@pytest.fixture
def execute(stocked: Path) -> Iterator[Execute]:
    """Another process that changes the store."""
    connection = sqlite3.connect(stocked, isolation_level=None)
    yield lambda sql, *parameters: connection.execute(sql, parameters)
    connection.close()


@pytest.fixture
def reader(stocked: Path, cipher: NumberCipher, records_db: Path, read_by: Any) -> Iterator[BindingReader]:
    open_database(records_db, RECORDS, cipher).close()
    reader = BindingReader(stocked, cipher, callers=GroupCalls(records_db, cipher), make=read_by)
    yield reader
    reader.close()


def conditions(reader: BindingReader, now: float, caller: str = A) -> Conditions:
    found = reader.find(X, caller, now)
    assert isinstance(found, Binding)
    return found.conditions


def test_a_plain_binding_has_none(reader: BindingReader, bound: str, now: float) -> None:
    assert conditions(reader, now) is UNCONDITIONAL


@pytest.mark.parametrize(
    ("kind", "entity", "state", "miss"),
    [
        ("number", X, "locked", Miss.LOCKED),
        ("number", X, "frozen", Miss.FROZEN),
        ("number_block", X[:11], "killed", Miss.FROZEN),
        ("business_user", "bu-express", "killed", Miss.NOT_A_PARTY),
        ("app_platform", "ap-demo", "killed", Miss.NOT_A_PARTY),
        ("everything", "", "killed", Miss.SUSPENDED),
    ],
)
def test_restrictions_count_for_the_very_next_call(
    reader: BindingReader, bound: str, now: float, execute: Execute, kind: str, entity: str, state: str, miss: Miss
) -> None:
    assert conditions(reader, now) is UNCONDITIONAL
    execute("INSERT INTO restriction VALUES (?, ?, ?, 1, 'me', 'because')", kind, entity, state)
    assert conditions(reader, now) == Conditions(restriction=Restriction(kind, entity, state))
    assert reader.find(X, C, now) is miss
    execute("DELETE FROM restriction")
    assert conditions(reader, now) is UNCONDITIONAL


def test_restrictions_of_others_do_not_count(reader: BindingReader, bound: str, now: float, execute: Execute) -> None:
    execute("INSERT INTO restriction VALUES ('number', ?, 'locked', 1, 'me', '')", Y)
    execute("INSERT INTO restriction VALUES ('business_user', 'bu-other', 'killed', 1, 'me', '')")
    assert conditions(reader, now) is UNCONDITIONAL
    assert reader.find(X, C, now) is Miss.NOT_A_PARTY


LIMITS = (("max_call_s", 60), ("hours", "08:00-22:00"), ("calls_per_day", 3))


def test_whether_anything_is_beside_bindings_is_told_at_once(stocked: Path, execute: Execute) -> None:
    """By whatever statement, of whoever, and only once it is committed."""
    locked = "INTO restriction VALUES ('number', ?, 'locked', 1, 'me', '')"
    listed = "INTO blacklist VALUES (?, x'0a', x'', 'both', 1, 'k')"
    scenario = "INTO scenario (code, risk_class, modes, max_ttl_s, hours) VALUES (?, 1, '[]', 60, ?)"
    other = sqlite3.connect(stocked, isolation_level=None)

    def told(statement: str, *parameters: object) -> int:
        execute(statement, *parameters)
        ((is_any,),) = other.execute("SELECT is_any FROM beside").fetchall()
        assert isinstance(is_any, int)
        return is_any

    assert told("SELECT 1") == 0
    assert [told(f"INSERT {locked}", number) for number in (X, Y)] == [1, 1]
    assert told(f"REPLACE {locked}", X) == 1
    assert told("DELETE FROM restriction WHERE id = ?", X) == 1
    assert told("DELETE FROM restriction") == 0
    assert told(f"INSERT {listed}", "ap-demo") == 1
    assert told(f"INSERT {locked} ON CONFLICT DO NOTHING", X) == 1
    assert told("DELETE FROM blacklist") == 1
    assert told("DELETE FROM restriction WHERE id = ?", X) == 0
    assert told(f"INSERT {scenario}", "open", "") == 0
    assert told(f"INSERT {scenario}", "day", "08:00-22:00") == 1
    assert told("DELETE FROM scenario WHERE code = 'open'") == 1
    assert told("DELETE FROM scenario WHERE code = 'day'") == 0
    for column, value in LIMITS:
        assert told(f"UPDATE scenario SET {column} = ?", value) == 1
        assert told(f"UPDATE scenario SET {column} = ?", value) == 1
        assert told(f"UPDATE scenario SET {column} = ?", "" if column == "hours" else 0) == 0
    assert told("BEGIN") == 0
    assert told(f"INSERT {locked}", X) == 0
    assert told("ROLLBACK") == 0
    assert told(f"INSERT {listed}", "ap-demo") == 1
    assert told("DELETE FROM blacklist") == 0
    other.close()


def test_what_nobody_has_told_of_is_looked_for(reader: BindingReader, bound: str, now: float, execute: Execute) -> None:
    execute("DELETE FROM beside")
    assert conditions(reader, now) is UNCONDITIONAL
    execute("INSERT INTO restriction VALUES ('everything', '', 'killed', 1, 'me', '')")
    assert conditions(reader, now) == Conditions(restriction=Restriction("everything", "", "killed"))


@pytest.mark.parametrize(
    ("first", "second", "way", "there", "back"),
    [
        (A, B, "both", "callee", "callee"),
        (A, B, "first_may_call", "", "callee"),
        (B, A, "first_may_call", "callee", ""),
        (A, "", "both", "caller", "callee"),
        (B, "", "both", "callee", "caller"),
        (A, C, "both", "", ""),
        (C, "", "both", "", ""),
    ],
)
def test_the_black_list(
    reader: BindingReader, bound: str, now: float, execute: Execute, cipher: NumberCipher,
    first: str, second: str, way: str, there: str, back: str,
) -> None:  # fmt: skip
    hidden = [cipher.encrypt(number, "blacklist.number") if number else b"" for number in (first, second)]
    execute("INSERT INTO blacklist VALUES ('ap-demo', ?, ?, ?, 1, 'k')", *hidden, way)
    assert (conditions(reader, now).blacklisted, conditions(reader, now, B).blacklisted) == (there, back)


def test_the_black_list_of_another_platform_is_not_read(
    reader: BindingReader, bound: str, now: float, execute: Execute, cipher: NumberCipher
) -> None:
    hidden = cipher.encrypt(A, "blacklist.number")
    execute("INSERT INTO blacklist VALUES ('ap-other', ?, x'', 'both', 1, 'k')", hidden)
    assert conditions(reader, now) is UNCONDITIONAL


@pytest.mark.parametrize(
    ("flags", "verified", "unverified"),
    [
        (CALLER_VERIFIED, [], "caller"),
        (CALLER_VERIFIED, [A], ""),
        (CALLEE_VERIFIED, [A], "callee"),
        (CALLER_VERIFIED | CALLEE_VERIFIED, [A], "callee"),
        (CALLER_VERIFIED | CALLEE_VERIFIED, [A, B], ""),
    ],
)
def test_real_names(
    reader: BindingReader, bound: str, now: float, execute: Execute, cipher: NumberCipher,
    flags: int, verified: list[str], unverified: str,
) -> None:  # fmt: skip
    execute("UPDATE target SET flags = ?", flags)
    for number in verified:
        hidden = cipher.encrypt(number, "subscriber.number")
        execute("INSERT INTO subscriber VALUES ('ap-demo', ?, 'verified', 'x', 1, '', NULL, 'k')", hidden)
    assert conditions(reader, now).unverified == unverified
    execute("UPDATE subscriber SET state = 'revoked'")
    assert conditions(reader, now).unverified == ("caller" if flags & CALLER_VERIFIED else "callee")


def test_limits_of_binding_and_scenario(reader: BindingReader, bound: str, now: float, execute: Execute) -> None:
    execute("UPDATE target SET max_call_s = 600, ring_timeout_s = 20")
    assert (conditions(reader, now).max_call_s, conditions(reader, now).ring_timeout_s) == (600, 20)
    execute("UPDATE scenario SET max_call_s = 300, hours = '08:00-22:00', calls_per_day = 3")
    found = conditions(reader, now)
    assert (found.max_call_s, found.hours, found.calls_per_day) == (300, "08:00-22:00", 3)
    execute("UPDATE target SET max_call_s = 0")
    assert conditions(reader, now).max_call_s == 300


def test_order_and_decision(reader: BindingReader, bound: str, now: float, execute: Execute) -> None:
    execute("UPDATE target SET flags = ?", ASK_ORDER | ASK_DECISION)
    found = conditions(reader, now)
    assert (found.order_state, found.order_timeout_ms, found.decision_timeout_ms) == ("unverified", 800, 800)
    assert X[:11] in found.blocks
    execute("INSERT INTO hook VALUES ('ap-demo', 'order', 'https://x', x'', 300, 'k')")
    execute("INSERT INTO service_order VALUES ('bu-express', 'order-1', '', 'verified', 1, ?, '')", now + 1)
    assert (conditions(reader, now).order_state, conditions(reader, now).order_timeout_ms) == ("verified", 300)
    assert conditions(reader, now + 1).order_state == "unverified"
    execute("UPDATE service_order SET state = 'forged'")
    assert conditions(reader, now).order_state == "forged"


def test_y_and_the_number_of_before_lead_to_x(
    reader: BindingReader, bound: str, now: float, execute: Execute, cipher: NumberCipher
) -> None:
    hidden = cipher.encrypt(A, "target.caller")
    execute("UPDATE target SET mode = 'AXYB', tel_y = ?", Y)
    execute("UPDATE target SET x = ? WHERE caller = ?", Y, hidden)
    execute("UPDATE target SET presented = ? WHERE caller != ?", Y, hidden)
    there, back = reader.find(Y, A, now), reader.find(X, B, now)
    assert isinstance(there, Binding) and isinstance(back, Binding)
    assert (there.tel_x, there.tel_y, there.presented, back.tel_x, back.presented) == (X, Y, X, X, Y)
    assert reader.find(X, A, now) is Miss.NOT_A_PARTY
    execute("UPDATE target SET x = ?, flags = ?", LEGACY_X, LEGACY)
    for caller, presented in ((A, X), (B, Y)):
        found = reader.find(LEGACY_X, caller, now)
        assert isinstance(found, Binding)
        assert (found.tel_x, found.presented, found.conditions.flags) == (X, presented, LEGACY)


def group(execute: Execute, cipher: NumberCipher, flags: int, *members: str) -> None:
    """(X, B) leads to a group now; A is its default."""
    execute("UPDATE target SET mode = 'GXB', group_id = 'g'")
    execute("UPDATE target SET flags = ? WHERE caller = ?", TO_GROUP | flags, cipher.encrypt(B, "target.caller"))
    execute("INSERT INTO number_group VALUES ('g', 'ap-demo', 'bu-express', 'G', 'active', 1)")
    columns = "(group_id, position, member, key_id)"
    for place, member in enumerate(members):
        hidden = cipher.encrypt(member, "group_member.member")
        execute(f"INSERT INTO group_member {columns} VALUES ('g', ?, ?, 'k')", place, hidden)


@pytest.mark.parametrize(
    ("flags", "called", "callee", "members"),
    [
        (0, [], A, ()),
        (0, [C], A, ()),
        (LAST_CALLER, [], A, ()),
        (LAST_CALLER, [C], C, ()),
        (LAST_CALLER, [C, D], D, ()),
        (LAST_CALLER, [E], A, ()),  # who is no member any more
        (SEQUENTIAL, [D], A, (C, D)),
        (SEQUENTIAL | LAST_CALLER, [D], D, (A, C)),
    ],
)
def test_whom_b_reaches(
    reader: BindingReader, bound: str, now: float, execute: Execute, cipher: NumberCipher,
    flags: int, called: list[str], callee: str, members: tuple[str, ...],
) -> None:  # fmt: skip
    group(execute, cipher, flags, C, A, D)
    for member in called:
        reader.called(bound, member)
    found = reader.find(X, B, now)
    assert isinstance(found, Binding)
    assert (found.callee, found.conditions.members, found.member) == (callee, members, callee)
    there = reader.find(X, A, now)
    assert isinstance(there, Binding) and there.member == A


def test_members_that_may_not_be_called_are_left_out(
    reader: BindingReader, bound: str, now: float, execute: Execute, cipher: NumberCipher
) -> None:
    group(execute, cipher, SEQUENTIAL | CALLEE_VERIFIED, A, B, C, D, E)
    for number in (A, C, D):
        hidden = cipher.encrypt(number, "subscriber.number")
        execute("INSERT INTO subscriber VALUES ('ap-demo', ?, 'verified', 'x', 1, '', NULL, 'k')", hidden)
    execute("INSERT INTO blacklist VALUES ('ap-demo', ?, x'', 'both', 1, 'k')", cipher.encrypt(D, "blacklist.number"))
    found = reader.find(X, B, now)
    assert isinstance(found, Binding)
    assert (found.callee, found.conditions.members, found.conditions.unverified) == (A, (C,), "")


def test_after_a_start_the_last_caller_is_read(
    reader: BindingReader, bound: str, now: float, execute: Execute, cipher: NumberCipher, records_db: Path
) -> None:
    group(execute, cipher, LAST_CALLER, A, C)
    connection = sqlite3.connect(records_db, isolation_level=None)
    connection.execute("INSERT INTO last_caller VALUES (?, ?, 1)", (bound, cipher.encrypt(C, "cdr.caller")))
    connection.close()
    found = reader.find(X, B, now)
    assert isinstance(found, Binding) and found.callee == C


@pytest.mark.pure
def test_what_changes_while_it_is_read_is_read_again(
    reader: BindingReader, bound: str, now: float, execute: Execute
) -> None:
    """A call never mixes two versions of a binding."""
    execute("UPDATE target SET flags = ?", CALLS_BLOCKED)
    read = reader._read

    def meddle(x: str, caller: str) -> tuple[Binding, int] | None:
        found = read(x, caller)
        reader._read = read  # type: ignore[method-assign]  # once
        execute("UPDATE target SET version = 2, flags = 0")
        return found

    reader._read = meddle  # type: ignore[method-assign]
    found = reader.find(X, A, now)
    assert isinstance(found, Binding)
    assert (found.version, found.conditions) == (2, UNCONDITIONAL)


async def test_x_rests_from_its_parties_and_from_nobody_else(
    reader: BindingReader, bound: str, now: float, stocked: Path, cipher: NumberCipher
) -> None:
    async with open_bindings(stocked, cipher, lambda: now + 10) as store:
        await store.unbind(bound)
    for party in (A, B):
        assert reader.find(X, party, now + 11) is Miss.COOLING
        assert reader.find(X, party, now + 10 + COOL_S + 1) is Miss.UNBOUND
    assert reader.find(X, C, now + 11) is Miss.UNBOUND
    assert reader.find(X, "", now + 11) is Miss.UNBOUND
