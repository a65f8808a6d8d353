"""Calls and messages of today by caller and X, where a scenario limits them: written with the records, read by a call.

The core counts for itself; what is read here is what other runs of the node have let through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast, final

from engine.core.calls_of_day import DAY_LIMIT
from engine.core.hours import china_day
from engine.core.policy import STEPS_AFTER_LOOKUP
from engine.core.records import RECORD_COLUMNS
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, reason
from engine.store.errors import StoreError
from engine.store.rows import Row

_COLUMN: Final = "cdr.caller"  # whose associated data the table has

_LIMITED: Final = "SELECT code FROM scenario WHERE calls_per_day > 0"
_ADD: Final = "INSERT OR IGNORE INTO day_call VALUES (?, ?, ?, ?)"
_FORGET: Final = "DELETE FROM day_call WHERE day < ?"
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 FROM day_call WHERE day = ? AND x = ? AND caller = ? LIMIT ?)"

_AT: Final = {name: index for index, name in enumerate(RECORD_COLUMNS)}
_RECORD_ID: Final = _AT["record_id"]
_SUBS_ID: Final = _AT["subs_id"]
_SCENARIO: Final = _AT["scenario"]
_TEL_X: Final = _AT["tel_x"]
_CALLER: Final = _AT["caller"]
_CALL_TIME: Final = _AT["call_time"]
_CALL_OUT_TIME: Final = _AT["call_out_time"]
_DECIDED_BY: Final = _AT["decided_by"]

# Whatever is refused by one of these has not been counted.
_BEFORE: Final = frozenset((*(step.__name__ for step in STEPS_AFTER_LOOKUP), DAY_LIMIT))


@final
class DayCallMemory:
    """Opens bindings.db when it is first needed, and again after a fault. For one thread at a time."""

    def __init__(self, bindings: Path, cipher: NumberCipher) -> None:
        """`bindings`: bindings.db, which says what is limited."""
        self._bindings = bindings
        self._cipher = cipher
        self._connection: sqlite3.Connection | None = None
        self._swept_day = 0

    def of(
        self, opens: Sequence[Row], ends: Sequence[Row], limited: frozenset[str] | None
    ) -> Callable[[sqlite3.Connection], None] | None:
        """What is to be written with these steps (snapshots, in RECORD_COLUMNS order); None for nothing.

        `limited` is what `limited` has said.
        """
        bound = [row for row in (*opens, *ends) if row[_SUBS_ID] and row[_CALLER]]
        counted = [row for row in bound if (limited is None or row[_SCENARIO] in limited) and _was_let_in(row)]
        if not counted:
            return None
        rows = [
            (china_day(cast(float, row[_CALL_TIME])), row[_TEL_X],
             self._cipher.encrypt(cast(str, row[_CALLER]), _COLUMN), row[_RECORD_ID])
            for row in counted
        ]  # fmt: skip

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_ADD, rows)
            newest = max(row[0] for row in rows)
            if newest > self._swept_day:
                connection.execute(_FORGET, (newest - 1,))
                self._swept_day = newest

        return write

    def limited(self) -> frozenset[str] | None:
        """The scenarios that limit calls; None when that cannot be read: then all are counted."""
        if not self._bindings.is_file():
            return frozenset()
        try:
            if self._connection is None:
                self._connection = open_read_only(self._bindings, None, any_thread=True)
            return frozenset(code for (code,) in self._connection.execute(_LIMITED))
        except (StoreError, sqlite3.Error):
            self.close()
            return None

    def close(self) -> None:
        """Lets go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _was_let_in(row: Row) -> bool:
    return row[_CALL_OUT_TIME] is not None or row[_DECIDED_BY] not in _BEFORE


@final
class DayCalls:
    """Reads records.db when a call that is limited asks, and not before. For the loop's thread."""

    def __init__(self, records: Path, cipher: NumberCipher, *, at_rest: bool = False) -> None:
        """`at_rest` as `open_read_only` says."""
        self._path = records
        self._cipher = cipher
        self._at_rest = at_rest
        self._connection: sqlite3.Connection | None = None

    def count(self, x: str, caller: str, limit: int, wall_s: float) -> int:
        """Of this caller through X on the day of `wall_s`, `limit` at most. StoreError when it cannot be read."""
        if self._connection is None:
            self._connection = open_read_only(self._path, self._cipher, busy_ms=0, at_rest=self._at_rest)
        try:
            row = (china_day(wall_s), x, self._cipher.encrypt(caller, _COLUMN), limit)
            return int(self._connection.execute(_COUNT, row).fetchone()[0])
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {reason(error)}") from error

    def close(self) -> None:
        """Lets go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
