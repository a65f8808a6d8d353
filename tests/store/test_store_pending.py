"""A short message whose report is awaited survives its node: open row, entry and record as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.records import CallRecord, Step
from engine.core.report_relay import ReportEntry
from engine.store.crypto import NumberCipher
from engine.store.verify import verify
from tests.store.writing import RecordWriter, take_over

MakeRecord = Callable[..., CallRecord]
Rows = Callable[..., list[sqlite3.Row]]
ENTRY = ReportEntry(200, 9, True, "13800100500", "", "1-13800138000@a")


def write(path: Path, cipher: NumberCipher, *steps: tuple[Step, CallRecord, object]) -> None:
    """A run of the writer that takes these steps, and ends."""
    told: list[tuple[object, bool]] = []
    writer = RecordWriter(path, cipher, "veil-1", "boot", 0, told.extend)
    writer.start()
    for step, record, extra in steps:
        assert writer.submit(step, record.snapshot(), extra, step)
    writer.stop()
    assert told == [(step, True) for step, _, _ in steps]


@pytest.fixture
def message(make_record: MakeRecord, now: float) -> CallRecord:
    record = make_record(
        "m", kind="message", call_out_time=now + 0.1, answer_time=now + 0.3, parts=1, octets=40, ingress_peer="a",
        egress_peer="b", group_member="",
    )  # fmt: skip
    record.attempts[0].status, record.attempts[0].ms = 202, 200
    return record


@pytest.fixture
def left(records_db: Path, cipher: NumberCipher, message: CallRecord) -> Path:
    """A store in which a run has ended between the 202 and the report."""
    write(records_db, cipher, (Step.OPEN, message, None), (Step.ANSWER, message, ENTRY.stored()))
    return records_db


def test_it_stays_open_and_comes_back_as_it_was(
    left: Path, cipher: NumberCipher, message: CallRecord, now: float
) -> None:
    for run in range(2):  # each start finds it
        begun = take_over(left, cipher, "veil-1", now + 1 + run)
        assert (begun.recent, begun.answered, begun.unreadable) == ([], [], [])
        ((record, entry),) = begun.pending
        message.duration_source = "wall"
        assert record.snapshot() == message.snapshot()
        assert entry.stored() == ENTRY.stored()


def test_its_record_closes_in_the_next_run(left: Path, cipher: NumberCipher, now: float, rows: Rows) -> None:
    ((record, _),) = take_over(left, cipher, "veil-1", now + 1).pending
    record.release_time, record.release_cause, record.sip_status, record.q850 = now + 2, "NORMAL", 202, 16
    record.release_direction = "callee"
    write(left, cipher, (Step.CLOSE, record, None))
    row = rows(left, "SELECT * FROM cdr")[0]
    assert (row["record_id"], row["release_cause"], row["egress_peer"]) == ("m", "NORMAL", "b")
    assert cipher.decrypt(row["callee"], "cdr.callee") == "13900139000"
    for table in ("call_open", "call_answer"):
        assert rows(left, f"SELECT * FROM {table}") == []
    report = verify(left)
    assert report.is_clean and report.records == 1
    begun = take_over(left, cipher, "veil-1", now + 3)
    assert begun.pending == []
    (recent,) = begun.recent
    assert recent.is_reported and recent.callee_call_id == "abcdef"


def test_no_number_stands_there_in_clear(left: Path) -> None:
    data = b"".join(file.read_bytes() for file in left.parent.glob("records.db*"))
    for number in (b"13800138000", b"13900139000", b"13800100500"):
        assert number not in data


def test_a_message_without_an_entry_and_an_answered_call_are_closed(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, message: CallRecord, now: float
) -> None:
    call = make_record("v", answer_time=now)
    write(
        records_db, cipher, (Step.OPEN, message, None), (Step.OPEN, call, None), (Step.ANSWER, call, ("dialogs", b"x"))
    )
    begun = take_over(records_db, cipher, "veil-1", now + 1)
    assert (begun.pending, begun.answered) == ([], [])
    assert [(one.kind, one.is_reported) for one in begun.recent] == [("voice", False), ("message", False)]


def test_what_another_node_awaits_is_not_ours(left: Path, cipher: NumberCipher, now: float) -> None:
    assert take_over(left, cipher, "veil-2", now + 1).pending == []
    assert len(take_over(left, cipher, "veil-1", now + 2).pending) == 1


def test_an_entry_that_is_none(records_db: Path, cipher: NumberCipher, message: CallRecord, now: float) -> None:
    write(records_db, cipher, (Step.OPEN, message, None), (Step.ANSWER, message, ("dialogs", 1, 2, 3, 4)))
    begun = take_over(records_db, cipher, "veil-1", now + 1)
    assert (begun.pending, len(begun.unreadable), len(begun.recent)) == ([], 1, 1)
