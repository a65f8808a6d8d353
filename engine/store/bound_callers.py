"""Who may call a 700 number, for those who ask what would become of it: nothing is written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors

MOST: Final = 100  # of one number; a group's binding has as many rows as members

_CALLERS: Final = "SELECT caller FROM target WHERE x = ? AND expires_at > ? ORDER BY caller LIMIT ?"


def bound_callers(path: Path, cipher: NumberCipher, x: str, wall_s: float) -> list[str]:
    """Canonical real numbers that bindings.db has a target of X for, in force at `wall_s`. StoreError."""
    is_open = path.with_name(f"{path.name}-wal").exists()
    with store_errors(path), closing(open_read_only(path, cipher, at_rest=not is_open)) as connection:
        rows = connection.execute(_CALLERS, (x, wall_s, MOST)).fetchall()
    return [cipher.decrypt(row[0], "target.caller") for row in rows]
