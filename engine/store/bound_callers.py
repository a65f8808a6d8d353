"""Who may call a 700 number, for those who ask what would become of it: nothing is written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, final

from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors

MOST: Final = 100  # of one number; a group's binding has as many rows as members

_CALLERS: Final = "SELECT caller FROM target WHERE x = ? AND expires_at > ? ORDER BY caller LIMIT ?"


@final
class BoundCallers:
    """Opens bindings.db when it is asked for the first time."""

    def __init__(self, path: Path, cipher: NumberCipher) -> None:
        self._path = path
        self._cipher = cipher
        self._connection: sqlite3.Connection | None = None

    def of(self, x: str, wall_s: float) -> list[str]:
        """Canonical real numbers that there is a target of X for, in force at `wall_s`. StoreError."""
        with store_errors(self._path):
            if self._connection is None:
                is_open = self._path.with_name(f"{self._path.name}-wal").exists()
                self._connection = open_read_only(self._path, self._cipher, at_rest=not is_open)
            rows = self._connection.execute(_CALLERS, (x, wall_s, MOST)).fetchall()
        return [self._cipher.decrypt(row[0], "target.caller") for row in rows]

    def close(self) -> None:
        """Lets go of the store."""
        if self._connection is not None:
            self._connection.close()
