"""One row that could not be read, or one call that could not be made again, kept the node from starting."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core import adoption, lost_tries
from engine.core.records import CallRecord, Step
from engine.store.crypto import NumberCipher
from engine.store.rows import DIALOGS
from engine.store.verify import verify
from tests.core.corenode import CoreNode
from tests.core.parties import answered, start, talking
from tests.core.restart import frozen_of, left_open, record_of, restarted, thawed
from tests.store.test_store_restart import leave
from tests.store.writing import take_over

MakeRecord = Callable[..., CallRecord]
Rows = Callable[..., list[sqlite3.Row]]


def spoil(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def fault(*_: object, **__: object) -> None:
    raise LookupError("planted")


@pytest.mark.parametrize("garbled", ["bytes", "json", "kinds", "attempts"])
def test_a_garbled_answer_closes_one_call(
    garbled: str, records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    talk = talking(CoreNode())
    CoreNode.made.clear()
    records = tuple(make_record(name, answer_time=now + 3, ring_time=now + 1) for name in ("a", "b"))
    leave(records_db, cipher, list(records), records, frozen=frozen_of(talk.node))
    if garbled == "attempts":
        spoil(records_db, "UPDATE call_answer SET attempts = '[{}]' WHERE record_id = 'a'")
    else:
        blob = {
            "bytes": b"\0garbled",
            "json": cipher.encrypt("{", DIALOGS),
            "kinds": cipher.encrypt(json.dumps([1, *range(11)]), DIALOGS),
        }[garbled]
        spoil(records_db, "UPDATE call_answer SET dialogs = ? WHERE record_id = 'a'", blob)
    begun = take_over(records_db, cipher, "veil-1", now + 10)
    assert [record.record_id for record, _ in begun.answered] == ["b"]
    assert len(begun.unreadable) == 1
    (row,) = rows(records_db, "SELECT * FROM cdr")
    assert (row["record_id"], row["release_cause"], row["sip_status"]) == ("a", "NODE_RESTART", 200)
    assert verify(records_db).is_clean


def test_a_garbled_message_and_a_garbled_number(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float, rows: Rows
) -> None:
    message = make_record("a", kind="message", answer_time=now + 3)
    leave(records_db, cipher, [message, make_record("b")], (message,))
    spoil(records_db, "UPDATE call_open SET caller = ? WHERE record_id = 'b'", b"\0garbled")
    begun = take_over(records_db, cipher, "veil-1", now + 10)
    assert (len(begun.unreadable), begun.unfinished, begun.pending) == (2, [], [])
    found = {row["record_id"]: row for row in rows(records_db, "SELECT * FROM cdr")}
    assert {name: row["release_cause"] for name, row in found.items()} == {"a": "NODE_RESTART", "b": "NODE_RESTART"}
    assert found["b"]["caller"] is None
    assert cipher.decrypt(found["b"]["callee"], "cdr.callee") == "13900139000"


@pytest.mark.parametrize("at", ["_pair", "_set_times", "begin"])
@pytest.mark.pure
def test_a_fault_costs_one_call(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = answered(CoreNode())
    with monkeypatch.context() as planted:
        planted.setattr(adoption, at, fault)
        node = restarted(talk.node, after_s=2.0)
    assert node.counters["adoptions_failed"] == node.counters["attempts_adopted"] == 1
    assert [type(found) for found in node.faults] == [LookupError]
    node.book.silence()
    assert not node.service.attempts and not node.context.dialogs and not len(node.context.wheel)
    node.assert_recorded(
        release_cause="NODE_RESTART", sip_status=200, q850=41, release_direction="platform", decided_by="",
        duration_ms=2000, bill_seconds=2, duration_source="wall",
    )  # fmt: skip


@pytest.mark.pure
def test_its_end_is_kept_when_the_store_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = answered(CoreNode())
    (done,) = left_open(talk.node)[0]
    CoreNode.made.clear()
    node = CoreNode()
    node.before, node.durable = 1, set()
    monkeypatch.setattr(adoption, "begin", fault)
    node.book.perform(node.service.last_run.adopt_calls([(record_of(done), thawed(done.extra))], node.book.now))
    assert node.service.in_progress == 1
    node.release_held(durable=False)
    assert [step for step, _ in node.steps] == [Step.CLOSE, Step.KEEP]
    node.assert_recorded(release_cause="NODE_RESTART")


@pytest.mark.pure
def test_an_invite_that_cannot_be_made_again_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = CoreNode()
    start(first)
    monkeypatch.setattr(lost_tries, "build", fault)
    node = restarted(first)
    node.book.silence()
    assert (node.counters["adoptions_failed"], len(node.faults)) == (1, 1)
    assert not len(node.context.wheel) and not len(node.context.transactions)
