"""The writer thread: groups, faults of one row, faults of the store."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.records import RECORD_COLUMNS, CallRecord, Step
from engine.store import records
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.errors import StoreError
from engine.store.ledger import Ledger
from engine.store.records import Done, RecordWriter, window_s
from engine.store.rows import RowMaker
from engine.store.signing import open_signing_key
from engine.store.verify import verify

MakeRecord = Callable[..., CallRecord]
PATIENCE_S = 20.0  # for a machine that is busy with other tests


class Desk:
    """A writer with its outcomes in a queue; the token of a step is (step, record_id)."""

    def __init__(self, path: Path, cipher: NumberCipher, make: MakeRecord) -> None:
        self.path = path
        self.make = make
        self.groups: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self.writer = RecordWriter(path, cipher, "veil-1", "boot", 0, self.groups.put)

    def submit(self, step: Step, record_id: str, **changes: object) -> bool:
        return self.writer.submit(step, self.make(record_id, **changes).snapshot(), None, (step, record_id))

    def close_many(self, *record_ids: str) -> None:
        for record_id in record_ids:
            assert self.submit(Step.CLOSE, record_id)

    def outcomes(self, count: int) -> dict[tuple[Step, str], bool]:
        """The next outcomes, at least `count` of them."""
        found: Done = []
        while len(found) < count:
            found += self.groups.get(timeout=PATIENCE_S)
        return dict(found)  # type: ignore[arg-type]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the writer does without being asked."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.001)

    def stored(self) -> list[str]:
        connection = sqlite3.connect(self.path)
        try:
            return [row[0] for row in connection.execute("SELECT record_id FROM cdr ORDER BY seq")]
        finally:
            connection.close()


@pytest.fixture
def desk(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Desk]:
    desk = Desk(records_db, cipher, make_record)
    yield desk
    if desk.writer.is_alive():
        desk.writer.stop()


@pytest.fixture
def intruder(desk: Desk) -> Iterator[sqlite3.Connection]:
    """Another connection to the same file."""
    connection = sqlite3.connect(desk.path, isolation_level=None)
    yield connection
    connection.close()


def test_each_step_is_told_when_it_is_durable(desk: Desk, intruder: sqlite3.Connection) -> None:
    desk.writer.start()
    for step, table in ((Step.OPEN, "call_open"), (Step.ANSWER, "call_answer"), (Step.CLOSE, "cdr")):
        assert desk.submit(step, "a")
        assert desk.outcomes(1) == {(step, "a"): True}
        assert intruder.execute(f"SELECT record_id FROM {table}").fetchall() == [("a",)]
    assert intruder.execute("SELECT count(*) FROM call_open").fetchone() == (0,)
    assert (desk.writer.written, desk.writer.spooled, desk.writer.lost, desk.writer.fault) == (1, 0, 0, "")


def test_what_has_queued_is_one_group(desk: Desk) -> None:
    for number in range(50):
        assert desk.submit(Step.OPEN, f"r{number}")
        assert desk.submit(Step.CLOSE, f"r{number}")
    desk.writer.start()
    group = desk.groups.get(timeout=PATIENCE_S)
    assert len(group) == 100
    assert all(ok for _, ok in group)
    assert desk.stored() == [f"r{number}" for number in range(50)]


def test_a_window_gathers_what_comes_within_it(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> None:
    groups: queue.SimpleQueue[Done] = queue.SimpleQueue()
    writer = RecordWriter(records_db, cipher, "veil-1", "boot", 300, groups.put)
    writer.start()
    for record_id in ("a", "b", "c"):
        writer.submit(Step.CLOSE, make_record(record_id).snapshot(), None, record_id)
    assert groups.get(timeout=PATIENCE_S) == [("a", True), ("b", True), ("c", True)]
    writer.stop()


@pytest.mark.parametrize(
    ("configured_ms", "last_group", "gathered_ms"),
    [(2, 0, 2), (2, 4, 2), (2, 8, 4), (2, 20, 10), (2, 1000, 10), (50, 1000, 50), (0, 1000, 0)],
)
def test_a_crowd_is_gathered_longer(configured_ms: int, last_group: int, gathered_ms: int) -> None:
    assert window_s(configured_ms / 1000.0, last_group) == pytest.approx(gathered_ms / 1000.0)


def test_a_group_after_a_crowd_waits_for_more(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_groups: list[int] = []

    def noted(configured_s: float, last_group: int) -> float:
        last_groups.append(last_group)
        return window_s(configured_s, last_group)

    monkeypatch.setattr(records, "window_s", noted)
    groups: queue.SimpleQueue[Done] = queue.SimpleQueue()
    writer = RecordWriter(records_db, cipher, "veil-1", "boot", 2, groups.put)
    for number in range(12):
        writer.submit(Step.CLOSE, make_record(f"r{number}").snapshot(), None, number)
    writer.start()
    assert len(groups.get(timeout=PATIENCE_S)) == 12
    writer.submit(Step.CLOSE, make_record("last").snapshot(), None, "last")
    assert groups.get(timeout=PATIENCE_S) == [("last", True)]
    writer.stop()
    assert last_groups == [0, 12]


def test_a_group_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "GROUP_LIMIT", 4)
    desk.close_many(*[f"r{number}" for number in range(10)])
    desk.writer.start()
    assert [len(desk.groups.get(timeout=PATIENCE_S)) for _ in range(3)] == [4, 4, 2]
    assert len(desk.stored()) == 10


def test_stopping_writes_what_has_queued(desk: Desk) -> None:
    desk.close_many(*[f"r{number}" for number in range(2500)])
    desk.writer.start()
    desk.writer.stop()
    assert len(desk.stored()) == desk.writer.written == 2500
    assert not desk.submit(Step.CLOSE, "late")
    assert verify(desk.path).is_clean


def test_a_writer_that_never_started_can_be_stopped(
    desk: Desk, records_db: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    desk.writer.stop()
    Desk(records_db, cipher, make_record).writer.stop()


def test_two_writers_on_one_folder_are_refused(desk: Desk, cipher: NumberCipher) -> None:
    with pytest.raises(StoreError, match="another node is running on this folder"):
        RecordWriter(desk.path, cipher, "veil-2", "boot", 0, print)


def test_the_queue_is_bounded_and_keeps_room_for_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "QUEUE_LIMIT", 3)
    monkeypatch.setattr(records, "CLOSE_RESERVE", 2)
    assert [desk.submit(Step.OPEN, f"o{number}") for number in range(5)] == [True] * 3 + [False] * 2
    assert not desk.submit(Step.ANSWER, "o0")
    assert [desk.submit(Step.CLOSE, f"c{number}") for number in range(3)] == [True, True, False]
    desk.writer.start()
    assert sum(desk.outcomes(5).values()) == 5
    assert desk.submit(Step.OPEN, "o9")


@pytest.mark.parametrize(
    "bad",
    [
        {"octets": 1.5},  # no column holds it
        {"octets": object()},
        {"parts": 1 << 70},  # too large for SQLite
        {"call_time": None},
        {"mode": None},  # NOT NULL
        {"callee": 5},  # no text to encrypt
        {"attempts": [None]},
    ],
)
def test_a_bad_row_does_not_sink_its_group(desk: Desk, bad: dict[str, object]) -> None:
    values = list(desk.make("bad").snapshot())
    for name, value in bad.items():
        values[RECORD_COLUMNS.index(name)] = value
    desk.close_many("a", "b")
    assert desk.writer.submit(Step.CLOSE, tuple(values), None, (Step.CLOSE, "bad"))
    assert desk.submit(Step.ANSWER, "never opened")
    desk.close_many("a", "c")  # the second "a" is one too many
    desk.writer.start()
    group = desk.groups.get(timeout=PATIENCE_S)
    assert [ok for _, ok in group] == [True, True, False, False, False, True]
    assert desk.stored() == ["a", "b", "c"]
    assert (desk.writer.written, desk.writer.lost, desk.writer.fault) == (3, 2, "")
    assert verify(desk.path).is_clean


def test_a_listener_that_is_gone_does_not_stop_the_writer(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    called = threading.Event()

    def gone(done: Done) -> None:
        called.set()
        raise RuntimeError("Event loop is closed")

    writer = RecordWriter(records_db, cipher, "veil-1", "boot", 0, gone)
    writer.start()
    writer.submit(Step.CLOSE, make_record("a").snapshot(), None, "a")
    assert called.wait(PATIENCE_S)
    writer.submit(Step.CLOSE, make_record("b").snapshot(), None, "b")
    writer.stop()
    assert writer.written == 2


def test_a_locked_store_fails_closed_and_comes_back(
    desk: Desk, intruder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.writer._connection.execute("PRAGMA busy_timeout = 20")
    desk.writer.start()
    desk.submit(Step.OPEN, "running")
    assert desk.outcomes(1) == {(Step.OPEN, "running"): True}
    intruder.execute("BEGIN EXCLUSIVE")
    desk.submit(Step.OPEN, "a")
    desk.submit(Step.CLOSE, "b")
    assert desk.outcomes(2) == {(Step.OPEN, "a"): False, (Step.CLOSE, "b"): False}
    assert "locked" in desk.writer.fault
    desk.close_many("a", "running", "c")  # "a" was refused with INTERNAL
    desk.submit(Step.OPEN, "d")
    assert not any(desk.outcomes(4).values())
    assert desk.writer.spooled == 4
    intruder.execute("ROLLBACK")
    desk.until(lambda: desk.writer.spooled == 0)
    desk.close_many("e")
    assert desk.outcomes(1) == {(Step.CLOSE, "e"): True}
    assert desk.stored() == ["b", "a", "running", "c", "e"]
    assert (desk.writer.fault, desk.writer.written, desk.writer.lost) == ("", 5, 0)
    assert desk.writer._connection.execute("PRAGMA busy_timeout").fetchone() == (records.BUSY_MS,)
    assert verify(desk.path).is_clean


def test_a_lock_of_a_moment_is_waited_for(desk: Desk, intruder: sqlite3.Connection) -> None:
    intruder.execute("BEGIN EXCLUSIVE")
    desk.writer.start()
    desk.close_many("a")
    with pytest.raises(queue.Empty):
        desk.groups.get(timeout=0.1)
    intruder.execute("ROLLBACK")
    assert desk.outcomes(1) == {(Step.CLOSE, "a"): True}


def test_a_full_disk_fails_closed_and_comes_back(desk: Desk) -> None:
    connection = desk.writer._connection
    desk.close_many(*[f"before{number}" for number in range(20)])
    desk.submit(Step.OPEN, "running")
    desk.writer.start()
    assert all(desk.outcomes(21).values())
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    names = [f"full{number:02d}" for number in range(40)]
    desk.close_many(*names, "running")
    told = desk.outcomes(41)
    assert not told[Step.CLOSE, "running"]
    assert "full" in desk.writer.fault
    assert desk.writer.spooled >= 1
    desk.submit(Step.OPEN, "new")
    assert desk.outcomes(1) == {(Step.OPEN, "new"): False}
    connection.execute("PRAGMA max_page_count = 1073741823")
    desk.until(lambda: desk.writer.spooled == 0 and not desk.writer.fault)
    desk.close_many("after")
    assert desk.outcomes(1) == {(Step.CLOSE, "after"): True}
    assert desk.stored()[20:] == [*names, "running", "after"]
    assert verify(desk.path).is_clean


def test_the_store_goes_down_in_the_middle_of_singles(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad row makes the writer go one by one; then the disk fails after the second."""
    real = Ledger.write
    calls = 0

    def write(self: Ledger, *groups: list) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise sqlite3.OperationalError("disk I/O error")
        real(self, *groups)

    monkeypatch.setattr(Ledger, "write", write)
    desk.close_many("a", "a", "b", "c")
    desk.writer.start()
    assert [ok for _, ok in desk.groups.get(timeout=PATIENCE_S)] == [True, False, False, False]
    desk.until(lambda: desk.writer.spooled == 0)
    assert desk.stored() == ["a", "b", "c"]
    assert desk.writer.lost == 1


def test_a_record_that_was_written_after_all_is_not_written_twice(
    desk: Desk, intruder: sqlite3.Connection, cipher: NumberCipher
) -> None:
    """An error at COMMIT does not prove that nothing reached the disk."""
    desk.writer._connection.execute("PRAGMA busy_timeout = 0")
    desk.writer.start()
    intruder.execute("BEGIN EXCLUSIVE")
    desk.close_many("a", "b", "c")
    assert not any(desk.outcomes(3).values())
    desk.writer._retry_at_s = time.monotonic() + 3600  # not before the row is there
    intruder.execute("ROLLBACK")
    connection = open_database(desk.path, RECORDS, cipher)
    Ledger(connection, "veil-1", open_signing_key(desk.path.parent)).write(
        [], [], [RowMaker(cipher, "boot").closing(desk.make("b").snapshot())]
    )
    connection.close()
    desk.writer._retry_at_s = 0.0
    desk.close_many("d")
    assert desk.outcomes(1) == {(Step.CLOSE, "d"): True}
    assert desk.stored() == ["b", "a", "c", "d"]
    assert verify(desk.path).is_clean


def test_the_spool_is_bounded(desk: Desk, intruder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SPOOL_LIMIT", 3)
    desk.writer._connection.execute("PRAGMA busy_timeout = 0")
    intruder.execute("BEGIN EXCLUSIVE")
    desk.writer.start()
    desk.close_many("a", "b", "c", "d", "e")
    assert not any(desk.outcomes(5).values())
    assert (desk.writer.spooled, desk.writer.lost) == (3, 2)
    intruder.execute("ROLLBACK")
    desk.until(lambda: desk.writer.spooled == 0)
    assert desk.stored() == ["a", "b", "c"]
    assert desk.writer.lost == 2


def test_stopping_gives_the_spool_a_last_chance(desk: Desk, intruder: sqlite3.Connection) -> None:
    desk.writer._connection.execute("PRAGMA busy_timeout = 0")
    intruder.execute("BEGIN EXCLUSIVE")
    desk.writer.start()
    desk.close_many("a", "b")
    assert not any(desk.outcomes(2).values())
    intruder.execute("ROLLBACK")
    desk.writer.stop()
    assert desk.stored() == ["a", "b"]
    assert desk.writer.spooled == 0


def test_stopping_while_the_store_is_down_says_what_is_left(desk: Desk, intruder: sqlite3.Connection) -> None:
    desk.writer._connection.execute("PRAGMA busy_timeout = 0")
    intruder.execute("BEGIN EXCLUSIVE")
    desk.writer.start()
    desk.close_many("a", "b")
    assert not any(desk.outcomes(2).values())
    desk.writer.stop()
    assert (desk.writer.spooled, desk.writer.written) == (2, 0)
    assert desk.writer.fault
