"""The feeds of platforms as they are read, and what goes of them when its time is over; `engine.store.feed` writes."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, RECORDS, open_database, store_errors, transaction
from engine.store.feed import OUTBOX_DONE

SLICE: Final = 500  # events removed in one transaction: a few milliseconds
PAUSE_S: Final = 0.020  # between two of them: the node writes on

_AFTER: Final = (
    "SELECT seq, kind, at, subject, payload FROM event WHERE app_platform = ? AND seq > ? ORDER BY seq LIMIT ?"
)
_LASTS: Final = "SELECT app_platform, last_seq FROM feed"
_LAST: Final = "SELECT last_seq FROM feed WHERE app_platform = ?"
_OLDEST: Final = "SELECT min(seq) FROM event WHERE app_platform = ?"
_DONE: Final = "SELECT value FROM meta WHERE name = ?"
_FIRST: Final = "SELECT seq, at FROM event WHERE app_platform = ? ORDER BY seq LIMIT ?"
_REMOVE: Final = "DELETE FROM event WHERE app_platform = ? AND seq <= ?"
_REMOVE_WAITING: Final = "DELETE FROM outbox WHERE at < ?1 AND id IN (SELECT id FROM outbox ORDER BY id LIMIT ?2)"

Event = dict[str, Any]  # seq, kind, at, subject, payload


def events_after(connection: sqlite3.Connection, app_platform: str, after: int, limit: int) -> list[Event]:
    """Events of a platform behind a seq, in order; sqlite3.Error."""
    names = ("seq", "kind", "at", "subject")
    rows = connection.execute(_AFTER, (app_platform, after, limit))
    return [dict(zip(names, row[:4], strict=True)) | {"payload": json.loads(row[4])} for row in rows]


def reach(connection: sqlite3.Connection, app_platform: str) -> tuple[int, int]:
    """Seq of the oldest event that is kept, and of the last there was; oldest is last + 1 where none is kept."""
    found = connection.execute(_LAST, (app_platform,)).fetchone()
    last = 0 if found is None else int(found[0])
    oldest = connection.execute(_OLDEST, (app_platform,)).fetchone()[0]
    return last + 1 if oldest is None else int(oldest), last


def last_seqs(connection: sqlite3.Connection) -> dict[str, int]:
    """By platform, the seq of its last event."""
    return dict(connection.execute(_LASTS))


def outbox_done(connection: sqlite3.Connection) -> int:
    """The last row of the outbox of bindings.db that is in the feeds; 0 for none."""
    found = connection.execute(_DONE, (OUTBOX_DONE,)).fetchone()
    return 0 if found is None else int(found[0])


def remove_events(path: Path, cipher: NumberCipher, before: str) -> int:
    """Removes what happened before an RFC 3339 time, from the front of each feed; how many. StoreError.

    It stops at the first event of a feed that is younger: what is left has no gap, and no number is given again.
    """
    connection = open_database(path, RECORDS, cipher)
    try:
        with store_errors(path):
            return sum(_remove(connection, platform, before) for platform in last_seqs(connection))
    finally:
        connection.close()


def remove_waiting(path: Path, cipher: NumberCipher, before: str) -> int:
    """The same for the outbox of bindings.db, from its front; how many. StoreError."""
    connection = open_database(path, BINDINGS, cipher)
    removed = 0
    try:
        with store_errors(path):
            while (count := connection.execute(_REMOVE_WAITING, (before, SLICE)).rowcount) > 0:
                removed += count
                time.sleep(PAUSE_S)
    finally:
        connection.close()
    return removed


def _remove(connection: sqlite3.Connection, platform: str, before: str) -> int:
    removed = 0
    while True:
        last = 0
        count = 0
        for seq, at in connection.execute(_FIRST, (platform, SLICE)).fetchall():
            if at >= before:
                break
            last, count = seq, count + 1
        if not count:
            return removed
        with transaction(connection):
            connection.execute(_REMOVE, (platform, last))
        removed += count
        time.sleep(PAUSE_S)
