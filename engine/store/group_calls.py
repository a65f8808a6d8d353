"""Who has called last through the binding of a group: B reaches him when it calls X.

`last_caller` of records.db knows it, a second after the call was recorded; in between it is remembered here.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, final

from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, reason
from engine.store.errors import StoreError

MAX_REMEMBERED: Final = 50_000  # calls of a minute and more; the oldest go

_COLUMN: Final = "cdr.caller"  # whose associated data the table has
_LAST: Final = "SELECT member FROM last_caller WHERE subs_id = ?"


@final
class GroupCalls:
    """Reads records.db when a call to a group asks, and not before. For the loop's thread."""

    def __init__(self, records: Path, cipher: NumberCipher, *, at_rest: bool = False) -> None:
        """`at_rest` as `open_read_only` says."""
        self._at_rest = at_rest
        self._path = records
        self._cipher = cipher
        self._connection: sqlite3.Connection | None = None
        self._fresh: dict[str, str] = {}

    def called(self, subs_id: str, member: str) -> None:
        """A member calls through this binding, and that is durable."""
        self._fresh.pop(subs_id, None)
        if len(self._fresh) >= MAX_REMEMBERED:
            del self._fresh[next(iter(self._fresh))]
        self._fresh[subs_id] = member

    def last(self, subs_id: str) -> str:
        """The member that has called last, "" when none has. StoreError when records.db does not answer."""
        member = self._fresh.get(subs_id)
        if member is not None:
            return member
        if self._connection is None:
            self._connection = open_read_only(self._path, self._cipher, busy_ms=0, at_rest=self._at_rest)
        try:
            row = self._connection.execute(_LAST, (subs_id,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {reason(error)}") from error
        return "" if row is None else self._cipher.decrypt(row[0], _COLUMN)

    def remembered(self, subs_id: str) -> str:
        """The member that is remembered here, encrypted as the table has him, in hex; "" for none."""
        member = self._fresh.get(subs_id)
        return "" if member is None else self._cipher.encrypt(member, _COLUMN).hex()

    def told(self, subs_id: str, remembered: str) -> None:
        """What another process has `remembered`. StoreError for what this key has not encrypted."""
        self.called(subs_id, self._cipher.decrypt(bytes.fromhex(remembered), _COLUMN))

    def close(self) -> None:
        """Lets go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
