"""The job in sippy, the B2BUA in Python: a lookup in SQLite, the numbers rewritten, a committed record a call.

Run by the interpreter of an environment that has sippy, in the data folder: it reads bind.db, and writes cdr.db as
Kamailio does. A message is no call to sippy: it answers MESSAGE with 501.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any, Final

from sippy import b2bua_simple  # type: ignore[import-not-found]
from sippy.CCEvents import (  # type: ignore[import-not-found]
    CCEventConnect,
    CCEventDisconnect,
    CCEventFail,
    CCEventTry,
)

_LOOKUP: Final = "SELECT a, b FROM bindings WHERE x = ?"
_RECORD: Final = (
    "INSERT INTO cdrs (start_time, end_time, duration, x700, a, b, answer, code) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

BINDINGS: Final = sqlite3.connect("file:bind.db?mode=ro", uri=True, isolation_level=None)
RECORDS: Final = sqlite3.connect("cdr.db", isolation_level=None)


class Call(b2bua_simple.CallController):  # type: ignore[misc]  # of a library without types
    """One call between its two sides."""

    began_s = 0.0
    answered_s: float | None = None
    code = 0
    parties = ("", "", "")  # X, caller, callee
    is_recorded = False

    def recvEvent(self, event: Any, ua: Any) -> None:
        """What a side has to say goes to the other one, and into the record."""
        if ua is self.uaA and self.uaO is None and isinstance(event, CCEventTry) and not self._find(event):
            self.uaA.recvEvent(CCEventFail((404, "No binding")))
            return
        if isinstance(event, CCEventConnect):
            self.answered_s, self.code = time.time(), 200
        elif isinstance(event, CCEventFail):
            self.code = event.getData()[0]
        super().recvEvent(event, ua)
        if isinstance(event, CCEventDisconnect | CCEventFail) and self.began_s and not self.is_recorded:
            self.is_recorded = True
            self._record()

    def _find(self, event: Any) -> bool:
        """Who is called: the other party of the binding of X, who sees X as the caller. False: there is none."""
        call_id, caller, x, body, auth, name = event.getData()
        found = BINDINGS.execute(_LOOKUP, (x,)).fetchone()
        if found is None:
            return False
        self.uaA.lContact.address.name = None  # SIPp takes a name before the URI as a part of it
        callee = found[1] if caller == found[0] else found[0]
        self.parties, self.began_s = (x, caller, callee), time.time()
        event.data = (call_id, x, callee, body, auth, name)
        return True

    def _record(self) -> None:
        ended_s = time.time()
        lasted_s = 0.0 if self.answered_s is None else ended_s - self.answered_s
        RECORDS.execute(_RECORD, (self.began_s, ended_s, lasted_s, *self.parties, self.answered_s, self.code))


if __name__ == "__main__":
    RECORDS.execute("PRAGMA synchronous = FULL")
    b2bua_simple.CallController = Call
    b2bua_simple.main_func()
