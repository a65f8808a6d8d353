"""Who has called through a number, written with the records: the last caller of a group's binding, and strangers.

Whoever has called X without being a party of it is not given X for a while, and the other party of a group's binding
reaches whoever has called last.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, cast, final

from engine.core.records import RECORD_COLUMNS, ReleaseCause
from engine.store.crypto import NumberCipher
from engine.store.rows import Row

STRANGERS_KEPT_S: Final = 90 * 86400.0  # longer than any number rests
_DAY_S: Final = 86400.0

_COLUMN: Final = "cdr.caller"  # whose associated data both tables have
_CALLED: Final = (
    "INSERT INTO last_caller VALUES (?, ?, ?) ON CONFLICT (subs_id) DO UPDATE"
    " SET member = excluded.member, at = excluded.at WHERE last_caller.at <= excluded.at"
)
_STRANGER: Final = (
    "INSERT INTO stranger VALUES (?, ?, ?) ON CONFLICT (x, caller) DO UPDATE SET at = max(stranger.at, excluded.at)"
)
_FORGET: Final = "DELETE FROM stranger WHERE at < ?"

_AT: Final = {name: index for index, name in enumerate(RECORD_COLUMNS)}
_SUBS_ID: Final = _AT["subs_id"]
_TEL_X: Final = _AT["tel_x"]
_CALLER: Final = _AT["caller"]
_MEMBER: Final = _AT["group_member"]
_CALL_TIME: Final = _AT["call_time"]
_CALL_OUT_TIME: Final = _AT["call_out_time"]
_CAUSE: Final = _AT["release_cause"]

_OF_STRANGERS: Final = frozenset((
    ReleaseCause.NO_BINDING.value, ReleaseCause.NOT_IN_CALLER_SET.value, ReleaseCause.BINDING_EXPIRED.value,
    ReleaseCause.NUMBER_COOLING.value,
))  # fmt: skip


def is_remembered(end: Row) -> bool:
    """False for the end of an attempt (a snapshot) that leaves nothing here: nearly every one."""
    return bool(end[_MEMBER]) or end[_CAUSE] in _OF_STRANGERS


@final
class CallerMemory:
    """For the thread that loads."""

    def __init__(self, cipher: NumberCipher) -> None:
        self._cipher = cipher
        self._swept_at_s = 0.0

    def of(self, opens: Sequence[Row], ends: Sequence[Row]) -> Callable[[sqlite3.Connection], None] | None:
        """What is to be written with these steps (snapshots, in RECORD_COLUMNS order); None for nothing.

        A call that began and ended in one batch stands in `ends` alone.
        """
        called = [row for row in opens if row[_MEMBER]] + [row for row in ends if row[_MEMBER] and row[_CALL_OUT_TIME]]
        callers = [self._row(row, _SUBS_ID) for row in called if row[_MEMBER] == row[_CALLER]]
        refused = [row for row in ends if row[_CAUSE] in _OF_STRANGERS]
        strangers = [self._row(row, _TEL_X) for row in refused if row[_CALLER] and row[_TEL_X]]
        if not callers and not strangers:
            return None

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_CALLED, callers)
            connection.executemany(_STRANGER, strangers)
            if strangers:
                self._sweep(connection, cast(float, strangers[-1][2]))

        return write

    def _row(self, values: Row, key: int) -> Row:
        return values[key], self._cipher.encrypt(cast(str, values[_CALLER]), _COLUMN), values[_CALL_TIME]

    def _sweep(self, connection: sqlite3.Connection, now_s: float) -> None:
        """Once a day those are forgotten that have called long ago."""
        if now_s - self._swept_at_s > _DAY_S:
            connection.execute(_FORGET, (now_s - STRANGERS_KEPT_S,))
            self._swept_at_s = now_s
