"""The journal: where a step of a call is durable first, as one append and one flush for all that have queued."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Final, final

from engine.store.crypto import NumberCipher, sync_folder
from engine.store.errors import StoreError
from engine.store.segment import (
    END,
    NOWHERE,
    SALT_BYTES,
    START,
    UNKNOWN_END,
    Group,
    Position,
    Seal,
    SegmentHead,
    UnreadableHead,
    group_size,
    plain_group,
    read_head,
    stretches,
)

FOLDER: Final = "journal"  # within the data folder
SEGMENT_BYTES: Final = 4 * 1024 * 1024  # two seconds of 1,000 calls/s
SPARE: Final = (
    "spare"  # a segment that was loaded, for the next one: to write where blocks have been written is cheaper
)
NEXT: Final = "next"  # that one while it is made ready
BLOCK_BYTES: Final = 4096  # a multiple of every disk's; what is written past the page cache is whole blocks
_ZEROS: Final = bytes(BLOCK_BYTES)
ROOM_BYTES: Final = 64 * 1024  # for a group on its way; more when one is longer
LONGEST_USE_S: Final = 600.0  # a segment is left after it, however little it holds

# In `meta` of records.db: how far the journal is in the tables.
SET_POSITION: Final = "INSERT INTO meta VALUES ('journal', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_GET_POSITION: Final = "SELECT value FROM meta WHERE name = 'journal'"


@final
class Journal:
    """Appends groups of steps to segments. For one thread."""

    def __init__(self, folder: Path, cipher: NumberCipher, node: str, run: tuple[str, int], last_number: int) -> None:
        """`run` is its boot id and epoch (`engine.store.owner`), `last_number` the last segment before it.

        Nothing is made before `append` or `begin`.
        """
        self._folder = folder
        self._cipher = cipher
        self._node = node
        self.run = run  # what the next segment says of it
        self._number = last_number
        self._file = -1
        self._head: SegmentHead | None = None
        self._seal: Seal | None = None
        self._offset = 0
        self._is_direct = False  # the file is written past the page cache
        self._room = _Room()
        self.last_group_end: Position = NOWHERE  # behind the last group that counts
        self._known_end = UNKNOWN_END  # of the segment that was left last
        self._leave_at_s = 0.0
        self.appended = 0  # bytes

    @property
    def end(self) -> Position:
        """Where the next group will stand, if it finds room in this segment."""
        return self._number, self._offset

    def append(self, pieces: Sequence[bytes], count: int) -> Group:
        """Make `count` encoded steps durable as one group, which says where it stands; a piece may be several of them.

        OSError: nothing of it counts, and the segment is left.
        """
        if self._file < 0 or self._offset >= SEGMENT_BYTES:
            self.begin()
        seal, room = self._seal, self._room
        assert seal is not None
        plain = plain_group(pieces, count)
        size = group_size(plain)
        room.take(size)
        seal.put(plain, self._offset, room.view, room.filled)
        try:
            self._append(size)
        except OSError:
            self._give_up()
            raise
        room.keep(size)
        self._offset += size
        self.appended += size
        after, self.last_group_end = self.last_group_end, (self._number, self._offset)
        return Group(self._head, plain, after, self.last_group_end, size)

    def leave_old(self, now_s: float) -> None:
        """Leave the segment when it has been in use for long, by the monotonic clock."""
        if now_s > self._leave_at_s:
            self.close()

    def begin(self) -> None:
        """Make the next segment. OSError: there is none, and the one before has been left."""
        self.close()
        number = self._number + 1
        head = SegmentHead(
            number, self._node, *self.run, self._cipher.key_id, secrets.token_hex(SALT_BYTES), self._known_end
        )
        encoded = head.encoded()
        draft = self._folder / NEXT
        with suppress(FileNotFoundError):
            (self._folder / SPARE).rename(draft)
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size < SEGMENT_BYTES:
                _write(file, bytes(SEGMENT_BYTES), 0)
            _write(file, encoded + END, 0)
            os.fsync(file)
            draft.rename(segment_path(self._folder, number))
            sync_folder(self._folder)
        except OSError:
            os.close(file)
            raise
        self._file, self._number, self._offset = file, number, len(encoded)
        self._head, self._seal = head, Seal(self._cipher, head, encoded)
        self._leave_at_s = time.monotonic() + LONGEST_USE_S
        self._is_direct = _past_cache(file)
        self._room.begin(encoded)

    def _append(self, size: int) -> None:
        """What is in the room and the mark of the end, through to the disk; past the page cache, where there is that.

        Then whole blocks are written, as the page cache would have them written: what stands before the group in its
        first one comes again as it is, so that no octet of it changes, however much of the write reaches the disk.
        """
        room = self._room
        if self._is_direct:
            try:
                _write_through(self._file, room.blocks(size), self._offset - room.filled)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._is_direct = _through_cache(self._file)  # this file is not written so, and nothing of it was
            else:
                return
        _write_through(self._file, room.view[room.filled : room.filled + size + len(END)], self._offset)

    def close(self) -> None:
        """Leave the segment."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._known_end = self._offset

    def _give_up(self) -> None:
        """What a failed write has left must not be read as a group, nor a second one be sealed at its place."""
        try:
            os.ftruncate(self._file, self._offset)
        except OSError:
            pass  # the head of the next segment says where this one ends
        self.close()


@final
class _Room:
    """Where a group is made for the disk: behind what stands before it in its first block, and with zeros behind it.

    It begins at a page, as must all that is written past the page cache.
    """

    __slots__ = ("_blocks", "_memory", "filled", "view")

    def __init__(self) -> None:
        self._make(ROOM_BYTES)
        self.filled = 0  # so much of its first block, by what stands in the file

    def _make(self, size: int) -> None:
        self._memory = mmap(-1, size)
        self.view = memoryview(self._memory)
        # By their number: to cut them off for each group costs more than to write them there.
        self._blocks = [self.view[:end] for end in range(0, size + 1, BLOCK_BYTES)]

    def begin(self, head: bytes) -> None:
        """Nothing but a head stands in the file."""
        before = _last_block(head)
        self._memory[:] = before.ljust(len(self._memory), b"\0")
        self.filled = len(before)

    def take(self, size: int) -> None:
        """There is room for a group of `size` bytes and for the mark of the end."""
        needed = self.filled + size + len(END)
        if needed > len(self.view):
            before = self._memory[: self.filled]
            self._make(-(-needed // BLOCK_BYTES) * BLOCK_BYTES)
            self._memory[: self.filled] = before

    def blocks(self, size: int) -> memoryview:
        """The blocks of a group of `size` bytes and of the mark of the end."""
        return self._blocks[-(-(self.filled + size + len(END)) // BLOCK_BYTES)]

    def keep(self, size: int) -> None:
        """The group of `size` bytes stands in the file: of it the last block is kept, where that is not full."""
        end = self.filled + size
        full = end // BLOCK_BYTES * BLOCK_BYTES
        self.filled = end - full
        if full:
            self._memory.move(0, full, end - full)
            self._memory[end - full : end] = _ZEROS if full == BLOCK_BYTES else bytes(full)


def segment_path(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:012d}.segment"


def segment_numbers(folder: Path) -> list[int]:
    """The segments that are there, in order."""
    return sorted(int(path.stem) for path in folder.glob("*.segment") if path.stem.isdigit())


def read_position(connection: sqlite3.Connection) -> Position:
    """How far the journal has been loaded into this database; START when it never was. StoreError for no place."""
    row = connection.execute(_GET_POSITION).fetchone()
    if row is None:
        return START
    number, _, offset = str(row[0]).partition(":")
    try:
        return int(number), int(offset)
    except ValueError:
        raise StoreError("records.db: damaged: it does not say how far the journal is in it") from None


def position_text(position: Position) -> str:
    """As `meta` holds it."""
    number, offset = position
    return f"{number}:{offset}"


def waiting_in_journal(connection: sqlite3.Connection, path: Path) -> int:
    """Bytes of the journal beside records.db, at `path`, that are not in its tables yet; StoreError."""
    folder = path.with_name(FOLDER)
    try:
        return waiting_bytes(folder, read_position(connection))
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from None


def waiting_bytes(folder: Path, position: Position) -> int:
    """Bytes of whole groups behind a position. OSError when they cannot be read."""
    total = 0
    for number in segment_numbers(folder):
        if number < position[0]:
            continue
        try:
            data = segment_path(folder, number).read_bytes()
            start = len(read_head(data, number)[1])
        except (UnreadableHead, FileNotFoundError):  # a running node has just loaded it
            continue
        if number == position[0]:
            start = max(start, position[1])
        found = stretches(data[start:], start, number)
        total += sum(one.end - one.offset for one in found if one.sealed is not None)
    return total


def _write(file: int, data: bytes, offset: int) -> None:
    _whole(os.pwrite(file, data, offset), data)


def _past_cache(file: int) -> bool:
    """From now on it is written past the page cache; False where its file system says that it cannot be."""
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_DIRECT)
    except OSError:
        return False
    return True


def _through_cache(file: int) -> bool:
    """From now on it is not written past the page cache."""
    fcntl.fcntl(file, fcntl.F_SETFL, 0)
    return False


def _last_block(data: bytes) -> bytes:
    """What stands in its last block, where that is not full; `data` begins with a block."""
    return data[len(data) // BLOCK_BYTES * BLOCK_BYTES :]


def _write_through(file: int, data: bytes | memoryview, offset: int) -> None:
    """Write and flush in one call (`RWF_DSYNC`, as fdatasync), for each group: a fifth cheaper than in two.

    Not every kernel in a sandbox and not every file system takes the flag.
    """
    try:
        written = os.pwritev(file, (data,), offset, os.RWF_DSYNC)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        written = os.pwrite(file, data, offset)
        os.fdatasync(file)
    _whole(written, data)


def _whole(written: int, data: bytes | memoryview) -> None:
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
