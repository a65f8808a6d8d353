"""Groups go from memory into the tables, or from the file: each once, whichever way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.records import CallRecord, Step
from engine.recording import serving
from engine.store import fresh
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import RECORDS, open_database
from engine.store.journal import Journal, segment_path
from engine.store.loader import Loader
from engine.store.loading import make_folder
from engine.store.segment import Position, encoded_step
from engine.store.signing import open_signing_key
from engine.store.verify import verify
from tests.store.desk import Desk

MakeRecord = Callable[..., CallRecord]


class Mill:
    """A journal and its loader in one thread; each group is the end of one call."""

    def __init__(self, path: Path, cipher: NumberCipher, make: MakeRecord) -> None:
        self.path, self._make = path, make
        self.folder = make_folder(path)
        self.connection = open_database(path, RECORDS, cipher)
        self.loader = Loader(self.connection, self.folder, cipher, open_signing_key(path.parent))
        self.journal = Journal(self.folder, cipher, "veil-1", ("boot", 1), 0)
        self.appended: list[str] = []
        self.ends: list[Position] = []

    def append(self, is_handed_over: bool = True) -> None:
        record_id = f"r{len(self.appended):03d}"
        group = self.journal.append([encoded_step(int(Step.CLOSE), self._make(record_id).snapshot(), None)], 1)
        self.appended.append(record_id)
        self.ends.append(group.position)
        if is_handed_over:
            self.loader.fresh.put(group)

    def load(self, until: Position | None) -> None:
        while self.loader.load(until):
            pass

    def spoil(self) -> None:
        """What stands in the first segment can be read no more."""
        with segment_path(self.folder, 1).open("r+b") as file:
            file.write(bytes(100_000))

    @property
    def recorded(self) -> list[str]:
        return [row[0] for row in self.connection.execute("SELECT record_id FROM cdr ORDER BY seq")]


@pytest.fixture
def mill(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Mill]:
    mill = Mill(records_db, cipher, make_record)
    yield mill
    mill.journal.close()
    mill.connection.close()


def test_what_is_in_memory_is_not_read_again(mill: Mill) -> None:
    """The first group of a run is read: what stands before it is not known otherwise."""
    mill.append()
    mill.load(mill.ends[-1])
    for _ in range(3):
        mill.append()
    mill.journal.begin()
    mill.append()
    mill.spoil()
    mill.load(mill.ends[2])
    assert mill.recorded == mill.appended[:3], "no further than it may"
    mill.load(mill.ends[-1])
    assert (mill.recorded, mill.loader.notes) == (mill.appended, [])
    assert mill.loader.loaded == mill.journal.appended


def test_a_group_that_memory_lacks_is_read_between_those_that_it_has(mill: Mill) -> None:
    for is_handed_over in (True, True, False, False, True, True, False):
        mill.append(is_handed_over)
        if len(mill.appended) in (3, 5):
            mill.journal.begin()
    mill.load(mill.ends[-1])
    assert (mill.recorded, mill.loader.loaded) == (mill.appended, mill.journal.appended)


def test_what_cannot_be_read_costs_nothing_of_what_is_in_memory(mill: Mill) -> None:
    for is_handed_over in (True, False, True, True):
        mill.append(is_handed_over)
    mill.spoil()
    mill.load(mill.ends[-1])
    assert mill.recorded == mill.appended[2:]
    assert mill.loader.notes == [f"journal segment 1: what stands before offset {mill.ends[1][1]} is lost"]


def test_after_an_append_that_failed_memory_goes_on(mill: Mill) -> None:
    mill.append()
    mill.append()
    mill.load(mill.ends[-1])
    mill.journal._give_up()
    mill.append()
    mill.spoil()
    mill.load(mill.ends[-1])
    assert (mill.recorded, mill.loader.notes, mill.ends[-1][0]) == (mill.appended, [], 2)


def test_a_load_that_failed_is_done_again_from_the_file(mill: Mill) -> None:
    mill.connection.execute("PRAGMA busy_timeout = 0")
    for _ in range(3):
        mill.append()
    other = sqlite3.connect(mill.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        mill.load(mill.ends[1])
    other.execute("ROLLBACK")
    other.close()
    mill.append()
    mill.load(mill.ends[-1])
    assert (mill.recorded, mill.loader.loaded) == (mill.appended, mill.journal.appended)


@pytest.mark.pure
def test_memory_is_bounded(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    mill.append()
    monkeypatch.setattr(fresh, "FRESH_LIMIT", 2 * mill.journal.appended)
    for _ in range(4):
        mill.append()
    assert len(mill.loader.fresh._groups) == 2
    mill.load(mill.ends[-1])
    mill.append()
    assert len(mill.loader.fresh._groups) == 1, "there is room again"
    mill.load(mill.ends[-1])
    assert mill.recorded == mill.appended


def test_the_loader_is_woken_once_until_it_looks_again(mill: Mill) -> None:
    fresh = mill.loader.fresh
    assert [fresh.publish((1, end)) for end in (300, 400)] == [True, False]
    fresh.is_awaited = True
    assert fresh.published == (1, 400)
    assert [fresh.publish((1, end)) for end in (500, 600)] == [True, False]


@pytest.mark.pure
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_group_is_loaded_once(
    tmp_path_factory: pytest.TempPathFactory, make_record: MakeRecord, data: st.DataObject
) -> None:
    """Whatever memory lacks, wherever segments end and loads stop, and also when a load has come to nothing."""
    folder = tmp_path_factory.mktemp("mill")
    mill = Mill(folder / "records.db", open_key(folder), make_record)
    for act in data.draw(
        st.lists(st.sampled_from(["put", "put", "keep", "begin", "load", "part", "fail"]), max_size=25)
    ):
        if act == "begin":
            mill.journal.begin()
        elif act in ("put", "keep"):
            mill.append(act == "put")
        elif mill.ends:
            until = data.draw(st.sampled_from(mill.ends)) if act == "part" else mill.ends[-1]
            with pytest.MonkeyPatch.context() as patch:
                if act == "fail":
                    patch.setattr(mill.loader, "_write", failing)
                    with suppress(sqlite3.OperationalError):  # when there was something to load
                        mill.loader.load(until)
                else:
                    mill.load(until)
            assert mill.recorded == mill.appended[: len(mill.recorded)]
            due = sum(end <= until for end in mill.ends)
            assert act == "fail" or len(mill.recorded) >= due
    mill.journal.close()
    mill.load(None)
    assert (mill.recorded, mill.loader.notes) == (mill.appended, [])
    assert mill.loader.loaded == mill.journal.appended
    mill.connection.close()
    assert verify(mill.path).is_clean


def failing(*_: object) -> None:
    raise sqlite3.OperationalError("planted")


@pytest.mark.pure
def test_a_running_writer_hands_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its segment stood there is none any more, and nothing is missed."""
    monkeypatch.setattr(serving, "GROUP_LIMIT", 1)
    desk.submit(Step.CLOSE, "first")
    desk.writer.start()
    assert all(desk.outcomes(1).values())
    desk.until(lambda: desk.writer.unloaded_bytes == 0)
    segment_path(desk.folder, 1).unlink()
    for number in range(20):
        desk.submit(Step.CLOSE, f"r{number:02d}")
    assert all(desk.outcomes(20).values())
    desk.until(lambda: desk.writer.unloaded_bytes == 0)
    assert (len(desk.stored()), desk.writer.damaged) == (21, 0)
