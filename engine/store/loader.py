"""From the journal into the tables: the net effect of what has come since, in one transaction with the new position.

The connection flushes each commit (`synchronous=FULL`), so a segment that is loaded to its end can go at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, final

from engine.core.records import ANSWER, CHANGE, CLOSE, KEEP, OPEN
from engine.store.breathing import ROWS_AT_ONCE, breathe, breathing
from engine.store.caller_memory import CallerMemory, is_remembered
from engine.store.crypto import NumberCipher, sync_folder
from engine.store.day_calls import DayCallMemory
from engine.store.feed import Feed, OutboxReader
from engine.store.journal import (
    NEXT,
    SET_POSITION,
    SPARE,
    position_text,
    read_position,
    segment_numbers,
    segment_path,
)
from engine.store.journal_reader import JournalReader
from engine.store.ledger import Ledger
from engine.store.left_rows import LeftRows
from engine.store.rows import Row, RowMaker, extra_to_json
from engine.store.segment import Group, Position, SegmentHead, decoded_step, kind_and_record
from engine.store.signing import Signer

BATCH_STEPS: Final = 4_000  # in one transaction, so that its locks and its memory are bounded
STEPS_AT_ONCE: Final = 256  # cut apart in one go, about half a millisecond

# As integers: to compare one with a member of an enumeration costs more than all else that is done with a step here.
_OPEN: Final = int(OPEN)
_ANSWER: Final = int(ANSWER)
_CHANGE: Final = int(CHANGE)
_CLOSE: Final = int(CLOSE)
_KEEP: Final = int(KEEP)

# Errors of sqlite3 that blame the row. All others (full, locked, I/O, damaged) mean that the database is down.
_ROW_ERRORS: Final = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError,
)  # fmt: skip


@final
class Loader:
    """Loads the journal of one folder. For one thread at a time."""

    def __init__(
        self, connection: sqlite3.Connection, folder: Path, cipher: NumberCipher, signer: Signer,
        feed: Feed | None = None,
    ) -> None:  # fmt: skip
        """`feed` tells platforms of what is loaded. `sqlite3.Error` when the position cannot be read."""
        self._feed = feed
        self._connection = connection
        self._folder = folder
        self._cipher = cipher
        self._signer = signer
        self._reader = JournalReader(folder, cipher)
        self.position = read_position(connection)  # how far the journal is in the tables
        self._days = DayCallMemory(folder.with_name("bindings.db"), cipher)
        self._books: _Books | None = None
        self.loaded = 0  # bytes
        self.lost = 0  # ends that the table refused
        self.fresh: Final = self._reader.fresh  # what the writer leaves in memory

    def close(self) -> None:
        """Lets go of what it has opened; the connection is the caller's."""
        self._days.close()

    @property
    def notes(self) -> list[str]:
        """What was found damaged or missing, one line each."""
        return self._reader.notes

    @property
    def last_number(self) -> int:
        """The last segment that was ever begun; 0 before the first."""
        number, offset = self.position
        return max([number if offset else number - 1, 0, *segment_numbers(self._folder)])

    def load(self, until: Position | None) -> bool:
        """Load a batch of what stands before `until`, None for everything; False when nothing was left.

        sqlite3.Error when the database is down, OSError when the journal cannot be read: nothing has changed then.
        """
        batch = _Batch(self.position)
        for group in self._reader.groups(self.position, until):
            if not batch.takes(group):
                break
        if batch.position == self.position:
            return False
        if batch.head is None:
            self._connection.execute(SET_POSITION, (position_text(batch.position),))
        else:
            self._write(batch, batch.head)
        self.position = batch.position
        self.loaded += batch.size
        return True

    def hand_over(self, rows: LeftRows, unreadable: Collection[str], wall_s: float) -> tuple[int, list[Row]]:
        """What `rows.begin` returns. The tables are read again before the next load. sqlite3.Error as `load`."""
        self._books = None
        return rows.begin(self._signer, self._feed, unreadable, wall_s)

    def sign_day(self, node: str) -> None:
        """Nothing is written: the day that is over has its anchor all the same. sqlite3.Error as `load`."""
        books = self._books
        ledger = Ledger(self._connection, node, self._signer) if books is None else books.ledger
        ledger.write([], [], [])

    def take_outbox(self, outbox: OutboxReader) -> None:
        """What bindings.db has to tell goes into the feed. sqlite3.Error as `load`; StoreError of bindings.db."""
        if self._feed is not None:
            outbox.bring(self._feed)

    def remove_loaded(self, keep_spare: bool) -> None:
        """Remove the segments of which nothing is left to load; those with damage in them are renamed.

        `keep_spare`: one is kept, for the next segment to be made of.
        """
        spare = self._folder / SPARE
        numbers = [number for number in segment_numbers(self._folder) if number < self.position[0]]
        for number in numbers:
            path = segment_path(self._folder, number)
            if number in self._reader.spoilt:
                path.rename(path.with_suffix(".damaged"))
            elif keep_spare and not spare.exists():
                path.rename(spare)
            else:
                path.unlink()
        if not keep_spare:
            for path in (spare, self._folder / NEXT):
                path.unlink(missing_ok=True)
        if numbers:
            sync_folder(self._folder)

    # -- writing the tables ----------------------------------------------------------------------------------------

    def _write(self, batch: _Batch, head: SegmentHead) -> None:
        books = self._books
        if books is None or not books.are_of(head):
            books = self._books = _Books(self._connection, self._days, self._cipher, self._signer, head, self._feed)
        opens, answers, ends = batch.net()
        try:
            books.write(opens, answers, ends, batch.position)
        except Exception as error:  # whatever a row provokes, the others must be loaded
            if _is_down(error):
                raise
            self._write_singly(books, batch, opens, answers, ends)

    def _write_singly(
        self, books: _Books, batch: _Batch, opens: list[Row], answers: list[_Answer], ends: list[bytes]
    ) -> None:
        """One bad row must not sink its batch. Cut off in between, it is done again, and finds what it had written."""
        ids = [decoded_step(step)[1][0] for step in breathing(ends)]
        missing = books.ledger.missing(ids)
        lost = 0
        for record_id, step in zip(ids, ends, strict=True):
            if record_id not in missing:
                books.ledger.write([], [], [], gone=(record_id,))
            elif not books.write_one([], [], [step]):
                lost += 1
                self._spoil(batch)
        for values in opens:
            if not books.write_one([values], [], []):
                self._spoil(batch)
        for answer in answers:
            if not books.write_one([], [answer], []):
                self._spoil(batch)
        books.ledger.write([], [], [], position=batch.position)
        self.lost += lost

    def _spoil(self, batch: _Batch) -> None:
        """Which of its segments holds the row is not known any more."""
        for number in batch.segments:
            self._reader.note(number, "a row that may be of it was refused by its table", spoilt=True)


_Answer = tuple[Row, object]


@final
class _Batch:
    """Steps of one run of a node, reduced to what they leave."""

    def __init__(self, position: Position) -> None:
        self.head: SegmentHead | None = None
        self.segments: set[int] = set()
        self.position = position
        self.size = 0
        self._count = 0
        self._breathes_at = STEPS_AT_ONCE
        # The last step of each kind by record id, both as they are stored: what is not needed is not decoded.
        self._opens: dict[bytes, bytes] = {}
        self._answers: dict[bytes, bytes] = {}
        self._ends: dict[bytes, bytes] = {}

    def takes(self, group: Group) -> bool:
        """Add a group; False when it must wait for the next batch."""
        head, count = group.head, group.count
        if self._count and (self._count + count > BATCH_STEPS or (head is not None and not _same_run(head, self.head))):
            return False
        if head is not None and count:
            self.head = head
            self.segments.add(head.number)
        for step in group.steps:
            self._add(step)
        self._count += count
        if self._count >= self._breathes_at:
            self._breathes_at = self._count + STEPS_AT_ONCE
            breathe()
        self.position = group.position
        self.size += group.size
        return True

    def _add(self, step: bytes) -> None:
        kind, record_id = kind_and_record(step)
        if kind == _OPEN:
            self._opens[record_id] = step
        elif kind in (_ANSWER, _CHANGE):
            self._answers[record_id] = step
        else:
            assert kind in (_CLOSE, _KEEP)
            if record_id in self._ends:  # kept as it was told: the later one is true
                del self._ends[record_id]
            self._ends[record_id] = step

    def net(self) -> tuple[list[Row], list[_Answer], list[bytes]]:
        """What to open, to answer, and (not decoded yet) to record; what begins and ends here is only recorded."""
        ends = self._ends
        opens = [step for record_id, step in self._opens.items() if record_id not in ends]
        answers = [step for record_id, step in self._answers.items() if record_id not in ends]
        return (
            [decoded_step(step)[1] for step in breathing(opens)],
            [decoded_step(step)[1:] for step in breathing(answers)],
            [*ends.values()],
        )


@final
class _Books:
    """The tables, for the steps of one run of a node."""

    def __init__(
        self, connection: sqlite3.Connection, days: DayCallMemory, cipher: NumberCipher, signer: Signer,
        head: SegmentHead, feed: Feed | None,
    ) -> None:  # fmt: skip
        self._head = head
        self._feed = feed
        self._maker = RowMaker(cipher, head.boot_id, head.epoch)
        self._memory = CallerMemory(cipher)
        self._days = days
        self.ledger = Ledger(connection, head.node, signer, feed=feed)

    def are_of(self, head: SegmentHead) -> bool:
        """True for another segment of the same run."""
        return _same_run(head, self._head)

    def write(
        self, opens: Sequence[Row], answers: Sequence[_Answer], ends: Sequence[bytes], position: Position | None = None
    ) -> None:
        """Make the rows and commit them; those of `ends` while they are written, piece by piece."""
        maker = self._maker
        open_rows = [maker.open_row(values) for values in breathing(opens)]
        answer_rows = [maker.answer_row(values, _dialogs(extra)) for values, extra in breathing(answers)]
        limited = self._days.limited() if opens or ends else frozenset()
        noted: list[Row] = []

        def beside(connection: sqlite3.Connection) -> None:
            for work in (self._memory.of(opens, noted), self._days.of(opens, noted, limited)):
                if work is not None:
                    work(connection)

        try:
            if self._feed is not None:
                self._feed.expect(opens, [values for values, _ in answers])
            closings = self._closings(ends, noted, notes_all=limited != frozenset())
            self.ledger.write(open_rows, answer_rows, closings, position=position, beside=beside)
        finally:
            if self._feed is not None:
                self._feed.expect_no_more()

    def _closings(self, ends: Sequence[bytes], noted: list[Row], notes_all: bool) -> Iterator[list[object]]:
        """Their rows. `noted` gets the snapshots that the tables beside the records may want: all, or what they say."""
        for at in range(0, len(ends), ROWS_AT_ONCE):
            known: list[Row] = [decoded_step(step)[1] for step in ends[at : at + ROWS_AT_ONCE]]
            noted += known if notes_all else [values for values in known if is_remembered(values)]
            if self._feed is not None:
                self._feed.expect(known)
            for values in known:
                yield self._maker.closing(values)

    def write_one(self, opens: Sequence[Row], answers: Sequence[_Answer], ends: Sequence[bytes]) -> bool:
        """The same for a single row; False when it is the row that is bad. sqlite3.Error when the database is down."""
        try:
            self.write(opens, answers, ends)
        except Exception as error:  # what a row can provoke is not known beforehand
            if _is_down(error):
                raise
            return False
        return True


def _dialogs(extra: object) -> str | None:
    return None if extra is None else extra_to_json(extra)


def _is_down(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and not isinstance(error, _ROW_ERRORS)


def _same_run(head: SegmentHead, other: SegmentHead | None) -> bool:
    return head is other or (other is not None and (head.node, head.boot_id) == (other.node, other.boot_id))
