"""SQLite without its account of the memory that it uses.

It keeps one unless it is told otherwise before it begins, and takes a lock each time that it is given some memory or
gives it back: twice for each text that is bound. Nobody here asks for that account. Python has no word for it. Who
serves calls and writes records imports `engine.store` before `sqlite3`; for others it may be too late.
"""

from __future__ import annotations

import ctypes
import sys
from importlib.util import find_spec
from typing import Final

MODULE: Final = "_sqlite3"
_MEMSTATUS: Final = 9  # SQLITE_CONFIG_MEMSTATUS
_OK: Final = 0


def leave_uncounted() -> bool:
    """False when it is too late, as `sqlite3` has been imported, or where Python has its SQLite within itself.

    Python's module is loaded, and with it the SQLite that it goes by: another one loaded first could take its place.
    """
    spec = None if MODULE in sys.modules else find_spec(MODULE)
    if spec is None or not spec.has_location or spec.origin is None:
        return False
    try:
        configured = ctypes.CDLL(spec.origin).sqlite3_config(_MEMSTATUS, 0)
    except (OSError, AttributeError):  # no library, or one that does not give its SQLite out
        return False
    return bool(configured == _OK)
