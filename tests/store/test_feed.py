"""Events of records: which, in which order, once, and with masked numbers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.records import ANSWER, CHANGE, CLOSE, OPEN, CallRecord, Step
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, RECORDS, open_database, open_read_only
from engine.store.feed import Feed, OutboxReader
from engine.store.history import publish
from engine.store.journal import Journal
from engine.store.loader import Loader
from engine.store.loading import make_folder
from engine.store.segment import encoded_step
from engine.store.signing import open_signing_key
from engine.store.verify import verify
from tests.store.writing import take_over

MakeRecord = Callable[..., CallRecord]
START, RING, ANSWERED, END, CDR, SMS = "call.start", "call.ring", "call.answer", "call.end", "cdr", "sms"


class Node:
    """A journal and its loader; each `load` is a batch."""

    def __init__(self, path: Path, cipher: NumberCipher, announces: bool = True) -> None:
        self.path = path
        self.connection = open_database(path, RECORDS, cipher)
        self.feed = Feed(self.connection, cipher)
        folder = make_folder(path)
        self.loader = Loader(
            self.connection, folder, cipher, open_signing_key(path.parent), self.feed if announces else None
        )
        self.journal = Journal(folder, cipher, "veil-1", ("boot", 1), 0)

    def load(self, *steps: tuple[Step, CallRecord]) -> None:
        group = self.journal.append(
            [encoded_step(int(step), record.snapshot(), None) for step, record in steps], len(steps)
        )
        self.loader.fresh.put(group)
        assert self.loader.load(group.position)

    def events(self, platform: str = "ap-demo") -> list[tuple[int, str, str]]:
        query = "SELECT seq, kind, subject FROM event WHERE app_platform = ? ORDER BY seq"
        return self.connection.execute(query, (platform,)).fetchall()

    def payloads(self, kind: str) -> list[dict[str, object]]:
        rows = self.connection.execute("SELECT payload FROM event WHERE kind = ? ORDER BY seq", (kind,))
        return [json.loads(payload) for (payload,) in rows]


@pytest.fixture
def node(records_db: Path, cipher: NumberCipher) -> Iterator[Node]:
    node = Node(records_db, cipher)
    yield node
    node.journal.close()
    node.loader.close()
    node.connection.close()


def answered_call(make: MakeRecord, now: float, record_id: str, **changes: object) -> tuple[CallRecord, ...]:
    """As opened, answered and ended."""
    opened = make(record_id, **changes)
    talks = make(record_id, ring_time=now + 1, answer_time=now + 2, **changes)
    ended = make(
        record_id, ring_time=now + 1, answer_time=now + 2, release_time=now + 5, release_cause="NORMAL", sip_status=200,
        q850=16, duration_ms=3000, bill_seconds=3, release_direction="caller", **changes,
    )  # fmt: skip
    return opened, talks, ended


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_the_same_events_however_the_steps_are_loaded(
    node: Node, make_record: MakeRecord, now: float, batches: int
) -> None:
    opened, talks, ended = answered_call(make_record, now, "a")
    steps = [(OPEN, opened), (ANSWER, talks), (CLOSE, ended)]
    for batch in {1: [steps], 2: [steps[:2], steps[2:]], 3: [steps[:1], steps[1:2], steps[2:]]}[batches]:
        node.load(*batch)
    assert node.events() == [(seq, kind, "a") for seq, kind in enumerate((START, RING, ANSWERED, END, CDR), 1)]
    times = node.connection.execute("SELECT at FROM event ORDER BY seq").fetchall()
    assert [at[17:19] for (at,) in times] == ["03", "04", "05", "08", "08"]


def test_what_is_written_anew_is_told_once(node: Node, make_record: MakeRecord, now: float) -> None:
    """A redirect opens again, a change in the dialog answers again."""
    opened, talks, ended = answered_call(make_record, now, "a")
    for step in ((OPEN, opened), (OPEN, opened), (ANSWER, talks), (CHANGE, talks), (CLOSE, ended)):
        node.load(step)
    assert [kind for _, kind, _ in node.events()] == [START, RING, ANSWERED, END, CDR]


def test_what_was_refused_begins_and_ends(node: Node, make_record: MakeRecord, now: float) -> None:
    node.load((CLOSE, make_record("a", release_time=now, release_cause="TENANT_SUSPENDED", sip_status=403)))
    assert [kind for _, kind, _ in node.events()] == [START, END, CDR]
    (end,) = node.payloads(END)
    assert (end["release_cause"], end["sip_status"], end["answer_time"]) == ("TENANT_SUSPENDED", 403, None)
    assert [payload["ring_time"] for payload in (end, *node.payloads(CDR))] == [None, None]


def test_messages(node: Node, make_record: MakeRecord, now: float) -> None:
    message = make_record("m", kind="message", parts=2, octets=200, answer_time=now + 1)
    node.load((OPEN, message))
    node.load((ANSWER, message))  # one of 3GPP, whose report is awaited
    assert node.events() == []
    message.release_time, message.release_cause = now + 2, "NORMAL"
    node.load((CLOSE, message))
    assert [kind for _, kind, _ in node.events()] == [SMS, CDR]
    assert node.payloads(SMS)[0]["parts"] == 2


def test_no_number_stands_in_clear(node: Node, make_record: MakeRecord, now: float) -> None:
    opened, talks, ended = answered_call(make_record, now, "a", group_member="13700137000")
    ended.presented_number = "13600136000"
    for step in ((OPEN, opened), (ANSWER, talks), (CLOSE, ended)):
        node.load(step)
    text = str(node.connection.execute("SELECT payload FROM event").fetchall())
    assert [number for number in ("13800138000", "13900139000", "13700137000", "13600136000") if number in text] == []
    (record,) = node.payloads(CDR)
    assert [record[name] for name in ("caller", "callee", "group_member", "presented_number")] == [
        "138****8000", "139****9000", "137****7000", "136****6000",
    ]  # fmt: skip
    assert (record["tel_x"], record["record_seq"], record["bill_seconds"]) == ("700123456780001", 1, 3)
    hashes = node.connection.execute("SELECT hash FROM cdr").fetchone()
    assert (record["hash"],) == hashes
    assert not {"attempts", "caller_call_id", "ingress_peer", "icid_in"} & record.keys()


def test_each_platform_has_its_own_sequence_and_nobody_none(node: Node, make_record: MakeRecord, now: float) -> None:
    for number, platform in enumerate(("ap-1", "ap-2", "", "ap-1")):
        node.load((CLOSE, make_record(f"r{number}", app_platform=platform, release_time=now)))
    assert [(seq, subject) for seq, _, subject in node.events("ap-1")] == [
        (1, "r0"), (2, "r0"), (3, "r0"), (4, "r3"), (5, "r3"), (6, "r3"),
    ]  # fmt: skip
    assert [seq for seq, _, _ in node.events("ap-2")] == [1, 2, 3]
    assert node.events("") == []
    assert dict(node.connection.execute("SELECT * FROM feed")) == {"ap-1": 6, "ap-2": 3}


def test_a_number_is_not_given_again_when_its_event_is_gone(node: Node, make_record: MakeRecord, now: float) -> None:
    node.load((CLOSE, make_record("a", release_time=now)))
    node.connection.execute("DELETE FROM event")
    node.feed.forget()
    node.load((CLOSE, make_record("b", release_time=now)))
    assert [seq for seq, _, _ in node.events()] == [4, 5, 6]


def test_a_bad_row_is_not_told_and_the_others_once(node: Node, make_record: MakeRecord, now: float) -> None:
    bad = make_record("bad", release_time=now, call_time=None)
    ended = make_record("c", release_time=now)
    node.load((OPEN, make_record("a")), (OPEN, make_record("b")), (CLOSE, ended), (CLOSE, bad))
    assert node.loader.lost == 1
    assert sorted(kind for _, kind, _ in node.events()) == sorted([START, START, START, END, CDR])
    assert [seq for seq, _, _ in node.events()] == [1, 2, 3, 4, 5]
    assert "bad" not in {subject for _, _, subject in node.events()}


def test_a_failed_transaction_takes_no_number(node: Node, make_record: MakeRecord, now: float) -> None:
    node.load((CLOSE, make_record("a", release_time=now)))
    node.connection.execute(
        "CREATE TEMP TRIGGER full BEFORE UPDATE ON meta BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
    )
    group = node.journal.append([encoded_step(int(CLOSE), make_record("b", release_time=now).snapshot(), None)], 1)
    node.loader.fresh.put(group)
    with pytest.raises(sqlite3.Error):
        node.loader.load(group.position)
    node.connection.execute("DROP TRIGGER full")
    assert node.loader.load(group.position)
    assert [(seq, subject) for seq, _, subject in node.events()] == [
        (1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "b"), (6, "b"),
    ]  # fmt: skip


def test_a_restart_tells_of_what_it_ends(
    node: Node, records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float
) -> None:
    node.load((OPEN, make_record("a")))
    node.load((OPEN, make_record("none", app_platform="")))
    take_over(records_db, cipher, "veil-1", now + 9, announces=True)
    assert node.events() == [(1, START, "a"), (2, END, "a"), (3, CDR, "a")]
    (record,) = node.payloads(CDR)
    assert (record["release_cause"], record["caller"], record["callee"]) == (
        "NODE_RESTART", "138****8000", "139****9000",
    )  # fmt: skip
    assert verify(records_db).is_clean


def test_without_a_feed_nothing_is_written(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float
) -> None:
    node = Node(records_db, cipher, announces=False)
    node.load((OPEN, make_record("a")))
    node.load((CLOSE, make_record("b", release_time=now)))
    take_over(records_db, cipher, "veil-1", now + 9)
    assert node.events() == []
    node.journal.close()
    node.loader.close()
    node.connection.close()


def told(path: Path, cipher: NumberCipher, now: float, *subjects: str, platform: str = "ap-demo") -> None:
    with closing(open_database(path, BINDINGS, cipher)) as connection:
        for subject in subjects:
            publish(connection, platform, "number.status", subject, {"tel_x": subject, "state": "locked"}, now)


def test_the_outbox_goes_into_the_feed_in_its_order_and_once(
    node: Node, stocked: Path, cipher: NumberCipher, make_record: MakeRecord, now: float
) -> None:
    outbox = OutboxReader(stocked)
    node.loader.take_outbox(outbox)  # what the inventory has told
    first = len(node.events())
    told(stocked, cipher, now, "x1", "x2")
    told(stocked, cipher, now, "x3", platform="")
    node.loader.take_outbox(outbox)
    node.load((CLOSE, make_record("a", release_time=now)))
    told(stocked, cipher, now, "x4")
    for _ in range(2):
        node.loader.take_outbox(outbox)
    assert [subject for _, kind, subject in node.events() if kind == "number.status"] == ["x1", "x2", "x4"]
    assert [seq for seq, _, _ in node.events()] == [*range(1, first + 7)]
    outbox.close()
    node.loader.take_outbox(outbox)  # opened anew, nothing is taken again
    assert [seq for seq, _, _ in node.events()] == [*range(1, first + 7)]
    outbox.close()
    again = Feed(node.connection, cipher)
    with closing(open_read_only(stocked, None)) as reader:
        assert not again.take_outbox(reader)


def test_of_an_older_copy_of_the_bindings_the_outbox_is_taken(
    node: Node, stocked: Path, cipher: NumberCipher, now: float
) -> None:
    outbox = OutboxReader(stocked)
    with closing(open_database(stocked, BINDINGS, cipher)) as connection:
        connection.execute("VACUUM INTO ?", (str(stocked.with_name("copy")),))
    told(stocked, cipher, now, "x1", "x2", "x3")
    node.loader.take_outbox(outbox)
    outbox.close()
    for suffix in ("-wal", "-shm"):
        stocked.with_name(f"{stocked.name}{suffix}").unlink(missing_ok=True)
    stocked.with_name("copy").replace(stocked)
    told(stocked, cipher, now, "y1", "y2")
    node.loader.take_outbox(outbox)
    outbox.close()
    subjects = [subject for _, kind, subject in node.events() if kind == "number.status"]
    assert subjects == ["x1", "x2", "x3", "y1", "y2"]
