"""Who has called last through a group's binding, and who was no party: written with the records."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.records import Step
from engine.store.caller_memory import STRANGERS_KEPT_S
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.group_calls import GroupCalls
from tests.store.conftest import NOW
from tests.store.desk import Desk, MakeRecord

A, C = "13800138000", "13700137000"
X = "700123456780001"
Rows = Callable[..., list[sqlite3.Row]]


@pytest.fixture
def desk(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Desk]:
    desk = Desk(records_db, cipher, make_record)
    desk.writer.start()
    yield desk
    desk.writer.stop()


@pytest.fixture
def known(records_db: Path, cipher: NumberCipher, rows: Rows) -> Callable[[str], list[tuple[object, ...]]]:
    """A table with its numbers in clear."""

    def read(table: str) -> list[tuple[object, ...]]:
        found = rows(records_db, f"SELECT * FROM {table}")
        return [(key, cipher.decrypt(blob, "cdr.caller"), at) for key, blob, at in found]

    return read


def loaded(desk: Desk) -> None:
    desk.until(lambda: desk.writer.unloaded_bytes == 0)


Known = Callable[[str], list[tuple[object, ...]]]


def test_a_member_that_calls_is_the_last_caller(
    desk: Desk, known: Known, records_db: Path, cipher: NumberCipher
) -> None:
    callers = GroupCalls(records_db, cipher)
    desk.submit(Step.OPEN, "r1", group_member=A, mode="GXB")
    desk.outcomes(1)
    loaded(desk)
    assert known("last_caller") == [("s1", A, NOW)]
    assert callers.last("s1") == A and callers.last("s2") == ""
    desk.submit(Step.OPEN, "r2", group_member=C, caller=C, mode="GXB", call_time=NOW + 1)
    desk.submit(Step.OPEN, "r3", group_member=A, caller=A, mode="GXB", call_time=NOW - 1)
    desk.outcomes(2)
    loaded(desk)
    assert known("last_caller") == [("s1", C, NOW + 1)]
    assert callers.last("s1") == C
    callers.called("s1", A)  # in this very moment: not in the tables yet
    assert callers.last("s1") == A
    other = GroupCalls(records_db, cipher)  # in a process that is told what this one remembers
    other.told("s1", callers.remembered("s1"))
    assert (other.last("s1"), callers.remembered("s2")) == (A, "")
    assert A.encode().hex() not in callers.remembered("s1")
    for one in (callers, other):
        one.close()
    for record_id in ("r1", "r2", "r3"):
        desk.close_many(record_id)
    desk.outcomes(3)


@pytest.mark.parametrize("steps", [[Step.OPEN, Step.CLOSE], [Step.CLOSE]])
def test_a_short_call_counts_as_well(desk: Desk, known: Known, steps: list[Step]) -> None:
    """It begins and ends before it is loaded: its end alone tells of it."""
    for step in steps:
        desk.submit(step, "r1", group_member=A, mode="GXB", call_out_time=NOW, release_cause="BUSY")
    desk.outcomes(len(steps))
    loaded(desk)
    assert known("last_caller") == [("s1", A, NOW)]


@pytest.mark.parametrize(
    "changes",
    [
        {"group_member": ""},  # no group
        {"group_member": C},  # it is called, and does not call
        {"group_member": A, "call_out_time": None, "release_cause": "NUMBER_LOCKED"},  # it was refused
    ],
)
def test_nobody_else_is(desk: Desk, known: Known, changes: dict[str, object]) -> None:
    if changes["group_member"] != A:
        desk.submit(Step.OPEN, "r1", **changes)
        desk.outcomes(1)
    desk.submit(Step.CLOSE, "r1", **changes)
    desk.outcomes(1)
    loaded(desk)
    assert known("last_caller") == []


@pytest.mark.parametrize("cause", ["NO_BINDING", "NOT_IN_CALLER_SET", "BINDING_EXPIRED", "NUMBER_COOLING"])
def test_who_is_no_party_is_remembered_once(desk: Desk, known: Known, cause: str) -> None:
    for number in range(3):
        desk.submit(Step.CLOSE, f"r{number}", release_cause=cause, caller=C, call_time=NOW + number)
    desk.outcomes(3)
    loaded(desk)
    assert known("stranger") == [(X, C, NOW + 2)]


@pytest.mark.parametrize(
    "changes",
    [
        {"release_cause": "NORMAL"},
        {"release_cause": "RATE_LIMITED"},
        {"release_cause": "NO_BINDING", "caller": ""},
        {"release_cause": "NO_BINDING", "tel_x": ""},
    ],
)
def test_nobody_else_is_a_stranger(desk: Desk, known: Known, changes: dict[str, object]) -> None:
    desk.submit(Step.CLOSE, "r1", **changes)
    desk.outcomes(1)
    loaded(desk)
    assert known("stranger") == []


def test_strangers_of_long_ago_are_forgotten(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, known: Known
) -> None:
    connection = open_database(records_db, RECORDS, cipher)
    for name, at in (("700123456780008", NOW - STRANGERS_KEPT_S - 1), ("700123456780009", NOW - STRANGERS_KEPT_S + 1)):
        connection.execute("INSERT INTO stranger VALUES (?, ?, ?)", (name, cipher.encrypt(A, "cdr.caller"), at))
    connection.close()
    desk = Desk(records_db, cipher, make_record)
    desk.writer.start()
    desk.submit(Step.CLOSE, "r1", release_cause="NO_BINDING", caller=C)
    desk.outcomes(1)
    loaded(desk)
    desk.writer.stop()
    assert [x for x, _, _ in known("stranger")] == [X, "700123456780009"]
