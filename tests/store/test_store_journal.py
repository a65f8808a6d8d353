"""Segments and groups, and the way from the journal into the tables; also when a piece of it is spoilt."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.records import CallRecord, Step
from engine.store import journal, loader, loading
from engine.store.crypto import NumberCipher, open_key
from engine.store.journal import SPARE, Journal, segment_numbers, segment_path, waiting_bytes
from engine.store.loading import make_folder, pause_s
from engine.store.rows import DIALOGS
from engine.store.segment import UNKNOWN_END, SegmentHead, StoredStep, UnreadableHead, encoded_step, read_head
from engine.store.verify import verify
from tests.store.desk import Desk
from tests.store.writing import RecordWriter, recover

MakeRecord = Callable[..., CallRecord]


class Run:
    """One run of a node that writes a journal, and is killed."""

    def __init__(self, records_db: Path, cipher: NumberCipher, make: MakeRecord, last_number: int = 0) -> None:
        self.path, self.cipher, self._make = records_db, cipher, make
        self.folder = make_folder(records_db)
        self.journal = Journal(self.folder, cipher, "veil-1", (f"boot{last_number}", last_number), last_number)
        self.ends: list[int] = []  # offsets behind each group

    def group(self, *steps: tuple[Step, str], **changes: object) -> None:
        """Append one."""
        self.journal.append(
            [encoded_step(*self.step(step, record_id, **changes)) for step, record_id in steps], len(steps)
        )
        self.ends.append(self.journal.end[1])

    def step(self, step: Step, record_id: str, **changes: object) -> StoredStep:
        return int(step), self._make(record_id, **changes).snapshot(), None

    def segment(self, number: int = 1) -> Path:
        return segment_path(self.folder, number)

    def recover(self) -> list[str]:
        self.journal.close()
        notes = recover(self.path, self.cipher)
        assert verify(self.path).is_clean
        return notes

    def column(self, query: str) -> list[object]:
        connection = sqlite3.connect(self.path)
        try:
            return [row[0] for row in connection.execute(query)]
        finally:
            connection.close()

    @property
    def ended(self) -> list[object]:
        return self.column("SELECT record_id FROM cdr ORDER BY seq")

    @property
    def opened(self) -> list[object]:
        return self.column("SELECT record_id FROM call_open ORDER BY record_id")

    def spoil(self, offset: int, data: bytes, number: int = 1) -> None:
        with self.segment(number).open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def flip(self, offset: int, number: int = 1) -> None:
        """Change one octet, whatever it is."""
        self.spoil(offset, bytes([self.segment(number).read_bytes()[offset] ^ 0xFF]), number)


@pytest.fixture
def run(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Run:
    return Run(records_db, cipher, make_record)


def test_what_is_in_the_journal_is_loaded_at_the_next_start(run: Run) -> None:
    run.group((Step.OPEN, "a"), (Step.OPEN, "b"))
    run.group((Step.ANSWER, "a"), (Step.CLOSE, "b"), (Step.CLOSE, "refused"))
    assert run.recover() == []
    assert (run.opened, run.ended) == (["a"], ["b", "refused"])
    assert run.column("SELECT record_id FROM call_answer") == ["a"]
    assert run.column("SELECT boot_id FROM call_open") == ["boot0"]
    assert run.column("SELECT attempts || '/' || records FROM counter") == ["3/2"]
    assert segment_numbers(run.folder) == []
    assert run.recover() == []
    assert run.ended == ["b", "refused"]


def test_the_next_run_goes_on_behind_it(run: Run, cipher: NumberCipher, make_record: MakeRecord) -> None:
    run.group((Step.OPEN, "a"), (Step.CLOSE, "b"))
    run.recover()
    again = Run(run.path, cipher, make_record, last_number=1)
    again.group((Step.CLOSE, "a"), (Step.OPEN, "c"))
    assert segment_numbers(run.folder) == [2]
    assert again.recover() == []
    assert (again.opened, again.ended) == (["c"], ["b", "a"])
    assert again.column("SELECT boot_id FROM call_open") == ["boot1"]


def test_what_an_answer_needs_may_be_any_nesting(run: Run) -> None:
    """A named tuple, too, which marshal would refuse."""
    writer = RecordWriter(run.path, run.cipher, "veil-1", "boot", 0, lambda done: None)
    writer.start()
    values = run.step(Step.OPEN, "a")[1]
    extra = Nested("h", {"k": [b"\xe4\xbd", 1.5, None, True]})
    assert writer.submit(Step.OPEN, values, None, 1) and writer.submit(Step.ANSWER, values, extra, 2)
    writer.stop()
    assert writer.lost == 0
    (dialogs,) = run.column("SELECT dialogs FROM call_answer")
    assert isinstance(dialogs, bytes)
    assert json.loads(run.cipher.decrypt(dialogs, DIALOGS)) == ["h", {"k": [{"latin1": "\xe4\xbd"}, 1.5, None, True]}]


class Nested(NamedTuple):
    host: str
    rest: dict[str, object]


def test_no_number_stands_in_it_and_nobody_else_may_read_it(run: Run) -> None:
    run.group((Step.OPEN, "a"), (Step.CLOSE, "b"))
    data = run.segment().read_bytes()
    assert b"13800138000" not in data and b"13900139000" not in data and b"700123456780001" not in data
    assert run.segment().stat().st_mode & 0o777 == 0o600
    assert run.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("cut", [1, 5, 12, 13, 40])
def test_a_torn_group_at_the_end_is_dropped_and_said_once(run: Run, cut: int) -> None:
    run.group((Step.CLOSE, "a"))
    run.group((Step.CLOSE, "b"))
    first, second = run.ends
    with run.segment().open("r+b") as file:
        file.truncate(first + cut)
    (note,) = run.recover()
    assert note == f"journal segment 1: the last {cut} bytes were not written to their end, and are dropped"
    assert (run.ended, run.recover(), list(run.folder.iterdir())) == (["a"], [], [])
    assert second > first + cut


def test_a_group_that_was_not_begun_is_no_damage(run: Run) -> None:
    run.group((Step.CLOSE, "a"))
    with run.segment().open("r+b") as file:
        file.truncate(run.ends[0])
    assert run.recover() == []
    assert run.ended == ["a"]


@pytest.mark.parametrize("place", ["mark", "length", "checksum", "text", "zeros"])
def test_a_damaged_group_in_the_middle_is_said_and_the_rest_is_loaded(run: Run, place: str) -> None:
    for record_id in "abc":
        run.group((Step.CLOSE, record_id))
    start, end = run.ends[:2]
    offset = start + {"mark": 0, "length": 4, "checksum": 8, "text": 60, "zeros": 0}[place]
    if place == "zeros":
        run.spoil(offset, bytes(end - start))
    else:
        run.flip(offset)
    (note,) = run.recover()
    assert note == f"journal segment 1: {end - start} bytes at offset {start} are damaged"
    assert run.ended == ["a", "c"]
    assert [path.name for path in run.folder.iterdir()] == [run.segment().with_suffix(".damaged").name]
    assert run.recover() == []


def test_a_group_opens_only_where_it_was_written(run: Run) -> None:
    """Whoever has no key can copy or move groups, and is found out."""
    run.group((Step.CLOSE, "a"))
    run.group((Step.CLOSE, "b"))
    first, second = run.ends
    run.spoil(second, run.segment().read_bytes()[first:second])
    notes = run.recover()
    assert len(notes) == 1
    assert run.ended == ["a", "b"]


def test_a_group_of_another_segment_does_not_open(run: Run) -> None:
    run.group((Step.CLOSE, "a"))
    run.journal.begin()
    run.group((Step.CLOSE, "b"))
    one, other = run.segment(1).read_bytes(), run.segment(2).read_bytes()
    head = len(read_head(one, 1)[1])
    assert len(read_head(other, 2)[1]) > head  # the end of the first stands in it
    run.journal.close()
    run.segment(2).write_bytes(read_head(other, 2)[1] + one[head : run.ends[0]])
    assert len(run.recover()) == 1
    assert run.ended == ["a"]


def test_a_segment_that_was_cut_off_or_taken_away_is_missed(run: Run) -> None:
    for record_id in "abc":
        run.group((Step.CLOSE, record_id))
        run.journal.begin()
    with run.segment(1).open("r+b") as file:
        file.truncate(run.ends[0] - 1)
    run.segment(2).unlink()
    notes = run.recover()
    assert [note.split(":")[0] for note in notes] == ["journal segment 1", "journal segment 2"]
    assert "is missing" in notes[1]
    assert run.ended == ["c"]


def test_an_unreadable_head_is_said(run: Run) -> None:
    run.group((Step.CLOSE, "a"))
    run.journal.begin()
    run.group((Step.CLOSE, "b"))
    run.spoil(20, b"\xff")
    assert run.recover() == ["journal segment 1: cannot be read: its head is damaged"]
    assert run.ended == ["b"]


def test_a_newer_format_is_named() -> None:
    head = SegmentHead(1, "n", "b", 1, "k", "00" * 16, UNKNOWN_END, format=3)
    with pytest.raises(UnreadableHead, match="its format 3 is not 2"):
        read_head(head.encoded(), 1)


def test_a_failed_append_counts_for_nothing(run: Run) -> None:
    """Its bytes may have reached the disk: the next segment says where this one ends."""
    run.group((Step.CLOSE, "a"))
    end = run.ends[0]
    run.group((Step.CLOSE, "not confirmed"))
    run.journal._offset = end  # as after a write whose flush has failed
    run.journal.begin()
    run.group((Step.CLOSE, "b"))
    assert run.recover() == []
    assert run.ended == ["a", "b"]


def test_a_failed_append_leaves_its_segment(run: Run) -> None:
    run.group((Step.CLOSE, "a"))
    os.close(run.journal._file)
    run.journal._file = os.open(run.segment(), os.O_RDONLY)  # every write fails
    with pytest.raises(OSError, match="Bad file descriptor"):
        run.group((Step.CLOSE, "lost"))
    run.group((Step.CLOSE, "b"))
    assert segment_numbers(run.folder) == [1, 2]
    assert run.recover() == []
    assert run.ended == ["a", "b"]


@pytest.mark.pure
def test_a_segment_that_is_full_or_old_is_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.group((Step.CLOSE, "a"))
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 1000)
    while len(segment_numbers(run.folder)) == 1:
        run.group((Step.CLOSE, f"r{len(run.ends):03d}"))
    monkeypatch.setattr(journal, "LONGEST_USE_S", -1.0)
    run.group((Step.CLOSE, "x"))
    run.journal.begin()
    run.journal.leave_old(time.monotonic())
    run.group((Step.CLOSE, "y"))
    assert len(segment_numbers(run.folder)) == 4
    assert run.recover() == []
    assert run.ended == ["a", *[f"r{number:03d}" for number in range(1, len(run.ends) - 2)], "x", "y"]


@pytest.mark.pure
def test_a_running_writer_leaves_a_segment_that_is_old(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LONGEST_USE_S", -1.0)
    desk.writer.start()
    for number in range(1, 4):
        desk.close_many(f"r{number}")
        assert all(desk.outcomes(1).values())
        assert desk.writer.group_writer._journal.end[0] == number


def test_a_segment_is_made_of_one_that_was_loaded(run: Run) -> None:
    """What the older one has left behind the last group is no damage, wherever the new one is cut off."""
    for number in range(12):  # more than a block
        run.group((Step.CLOSE, f"old{number}"))
    run.journal.close()
    run.segment().rename(run.folder / SPARE)
    run.group((Step.CLOSE, "new"))
    assert [path.name for path in run.folder.iterdir()] == [run.segment(2).name]
    assert b"GRP1" in run.segment(2).read_bytes()[run.ends[-1] :]
    assert run.recover() == []
    assert run.ended == ["new"]


def test_a_torn_group_before_what_an_older_segment_has_left(run: Run) -> None:
    for number in range(12):  # more than a block
        run.group((Step.CLOSE, f"old{number}"))
    run.journal.close()
    run.segment().rename(run.folder / SPARE)
    run.group((Step.CLOSE, "new"))
    run.group((Step.CLOSE, "torn"))
    start, end = run.ends[-2:]
    run.flip(start + 40, number=2)
    (note,) = run.recover()
    assert note == f"journal segment 2: the last {end - start} bytes were not written to their end, and are dropped"
    assert run.ended == ["new"]


@pytest.mark.pure
def test_a_running_writer_goes_round(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are made of those that were loaded, again and again."""
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 2000)
    desk.writer.start()
    for number in range(60):
        desk.submit(Step.CLOSE, f"r{number:02d}")
        desk.outcomes(1)
        if number % 10 == 0:
            desk.until(lambda: desk.writer.unloaded_bytes == 0)
    assert len(list(desk.folder.iterdir())) < 15
    desk.writer.stop()
    assert desk.stored() == [f"r{number:02d}" for number in range(60)]
    assert (desk.writer.damaged, list(desk.folder.iterdir())) == (0, [])


def test_bytes_that_wait(run: Run) -> None:
    assert waiting_bytes(run.folder, (0, 0)) == 0
    run.group((Step.CLOSE, "a"))
    run.group((Step.CLOSE, "b"))
    run.journal.begin()
    run.group((Step.CLOSE, "c"))
    assert waiting_bytes(run.folder, (0, 0)) == run.journal.appended
    assert waiting_bytes(run.folder, (1, run.ends[1])) == waiting_bytes(run.folder, (2, 0))
    assert waiting_bytes(run.folder, run.journal.end) == 0


@pytest.mark.pure
def test_a_start_that_is_cut_off_begins_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded in batches; a second start finds what the first has written, and no attempt has two records."""
    monkeypatch.setattr(loader, "BATCH_STEPS", 2)
    for number in range(6):
        run.group((Step.OPEN, f"r{number}"), (Step.CLOSE, f"r{number}"))
    kept = run.segment().read_bytes()
    run.recover()
    run.segment().write_bytes(kept)
    connection = sqlite3.connect(run.path)
    connection.execute("UPDATE meta SET value = ? WHERE name = 'journal'", (f"1:{run.ends[2]}",))
    connection.commit()
    connection.close()
    assert run.recover() == []
    assert run.ended == [f"r{number}" for number in range(6)]
    assert run.opened == []


@pytest.mark.pure
def test_a_long_start_tells_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "BATCH_STEPS", 1)
    monkeypatch.setattr(loading, "PROGRESS_S", 0.0)
    for record_id in "abc":
        run.group((Step.CLOSE, record_id))
        run.journal.begin()
    told: list[tuple[int, int]] = []
    run.journal.close()
    recover(run.path, run.cipher, lambda at, last: told.append((at, last)))
    assert told == [(2, 4), (3, 4), (4, 4)]
    told.clear()
    monkeypatch.setattr(loading, "PROGRESS_S", 600.0)
    assert (recover(run.path, run.cipher, lambda at, last: told.append((at, last))), told) == ([], [])


Script = Sequence[tuple[Step, str]]


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cut_leaves_what_was_whole(
    tmp_path_factory: pytest.TempPathFactory, make_record: MakeRecord, data: st.DataObject
) -> None:
    """A journal that is cut anywhere holds the groups before the cut, no more and no less."""
    folder = tmp_path_factory.mktemp("cut")
    run = Run(folder / "records.db", open_key(folder), make_record)
    count = data.draw(st.integers(1, 6))
    for number in range(count):
        run.group((Step.CLOSE, f"r{number}"))
    head = len(read_head(run.segment().read_bytes(), 1)[1])
    cut = data.draw(st.integers(head, run.ends[-1]))
    with run.segment().open("r+b") as file:
        file.truncate(cut)
    notes = run.recover()
    whole = sum(end <= cut for end in run.ends)
    assert run.ended == [f"r{number}" for number in range(whole)]
    assert len(notes) == (cut not in (head, *run.ends))


def test_the_more_a_load_brings_the_longer_steps_gather() -> None:
    """A single call is in the tables at once; a thousand a second do not pay for ten commits a second."""
    assert [pause_s(loaded) for loaded in (0, 100_000, 10_000_000)] == [0.1, 0.35, 0.75]
