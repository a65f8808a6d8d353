"""The only code that writes `cdr`: rows, chain, counters and open rows of one group in one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from typing import Final, final

from engine.core.records import GENESIS_HASH, hash_of
from engine.store.anchors import Anchors
from engine.store.breathing import ROWS_AT_ONCE
from engine.store.feed import Feed
from engine.store.journal import SET_POSITION, position_text
from engine.store.rows import (
    CDR_COLUMNS,
    HASH,
    INSERT_ANSWER,
    INSERT_CDR,
    INSERT_OPEN,
    NULL_IN_CDR,
    OPEN_CALL_TIME,
    PREV_HASH,
    SEQ,
    Row,
)
from engine.store.segment import Position
from engine.store.signing import Signer

_TAIL: Final = "SELECT seq, hash FROM cdr WHERE node = ? ORDER BY seq DESC LIMIT 1"
_COUNT: Final = (
    "INSERT INTO counter VALUES (?, ?, ?, ?) ON CONFLICT (node, day) DO UPDATE"
    " SET attempts = attempts + excluded.attempts, records = records + excluded.records"
)
_CALL_TIME: Final = CDR_COLUMNS.index("call_time")
_IN_ONE: Final = 8  # rows in a statement; more gives nothing, and a piece is a whole number of them
_NULLS: Final = [CDR_COLUMNS.index(name) for name in NULL_IN_CDR]
_Counts = dict[str, list[int]]  # UTC day -> [attempts, records]


class Unfit(ValueError):
    """A step that does not fit what is open: answered without being open, opened when it is answered."""


@final
class Ledger:
    """Writes groups for one node; `seq` and the chain continue where the table ends. For one thread."""

    def __init__(
        self, connection: sqlite3.Connection, node: str, signer: Signer, clock: Callable[[], float] = time.time,
        feed: Feed | None = None,
    ) -> None:  # fmt: skip
        """`feed` tells of what is written, in its transaction; None: nobody is told."""
        self._feed = feed
        self._connection = connection
        self._node = node
        self._seq = 0
        self._hash = GENESIS_HASH
        self._records = _Insert(INSERT_CDR)
        self._open = _Slots("call_open", INSERT_OPEN)
        self._answered = _Slots("call_answer", INSERT_ANSWER)
        self._anchors = Anchors(connection, node, signer, clock)
        self._is_stale = True  # what is kept in memory of the tables must be read again

    def write(
        self, opens: Sequence[Row], answers: Sequence[Row], closings: Iterable[list[object]],
        gone: Sequence[object] = (), position: Position | None = None,
        beside: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:  # fmt: skip
        """Commit all of it or nothing. An attempt stands in `closings`, or in `opens` or `answers` or both of them.

        `closings` are rows of RowMaker, made when they are asked for, or beforehand: each is completed and stored soon
        after. `gone` are attempts that have their record already, and lose their open rows; `position` is how far the
        journal is in the tables with it; `beside` writes what else belongs to these steps. Unfit for a step out of
        order; sqlite3.Error as it comes. After an error all is rolled back.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._is_stale:
                self._read_tables()
            self._anchors.due(self._seq, self._hash)
            if self._feed is not None:
                self._feed.begin()
            counts: _Counts = {}
            # Ends first, so that new rows take their places.
            self._close(closings, counts)
            self._vacate(gone)
            self._begin(opens, counts)
            self._answer(answers)
            self._open.clear(connection)
            self._answered.clear(connection)
            if counts:
                rows = [(self._node, day, attempts, records) for day, (attempts, records) in counts.items()]
                connection.executemany(_COUNT, rows)
            if self._feed is not None:
                self._feed.flush()
            if beside is not None:
                beside(connection)
            if position is not None:
                connection.execute(SET_POSITION, (position_text(position),))
            connection.execute("COMMIT")
        except BaseException:
            self._is_stale = True
            if self._feed is not None:
                self._feed.forget()
            with suppress(sqlite3.Error):  # some errors have rolled back already
                connection.execute("ROLLBACK")
            raise

    def missing(self, record_ids: Iterable[object]) -> set[object]:
        """Those that have no record yet."""
        query = "SELECT 1 FROM cdr WHERE record_id = ?"
        return {one for one in record_ids if self._connection.execute(query, (one,)).fetchone() is None}

    def _read_tables(self) -> None:
        anchored = self._anchors.read()
        tail = self._connection.execute(_TAIL, (self._node,)).fetchone() or (0, GENESIS_HASH)
        # Behind the last anchor when all was purged; and no number is given twice where somebody has cut off the end.
        self._seq, self._hash = max(tail, anchored, key=itemgetter(0))
        self._open.read(self._connection)
        self._answered.read(self._connection)
        self._is_stale = False

    def _begin(self, opens: Sequence[Row], counts: _Counts) -> None:
        """A row that is there already is written anew: a redirect has taken the attempt to another callee."""
        for row in opens:
            if row[0] in self._answered.taken:
                raise Unfit("opened when it is answered")
        new = self._open.write(self._connection, opens)
        for row in new:
            _count(counts, str(row[OPEN_CALL_TIME])[:10])[0] += 1
        if self._feed is not None:
            self._feed.opened(new)

    def _answer(self, answers: Sequence[Row]) -> None:
        """A row that is there already is written anew: the call has changed."""
        for row in answers:
            if row[0] not in self._open.taken:
                raise Unfit("answered without being open")
        new = self._answered.write(self._connection, answers)
        if self._feed is not None:
            self._feed.answered(new)

    def _close(self, closings: Iterable[list[object]], counts: _Counts) -> None:
        """In pieces: what the processor has in its caches is stored before the next is made.

        Nobody need breathe: sqlite3 lets go of the interpreter for each statement, and a piece is stored by a few.
        """
        rows: list[list[object]] = []
        for row in closings:
            rows.append(row)
            if len(rows) == ROWS_AT_ONCE:
                self._record(rows, counts)
                rows = []
        if rows:
            self._record(rows, counts)

    def _record(self, rows: list[list[object]], counts: _Counts) -> None:
        seq, prev_hash = self._seq, self._hash
        taken = self._open.taken
        day, count = "", [0, 0]
        for row in rows:
            today = str(row[_CALL_TIME])[:10]
            if today != day:
                day, count = today, _count(counts, today)
            count[0] += row[0] not in taken  # else it was counted when it was opened
            count[1] += 1
            seq += 1
            row[SEQ] = seq
            row[PREV_HASH] = prev_hash
            row[HASH] = prev_hash = hash_of(row, HASH)
        if self._feed is not None:
            self._feed.ended(rows, taken, self._answered.taken)
        for row in rows:
            for at in _NULLS:  # as INSERT_CDR wants them
                if row[at] is None:
                    row[at] = ""
        self._vacate([row[0] for row in rows])
        self._records.store(self._connection, rows)
        self._seq, self._hash = seq, prev_hash

    def _vacate(self, record_ids: Iterable[object]) -> None:
        for record_id in record_ids:
            self._open.vacate(record_id)
            self._answered.vacate(record_id)


@final
class _Insert:
    """Rows go into a table several at a time: a statement finds its place in each tree, and goes on from there."""

    __slots__ = ("_many", "_one")

    def __init__(self, statement: str) -> None:
        """`statement` is for one row."""
        head, row = statement.split(" VALUES ")
        self._one = statement
        self._many = f"{head} VALUES {', '.join([row] * _IN_ONE)}"

    def store(self, connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
        """In their order. sqlite3.Error as it comes."""
        whole = len(rows) - len(rows) % _IN_ONE
        if whole:
            together = [[*chain.from_iterable(rows[at : at + _IN_ONE])] for at in range(0, whole, _IN_ONE)]
            connection.executemany(self._many, together)
        if whole < len(rows):
            connection.executemany(self._one, rows[whole:])


@final
class _Slots:
    """Which record has which row of a table of calls in progress.

    A new row overwrites one that was vacated in the same transaction: deleting and inserting would change
    twice the pages.
    """

    __slots__ = ("_delete", "_free", "_insert", "_read", "_top", "_vacated", "taken")

    def __init__(self, table: str, insert: str) -> None:
        self.taken: dict[object, int] = {}  # record_id -> slot
        self._free: list[int] = []
        self._vacated: list[int] = []  # the row is still there
        self._top = 0
        self._insert = _Insert(insert.replace("INSERT OR FAIL", "REPLACE", 1))
        self._delete = f"DELETE FROM {table} WHERE slot = ?"
        self._read = f"SELECT record_id, slot FROM {table}"

    def read(self, connection: sqlite3.Connection) -> None:
        """Forget everything and read the table."""
        self.taken = dict(connection.execute(self._read))
        used = set(self.taken.values())
        self._top = max(used, default=0)
        self._free = [slot for slot in range(self._top, 0, -1) if slot not in used]
        self._vacated = []

    def vacate(self, record_id: object) -> None:
        """The row of that record, if it has one, can be overwritten or cleared."""
        if record_id in self.taken:
            self._vacated.append(self.taken.pop(record_id))

    def write(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
        """Rows begin with record_id; `slot` is put before it. Returns those whose record had no row yet."""
        if not rows:
            return []
        with_slots = []
        new = []
        for row in rows:
            slot = self.taken.get(row[0])
            if slot is None:
                self.taken[row[0]] = slot = self._take()
                new.append(row)
            with_slots.append((slot, *row))
        self._insert.store(connection, with_slots)
        return new

    def clear(self, connection: sqlite3.Connection) -> None:
        """Delete the rows that were vacated and not overwritten."""
        if self._vacated:
            connection.executemany(self._delete, [(slot,) for slot in self._vacated])
            self._free += self._vacated
            self._vacated = []

    def _take(self) -> int:
        if self._vacated:
            return self._vacated.pop()
        if self._free:
            return self._free.pop()
        self._top += 1
        return self._top


def _count(counts: _Counts, day: str) -> list[int]:
    """[attempts, records] of a UTC day."""
    return counts.setdefault(day, [0, 0])
