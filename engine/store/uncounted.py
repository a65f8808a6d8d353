"""SQLite without its account of the memory that it uses.

It keeps one unless it is told otherwise before it begins, and takes a lock each time that it is given some memory or
gives it back: twice for each text that is bound. Nobody here asks for that account. Python has no word for it. Who
serves calls and writes records imports `engine.store` before `sqlite3`; for others it may be too late.
"""

from __future__ import annotations

import ctypes
from typing import Final

LIBRARY: Final = "libsqlite3.so.0"
_MEMSTATUS: Final = 9  # SQLITE_CONFIG_MEMSTATUS
_OK: Final = 0


def leave_uncounted() -> bool:
    """False when it is too late, as `sqlite3` has been imported, or where Python has an SQLite of its own."""
    try:
        configured = ctypes.CDLL(LIBRARY).sqlite3_config(_MEMSTATUS, 0)
    except OSError:
        return False
    return bool(configured == _OK)
