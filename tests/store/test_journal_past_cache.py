"""What is written past the page cache: whole blocks, by which no earlier group is lost; and who does not take it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.records import Step
from engine.store.crypto import open_key
from engine.store.journal import BLOCK_BYTES, ROOM_BYTES
from engine.store.segment import END
from tests.store.test_store_journal import MakeRecord, Run

SECTOR: Final = 512  # the least that a disk writes whole or not at all
_pwritev: Final = os.pwritev


class Disk:
    """Notes what is appended, and whether it was written past the page cache; `refuses` stands in for a file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses: Callable[[bytes, int], OSError | None] = lambda data, at: None
        self.writes: list[tuple[int, bytes, bytes]] = []  # offset, what stood there, what was written
        self.is_direct: list[bool] = []
        self._flags: dict[int, int] = {}
        # Not every file system on which tests run has O_DIRECT.
        monkeypatch.setattr(fcntl, "fcntl", self._fcntl)
        monkeypatch.setattr(os, "pwritev", self._pwritev)

    def _fcntl(self, file: int, command: int, argument: int = 0) -> int:
        assert command == fcntl.F_SETFL
        self._flags[file] = argument
        return 0

    def _pwritev(self, file: int, pieces: Any, offset: int, flags: int) -> int:
        data = b"".join(pieces)
        self.is_direct.append(bool(self._flags.get(file, 0) & os.O_DIRECT))
        error = self.refuses(data, offset)
        if error is not None:
            raise error
        self.writes.append((offset, os.pread(file, len(data), offset), data))
        return _pwritev(file, pieces, offset, flags)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def run(data_dir: Path, make_record: MakeRecord) -> Run:
    return Run(data_dir / "records.db", open_key(data_dir), make_record)


def refused(*_: object) -> OSError:
    return OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def closes(run: Run, count: int) -> list[str]:
    """Appends that many groups of very different sizes; the records of which they tell."""
    names = [f"r{number:02d}" for number in range(count)]
    for number, name in enumerate(names):
        run.group((Step.CLOSE, name), decided_by="x" * (number % 5 * 1700))
    return names


def test_whole_blocks_are_written_and_all_groups_are_there(run: Run, disk: Disk) -> None:
    names = closes(run, 20)
    assert disk.is_direct == [True] * 20
    assert {len(data) % BLOCK_BYTES for _, _, data in disk.writes} == {0}
    assert {offset % BLOCK_BYTES for offset, _, _ in disk.writes} == {0}
    assert len({len(data) for _, _, data in disk.writes}) > 1
    assert (run.recover(), run.ended) == ([], names)


def test_a_block_is_written_again_as_it_is(run: Run, disk: Disk) -> None:
    """Up to the group, all that stood there stands there again: the head, and every group before."""
    closes(run, 20)
    begins = [disk.writes[0][1].index(bytes(16)), *run.ends]
    for (offset, before, written), begin in zip(disk.writes, begins, strict=False):
        assert written[: begin - offset] == before[: begin - offset]
        assert offset <= begin


def test_behind_a_group_stand_zeros(run: Run, disk: Disk) -> None:
    """Up to the end of its last block, whatever was longer before it."""
    closes(run, 20)
    for (offset, _, written), end in zip(disk.writes, run.ends, strict=True):
        assert written[end - offset :] == bytes(len(written) - (end - offset))


def test_a_group_may_be_longer_than_the_room(run: Run, disk: Disk) -> None:
    run.group((Step.CLOSE, "a"))
    run.group((Step.CLOSE, "long"), decided_by="x" * (ROOM_BYTES + 5_000))
    run.group((Step.CLOSE, "b"))
    assert disk.is_direct == [True] * 3
    assert (run.recover(), run.ended) == ([], ["a", "long", "b"])


@pytest.mark.parametrize("missing", [0, 1, len(END) - 1, len(END)])
def test_a_group_that_fills_its_block_is_followed_by_a_mark_of_the_end(run: Run, disk: Disk, missing: int) -> None:
    """Else what an older segment has left behind it would be taken for a group that was torn."""
    run.group((Step.CLOSE, "a"), decided_by="")
    size = run.ends[0] - run.segment().read_bytes().index(b"GRP1")
    run.journal.begin()
    segment, (_, begin) = run.segment(2), run.journal.end
    segment.write_bytes(segment.read_bytes()[:begin] + b"\xee" * 3 * BLOCK_BYTES)
    run.group((Step.CLOSE, "b"), decided_by="x" * (BLOCK_BYTES - missing - begin - size))
    assert run.ends[-1] == BLOCK_BYTES - missing
    assert (run.recover(), run.ended) == ([], ["a", "b"])


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_file_that_is_not_written_so_is_written_through_the_page_cache(run: Run, disk: Disk, after: int) -> None:
    names = closes(run, after)
    disk.refuses = lambda data, at: refused() if disk.is_direct[-1] else None
    names += [f"s{number}" for number in range(3)]
    for name in names[after:]:
        run.group((Step.CLOSE, name))
    assert disk.is_direct == [True] * (after + 1) + [False] * 3
    assert (run.recover(), run.ended) == ([], names)


def test_the_next_segment_tries_again(run: Run, disk: Disk) -> None:
    disk.refuses = lambda data, at: refused() if disk.is_direct[-1] else None
    run.group((Step.CLOSE, "a"))
    run.journal.begin()
    disk.refuses = lambda data, at: None
    run.group((Step.CLOSE, "b"))
    assert disk.is_direct == [True, False, True]
    assert (run.recover(), run.ended) == ([], ["a", "b"])


def test_a_file_system_that_refuses_the_flag_is_written_through_the_page_cache(
    run: Run, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise refused()

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    names = closes(run, 3)
    assert disk.is_direct == [False] * 3
    assert (run.recover(), run.ended) == ([], names)


def test_any_other_error_is_one(run: Run, disk: Disk) -> None:
    """And nothing of the group counts, though it may stand there."""
    run.group((Step.CLOSE, "a"))
    disk.refuses = lambda data, at: OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        run.group((Step.CLOSE, "refused"))
    disk.refuses = lambda data, at: None
    run.group((Step.CLOSE, "b"))
    assert disk.is_direct == [True] * 3
    assert (run.recover(), run.ended) == ([], ["a", "b"])


def test_whoever_reads_through_the_page_cache_sees_each_group(run: Run) -> None:
    """On the file system as it is; the pages have been read before."""
    run.journal.begin()
    with run.segment().open("rb") as file:
        for number in range(30):
            run.group((Step.CLOSE, f"r{number:02d}"))
            end = run.ends[-1]
            seen = os.pread(file.fileno(), 1 << 20, 0)
            assert (seen[:end].count(b"GRP1"), seen[end : end + 16]) == (number + 1, bytes(16))


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_write_that_is_cut_off_takes_no_earlier_group_along(
    tmp_path_factory: pytest.TempPathFactory, make_record: MakeRecord, data: st.DataObject
) -> None:
    """A power cut leaves some sectors of the last write, in whatever order the disk had them, and of one a part."""
    folder = tmp_path_factory.mktemp("torn")
    run = Run(folder / "records.db", open_key(folder), make_record)
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(monkeypatch)
        sizes = data.draw(st.lists(st.integers(0, 6_000), min_size=1, max_size=6))
        for number, size in enumerate(sizes):
            run.group((Step.CLOSE, f"r{number}"), decided_by="x" * size)
    assert disk.is_direct == [True] * len(sizes)
    offset, before, written = disk.writes[-1]
    sectors = range(0, len(written), SECTOR)
    reached = data.draw(st.lists(st.integers(0, SECTOR), min_size=len(sectors), max_size=len(sectors)))
    torn = b"".join(
        written[at : at + new] + before[at + new : at + SECTOR] for at, new in zip(sectors, reached, strict=True)
    )
    run.spoil(offset, torn)
    notes = run.recover()
    names = [f"r{number}" for number in range(len(sizes))]
    assert run.ended in (names[:-1], names)
    assert run.ended == names or all("the last" in note for note in notes)
