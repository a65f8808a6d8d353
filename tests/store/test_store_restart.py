"""What a start does with what the last run left open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.records import Attempt, CallRecord
from engine.core.tokens import ALPHABET, RECORD_LETTERS
from engine.store import left_rows
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.errors import StoreError
from engine.store.ledger import Ledger
from engine.store.left_rows import LeftRows
from engine.store.lock import lock_records
from engine.store.rows import RowMaker, extra_to_json
from engine.store.signing import open_signing_key
from engine.store.verify import verify
from sipstack.limits import MAX_LINE_CHARS
from tests.core.corenode import CoreNode
from tests.core.parties import talking
from tests.core.restart import frozen_of
from tests.store.writing import take_over

MakeRecord = Callable[..., CallRecord]
Rows = Callable[..., list[sqlite3.Row]]


def leave(
    path: Path, cipher: NumberCipher, opens: list[CallRecord], answers: tuple[CallRecord, ...] = (),
    ends: tuple[CallRecord, ...] = (), frozen: object = ("dialogs",),
) -> None:  # fmt: skip
    """A run that ended without closing what it had opened."""
    connection = open_database(path, RECORDS, cipher)
    maker = RowMaker(cipher, "last boot")
    for node in sorted({record.node for record in (*opens, *ends)}):
        Ledger(connection, node, open_signing_key(path.parent)).write(
            [maker.open_row(one.snapshot()) for one in opens if one.node == node],
            [maker.answer_row(one.snapshot(), extra_to_json(frozen)) for one in answers if one.node == node],
            [maker.closing(one.snapshot()) for one in ends if one.node == node],
        )
    connection.close()


@pytest.mark.parametrize("address", ["", "udp:127.0.0.13:5060"])
def test_where_the_first_invite_went_comes_back(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows, address: str
) -> None:
    """Its CANCEL goes there, wherever the name leads then; and the record of an answered call keeps it."""
    tried = Attempt("core", "sip:core.example", address=address)
    rang, talks = make_record("a", attempts=[tried]), make_record("b", attempts=[tried], answer_time=now + 1)
    leave(records_db, cipher, [rang, talks], (talks,), frozen=[])
    begun = take_over(records_db, cipher, "veil-1", now + 5)
    assert [one.attempts[0].address for one in begun.unfinished] == [address]
    stored = rows(records_db, "SELECT attempts FROM call_open WHERE record_id = 'b'")
    assert [json.loads(row["attempts"])[0].get("address", "") for row in stored] == [address] * len(stored)


def test_an_empty_store_has_nothing_to_close(records_db: Path, cipher: NumberCipher, now: float) -> None:
    assert take_over(records_db, cipher, "veil-1", now).recent == []
    report = verify(records_db)
    assert report.is_clean
    assert [(node.records, node.open) for node in report.nodes] == [(0, 0)]  # the day before is signed


def test_a_call_that_rang_is_closed_unanswered(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    leave(records_db, cipher, [make_record("a", call_out_time=now + 0.1, ring_time=now + 1)])
    begun = take_over(records_db, cipher, "veil-1", now + 5)
    recent = begun.recent
    assert [(one.record_id, one.callee, len(one.attempts)) for one in begun.unfinished] == [("a", "13900139000", 1)]
    row = rows(records_db, "SELECT * FROM cdr")[0]
    assert (row["record_id"], row["seq"], row["release_cause"]) == ("a", 1, "NODE_RESTART")
    assert (row["sip_status"], row["q850"], row["release_direction"]) == (500, 41, "platform")
    assert row["release_time"] == "2026-11-24T01:02:08.456Z"
    assert (row["ring_ms"], row["duration_ms"], row["bill_seconds"]) == (4000, 0, 0)
    assert row["duration_source"] == "wall"
    assert cipher.decrypt(row["caller"], "cdr.caller") == "13800138000"
    assert cipher.decrypt(row["callee"], "cdr.callee") == "13900139000"
    assert (row["caller_cseq"], row["caller_branch"], row["group_member"]) == (1, "z9hG4bKa", None)
    assert rows(records_db, "SELECT * FROM call_open") == []
    assert [(one.kind, one.caller_call_id, one.caller_cseq, one.caller_branch) for one in recent] == [
        ("voice", "a@127.0.0.12", 1, "z9hG4bKa")
    ]
    assert (recent[0].sip_status, recent[0].q850) == (500, 41)
    assert verify(records_db).is_clean


def test_an_answered_call_lasts_until_the_restart(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    answered = make_record(
        "a", ring_time=now + 1, answer_time=now + 3, egress_peer="other", callee_call_id="second", icid_out="i"
    )
    leave(records_db, cipher, [make_record("a")], (answered,))
    recent = take_over(records_db, cipher, "veil-1", now + 63.2).recent
    row = rows(records_db, "SELECT * FROM cdr")[0]
    assert (row["sip_status"], row["q850"], row["release_cause"]) == (200, 41, "NODE_RESTART")
    assert (row["ring_ms"], row["duration_ms"], row["bill_seconds"]) == (2000, 60200, 61)
    assert (row["answer_time"], row["egress_peer"]) == ("2026-11-24T01:02:06.456Z", "other")
    assert (row["callee_call_id"], row["icid_out"]) == ("second", "i")
    assert [one.sip_status for one in recent] == [200]
    assert rows(records_db, "SELECT * FROM call_answer") == []
    assert verify(records_db).is_clean


def test_a_clock_that_went_back_gives_no_negative_duration(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    record = make_record("a", answer_time=now + 3)
    leave(records_db, cipher, [record], (record,))
    take_over(records_db, cipher, "veil-1", now - 3600)
    row = rows(records_db, "SELECT duration_ms, bill_seconds FROM cdr")[0]
    assert tuple(row) == (0, 0)


def test_a_clock_that_went_back_does_not_have_a_whole_day_read(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_rows, "MOST_RECENT", 3)
    leave(records_db, cipher, [], ends=tuple(make_record(f"r{number}", release_time=now) for number in range(5)))
    recent = take_over(records_db, cipher, "veil-1", now - 8 * 3600).recent
    assert [one.caller_call_id for one in recent] == [f"r{number}@127.0.0.12" for number in (4, 3, 2)]


def test_what_another_node_left_is_not_ours(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    leave(records_db, cipher, [make_record("a"), make_record("b", node="veil-2")])
    take_over(records_db, cipher, "veil-1", now)
    assert [row[0] for row in rows(records_db, "SELECT record_id FROM cdr")] == ["a"]
    assert [row[0] for row in rows(records_db, "SELECT record_id FROM call_open")] == ["b"]
    assert verify(records_db).is_clean


def test_an_answered_call_is_taken_over(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    """What can be served on stays open, as this run's; what another program has written is closed."""
    talk = talking(CoreNode())
    CoreNode.made.clear()
    frozen = frozen_of(talk.node)
    records = [make_record(name, answer_time=now + 3, ring_time=now + 1) for name in ("a", "b")]
    leave(records_db, cipher, records, (records[0],), frozen=frozen)
    leave(records_db, cipher, [], (records[1],))
    leave(records_db, cipher, [make_record("c", node="veil-2")])
    first = take_over(records_db, cipher, "veil-1", now + 10)
    ended = records[1]
    assert first.ended == {"b@127.0.0.12": {ended.ingress_peer}, str(ended.callee_call_id): {ended.egress_peer}}
    ((record, found),) = first.answered
    assert found == frozen
    assert record.snapshot() == records[0].snapshot()
    assert [row["record_id"] for row in rows(records_db, "SELECT * FROM cdr")] == ["b"]
    second = take_over(records_db, cipher, "veil-1", now + 20)
    assert (first.epoch, second.epoch, len(second.answered)) == (1, 2, 1)
    owned = rows(records_db, "SELECT record_id, owner_epoch FROM call_open ORDER BY record_id")
    assert [tuple(row) for row in owned] == [("a", 2), ("c", 0)]


@pytest.mark.parametrize("name", ["remote", "call_id"])
def test_a_call_with_a_row_longer_than_the_node_reads_is_closed(
    name: str, records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float
) -> None:
    """It came with "f:" or "i:", and fitted."""
    talk = talking(CoreNode())
    CoreNode.made.clear()
    frozen = frozen_of(talk.node)
    long = getattr(frozen.caller, name) + ";x=" + "y" * (MAX_LINE_CHARS - 3)
    record = make_record("a", answer_time=now + 3, ring_time=now + 1)
    caller = frozen.caller._replace(**{name: long})
    leave(records_db, cipher, [record], (record,), frozen=frozen._replace(caller=caller))
    begun = take_over(records_db, cipher, "veil-1", now + 10)
    assert begun.answered == []
    assert [one.sip_status for one in begun.recent] == [200]


def test_many_are_closed_in_several_transactions(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_rows, "ROWS_AT_ONCE", 3)
    leave(records_db, cipher, [make_record(f"r{number}") for number in range(10)])
    assert len(take_over(records_db, cipher, "veil-1", now).recent) == 10
    report = verify(records_db)
    assert report.is_clean
    assert (report.records, report.nodes[0].open) == (10, 0)


def test_only_what_may_still_be_repeated_is_remembered(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float
) -> None:
    ends = (
        make_record("very old", release_time=now - 3000),
        make_record("old", release_time=now - 33),
        make_record("late in the chain", release_time=now - 20, kind="message", sip_status=200, q850=16),
        make_record("just too old", release_time=now - 32.1),
        make_record("refused", call_time=now - 1, release_time=None, sip_status=404, q850=1),
    )
    leave(records_db, cipher, [make_record("open")], ends=ends)
    recent = take_over(records_db, cipher, "veil-1", now).recent
    assert [(one.caller_call_id, one.sip_status, one.q850) for one in recent] == [
        ("open@127.0.0.12", 500, 41),
        ("refused@127.0.0.12", 404, 1),
        ("late in the chain@127.0.0.12", 200, 16),
    ]
    assert [one.kind for one in recent] == ["voice", "voice", "message"]


def test_closing_twice_closes_once(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    leave(records_db, cipher, [make_record("a")])
    first = take_over(records_db, cipher, "veil-1", now).recent
    second = take_over(records_db, cipher, "veil-1", now + 10).recent
    assert [one.caller_call_id for one in first] == [one.caller_call_id for one in second]
    assert len(rows(records_db, "SELECT * FROM cdr")) == 1


def test_a_store_with_a_writer_is_left_alone(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    leave(records_db, cipher, [make_record("a")])
    lock = lock_records(records_db)
    with pytest.raises(StoreError, match="another node is running"):
        take_over(records_db, cipher, "veil-1", now)
    assert len(rows(records_db, "SELECT * FROM call_open")) == 1
    import os

    os.close(lock)


def test_each_of_several_workers_takes_over_its_own(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    """By the letter of the record; what one worker had begun goes by the number that is called, or to the first."""
    letters = ALPHABET[:2].decode()
    names = [f"0123456789ab-{letter}{'x' * RECORD_LETTERS}" for letter in letters]
    names.append(f"0123456789ab-{'y' * RECORD_LETTERS}")  # not answered, and nobody's
    leave(records_db, cipher, [make_record(name, call_out_time=now) for name in names])
    connection = open_database(records_db, RECORDS, cipher)
    left = [[row[0] for row in LeftRows(connection, cipher, "veil-1", worker, 2).rows] for worker in range(2)]
    assert left == [[names[0], names[2]], [names[1]]]
    LeftRows(connection, cipher, "veil-1", 1, 2).begin(open_signing_key(records_db.parent), None, [], now + 5)
    connection.close()
    assert [row["record_id"] for row in rows(records_db, "SELECT record_id FROM cdr")] == [names[1]]
    assert len(rows(records_db, "SELECT * FROM call_open")) == 2
