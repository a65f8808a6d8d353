"""The outbox of bindings.db in the hands of the API: what has expired goes in, what was taken goes out."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.store.history import publish
from engine.store.rows import utc_text

ROWS_AT_ONCE: Final = 1_000
NAME: Final = "expired_done"  # in `meta` of bindings.db: end and id of the binding that was told of last

_COLUMNS: Final = (
    "subs_id", "app_platform", "version", "mode", "tel_x", "tel_y", "group_id", "business_user", "order_id",
    "out_order_id", "out_id", "scenario",
)  # fmt: skip
_GET: Final = "SELECT value FROM meta WHERE name = ?"
_SET: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_BEHIND: Final = "valid_to IS NULL AND expires_at <= ? AND expires_at >= ? AND (expires_at, id) > (?, ?)"
_ENDED: Final = (
    f"SELECT expires_at, id, {', '.join(_COLUMNS)} FROM binding WHERE {_BEHIND} ORDER BY expires_at, id LIMIT ?"
)
_ANY: Final = f"SELECT 1 FROM binding WHERE {_BEHIND} LIMIT 1"
_SEQUENCE: Final = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)"
_TAKEN: Final = f"SELECT 1 FROM outbox WHERE id <= ?1 AND ?1 <= {_SEQUENCE} LIMIT 1"
_PRUNE: Final = (
    f"DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE id <= ?1 ORDER BY id LIMIT ?2) AND ?1 <= {_SEQUENCE}"
)


def is_expiry_due(connection: sqlite3.Connection, wall_s: float) -> bool:
    """True when `tell_expired` has something to do."""
    end, row_id = _mark(connection)
    if end is None:
        return True
    return connection.execute(_ANY, (wall_s, end, end, row_id)).fetchone() is not None


def tell_expired(connection: sqlite3.Connection, wall_s: float) -> int:
    """Tells of bindings that have ended by themselves since the last that was told of; how many, ROWS_AT_ONCE at most.

    In a transaction of the caller's. The first time of all nothing is told: what had ended before is old.
    """
    end, row_id = _mark(connection)
    if end is None:
        connection.execute(_SET, (NAME, f"{wall_s!r} 0"))
        return 0
    rows = connection.execute(_ENDED, (wall_s, end, end, row_id, ROWS_AT_ONCE)).fetchall()
    for expires_at, _, *values in rows:
        told = dict(zip(_COLUMNS, values, strict=True))
        subs_id, platform = str(told.pop("subs_id")), str(told.pop("app_platform"))
        payload = {name: value for name, value in told.items() if value} | {"expiration": utc_text(expires_at)}
        publish(connection, platform, "binding.expired", subs_id, payload, expires_at)
    if rows:
        connection.execute(_SET, (NAME, f"{rows[-1][0]!r} {rows[-1][1]}"))
    return len(rows)


def is_outbox_taken(connection: sqlite3.Connection, done: int) -> bool:
    """True when `prune_outbox` has something to do; `done`: as far as the feeds have it.

    Where bindings.db is older than the feeds, since somebody has put back a copy, nothing is pruned.
    """
    return connection.execute(_TAKEN, (done,)).fetchone() is not None


def prune_outbox(connection: sqlite3.Connection, done: int) -> None:
    """Removes what the feeds have, ROWS_AT_ONCE at most."""
    connection.execute(_PRUNE, (done, ROWS_AT_ONCE))


def _mark(connection: sqlite3.Connection) -> tuple[float | None, int]:
    found = connection.execute(_GET, (NAME,)).fetchone()
    if found is None:
        return None, 0
    end, _, row_id = str(found[0]).partition(" ")
    return float(end), int(row_id)
