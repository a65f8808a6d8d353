"""The writer, both ends of it: groups, their bounds, bad steps and bad rows, its end."""

from __future__ import annotations

import queue
import sqlite3
import threading
from pathlib import Path

import pytest

from engine.core.records import RECORD_COLUMNS, Step
from engine.recording import client, serving
from engine.recording.client import Done
from engine.recording.frames import done
from engine.store import records
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.journal import segment_numbers
from engine.store.verify import verify
from tests.store.desk import NOW_S, PATIENCE_S, Desk, MakeRecord
from tests.store.writing import RecordWriter


def test_each_step_is_told_when_it_is_durable(desk: Desk, intruder: sqlite3.Connection) -> None:
    desk.writer.start()
    for step, table in ((Step.OPEN, "call_open"), (Step.ANSWER, "call_answer"), (Step.CLOSE, "cdr")):
        assert desk.submit(step, "a")
        assert desk.outcomes(1) == {(step, "a"): True}
        desk.until(lambda: desk.writer.unloaded_bytes == 0)
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
    desk.until(lambda: desk.writer.unloaded_bytes == 0)
    assert desk.stored() == [f"r{number}" for number in range(50)]


class SteppedClock:
    """The time of the serving thread: it stands still, and each sleep lasts until the test lets it end."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.sleeps: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_released = False

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        if not self._is_released:
            self.sleeps.put(seconds)
            self._ends.get(timeout=PATIENCE_S)
        self.now_s += seconds

    def asleep(self) -> float:
        """Wait until it sleeps; for how long it is going to."""
        return self.sleeps.get(timeout=PATIENCE_S)

    def wake(self) -> None:
        self._ends.put(None)

    def release(self) -> None:
        """What sleeps from now on wakes at once."""
        self._is_released = True
        self.wake()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    stepped = SteppedClock()
    for module in (serving, records):
        monkeypatch.setattr(module, "time", stepped)
    return stepped


@pytest.mark.pure
def test_a_window_gathers_what_comes_within_it(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, clock: SteppedClock
) -> None:
    groups: queue.SimpleQueue[Done] = queue.SimpleQueue()
    writer = RecordWriter(records_db, cipher, "veil-1", "boot", 300, groups.put)
    writer.start()
    writer.submit(Step.CLOSE, make_record("first").snapshot(), None, "first")
    assert groups.get(timeout=PATIENCE_S) == [("first", True)]
    for record_id in ("a", "b", "c"):
        writer.submit(Step.CLOSE, make_record(record_id).snapshot(), None, record_id)
    writer.in_loop(lambda: None)  # behind the flush of the last one
    assert clock.asleep() == pytest.approx(0.3 - serving.LATE_S)
    clock.wake()
    assert groups.get(timeout=PATIENCE_S) == [("a", True), ("b", True), ("c", True)]
    clock.release()
    writer.stop()


@pytest.mark.pure
def test_groups_begin_a_window_apart(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, clock: SteppedClock
) -> None:
    groups: queue.SimpleQueue[Done] = queue.SimpleQueue()
    writer = RecordWriter(records_db, cipher, "veil-1", "boot", 300, groups.put)
    writer.start()
    for record_id, late_s in (("first", None), ("a", 0.3), ("b", 0.3)):
        writer.submit(Step.CLOSE, make_record(record_id).snapshot(), None, record_id)
        if late_s is not None:
            assert clock.asleep() == pytest.approx(late_s - serving.LATE_S)
            clock.wake()
        assert groups.get(timeout=PATIENCE_S) == [(record_id, True)]
    clock.now_s += 0.2  # a part of the window has passed without it
    writer.submit(Step.CLOSE, make_record("c").snapshot(), None, "c")
    assert clock.asleep() == pytest.approx(0.1 - serving.LATE_S)
    clock.wake()
    assert groups.get(timeout=PATIENCE_S) == [("c", True)]
    clock.release()
    writer.stop()


@pytest.mark.pure
def test_a_busy_writer_looks_when_its_window_is_over(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, clock: SteppedClock
) -> None:
    """Nothing wakes it before; a single step does, as after a quiet time."""
    groups: queue.SimpleQueue[Done] = queue.SimpleQueue()
    writer = RecordWriter(records_db, cipher, "veil-1", "boot", 300, groups.put)
    for record_id in ("a", "b"):
        writer.submit(Step.CLOSE, make_record(record_id).snapshot(), None, record_id)
    writer.start()
    assert len(groups.get(timeout=PATIENCE_S)) == 2
    assert clock.asleep() == pytest.approx(0.3 - serving.LATE_S)
    writer.submit(Step.CLOSE, make_record("c").snapshot(), None, "c")
    writer.in_loop(lambda: None)
    assert groups.empty()
    clock.wake()
    assert groups.get(timeout=PATIENCE_S) == [("c", True)]
    clock.release()
    writer.stop()
    assert writer.written == 3


def test_who_comes_alone_does_not_wait(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> None:
    done = threading.Event()
    writer = RecordWriter(records_db, cipher, "veil-1", "boot", 30_000, lambda _: done.set())
    writer.start()
    writer.submit(Step.CLOSE, make_record("a").snapshot(), None, "a")
    assert done.wait(PATIENCE_S)
    writer.stop()


@pytest.mark.pure
def test_a_group_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []  # as they are told, since whoever hears may hear of two at once

    def noted(count: int, is_durable: bool, *figures: int) -> bytes:
        sizes.append(count)
        return done(count, is_durable, *figures)

    monkeypatch.setattr(serving, "GROUP_LIMIT", 4)
    monkeypatch.setattr(serving, "done", noted)
    desk.close_many(*[f"r{number}" for number in range(10)])
    desk.writer.start()
    assert len(desk.outcomes(10)) == 10
    assert [size for size in sizes if size] == [4, 4, 2]
    desk.until(lambda: desk.writer.unloaded_bytes == 0)
    assert len(desk.stored()) == 10


def test_stopping_writes_what_has_queued(desk: Desk) -> None:
    for number in range(2500):
        assert desk.submit(Step.CLOSE, f"r{number}", call_out_time=NOW_S)
    desk.writer.start()
    desk.writer.stop()
    assert len(desk.stored()) == desk.writer.written == 2500
    assert not desk.submit(Step.CLOSE, "late")
    assert verify(desk.path).is_clean
    assert segment_numbers(desk.folder) == []


def test_a_writer_that_never_started_can_be_stopped(
    desk: Desk, records_db: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    desk.writer.stop()
    Desk(records_db, cipher, make_record).writer.stop()


def test_two_writers_on_one_folder_are_refused(desk: Desk, cipher: NumberCipher) -> None:
    with pytest.raises(StoreError, match="another node is running on this folder"):
        RecordWriter(desk.path, cipher, "veil-2", "boot", 0, print)


@pytest.mark.pure
def test_the_queue_is_bounded_and_keeps_room_for_calls_in_progress(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "QUEUE_LIMIT", 3)
    monkeypatch.setattr(client, "CLOSE_RESERVE", 2)
    assert [desk.submit(Step.OPEN, f"o{number}") for number in range(5)] == [True] * 3 + [False] * 2
    assert desk.writer.is_overloaded
    assert desk.submit(Step.ANSWER, "o0")
    assert not desk.submit(Step.CLOSE, "refused")
    assert [desk.submit(Step.CLOSE, "o0", call_out_time=NOW_S) for _ in range(2)] == [True, False]
    desk.writer.start()
    assert sum(desk.outcomes(5).values()) == 5
    assert desk.submit(Step.OPEN, "o9")


def test_what_the_journal_cannot_hold_does_not_sink_its_group(desk: Desk) -> None:
    values = list(desk.make("bad").snapshot())
    values[RECORD_COLUMNS.index("octets")] = object()
    desk.close_many("a")
    assert desk.writer.submit(Step.CLOSE, tuple(values), None, (Step.CLOSE, "bad"))
    desk.close_many("b")
    desk.writer.start()
    assert desk.outcomes(3) == {(Step.CLOSE, "a"): True, (Step.CLOSE, "bad"): False, (Step.CLOSE, "b"): True}
    desk.writer.stop()
    assert desk.stored() == ["a", "b"]
    assert (desk.writer.written, desk.writer.lost, desk.writer.fault) == (2, 1, "")


@pytest.mark.parametrize(
    "bad",
    [
        {"octets": 1.5},  # no column holds it
        {"parts": 1 << 70},  # too large for SQLite
        {"call_time": None},
        {"mode": None},  # NOT NULL
        {"callee": 5},  # no text to encrypt
        {"attempts": (None,)},
    ],
)
def test_a_row_that_the_table_refuses_does_not_sink_its_batch(desk: Desk, bad: dict[str, object]) -> None:
    """It is counted, and the segment that holds it stays for a person to look at."""
    values = list(desk.make("bad").snapshot())
    for name, value in bad.items():
        values[RECORD_COLUMNS.index(name)] = value
    assert desk.submit(Step.OPEN, "o")
    desk.close_many("a", "b")
    assert desk.writer.submit(Step.CLOSE, tuple(values), None, (Step.CLOSE, "bad"))
    desk.close_many("c")
    desk.writer.start()
    assert all(desk.outcomes(5).values())
    desk.until(lambda: desk.writer.unloaded_bytes == 0)
    desk.writer.stop()
    assert desk.stored() == ["a", "b", "c"]
    assert (desk.writer.written, desk.writer.lost, desk.writer.load_fault) == (3, 1, "")
    assert verify(desk.path).is_clean
    assert [path.suffix for path in desk.folder.iterdir()] == [".damaged"]
