"""The outbox of bindings.db in the hands of the API: what has expired goes in, what was taken goes out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from math import inf, nextafter
from typing import Final

from engine.store.history import EVENT
from engine.store.many_rows import insert_many
from engine.store.rows import UtcText

ROWS_AT_ONCE: Final = 250  # told of in one transaction, which whoever binds may have to wait for
PRUNED_AT_ONCE: Final = 1_000
FOUND_AT_ONCE: Final = 100_000
NAME: Final = "expired_done"  # in `meta` of bindings.db: end and id of the binding that was told of last

Ended = tuple[float, int]  # when a binding has ended (seconds since the epoch), and its row

_COLUMNS: Final = (
    "subs_id", "app_platform", "version", "mode", "tel_x", "tel_y", "group_id", "business_user", "order_id",
    "out_order_id", "out_id", "scenario",
)  # fmt: skip
_GET: Final = "SELECT value FROM meta WHERE name = ?"
_SET: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_BEHIND: Final = "valid_to IS NULL AND expires_at <= ? AND expires_at >= ? AND (expires_at, id) > (?, ?)"
_ENDED: Final = (
    f"SELECT expires_at, id FROM binding INDEXED BY binding_ends WHERE {_BEHIND} ORDER BY expires_at, id LIMIT ?"
)
_ANY: Final = f"SELECT 1 FROM binding INDEXED BY binding_ends WHERE {_BEHIND} LIMIT 1"
_TOLD: Final = (
    f"SELECT expires_at, id, {', '.join(_COLUMNS)} FROM binding WHERE id IN (SELECT value FROM json_each(?))"
    " AND valid_to IS NULL"
)
_SEQUENCE: Final = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)"
_TAKEN: Final = f"SELECT 1 FROM outbox WHERE id <= ?1 AND ?1 <= {_SEQUENCE} LIMIT 1"
_PRUNE: Final = (
    f"DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE id <= ?1 ORDER BY id LIMIT ?2) AND ?1 <= {_SEQUENCE}"
)

_to_json: Final = json.JSONEncoder(ensure_ascii=False).encode


def is_expiry_due(connection: sqlite3.Connection, wall_s: float) -> bool:
    """True when there is something to tell of, or nothing was ever told."""
    end, row_id = _mark(connection)
    if end is None:
        return True
    return connection.execute(_ANY, (wall_s, end, end, row_id)).fetchone() is not None


def find_expired(connection: sqlite3.Connection, wall_s: float) -> list[Ended]:
    """Bindings that have ended by themselves since the last that was told of, in order, FOUND_AT_ONCE at most.

    A million may end in one second, and all of them are looked at: not in a transaction that writes. The first time of
    all there is none: what had ended before is old.
    """
    end, row_id = _mark(connection)
    if end is None:
        return []
    return connection.execute(_ENDED, (wall_s, end, end, row_id, FOUND_AT_ONCE)).fetchall()


def tell_expired(connection: sqlite3.Connection, found: Sequence[Ended], are_all: bool, wall_s: float) -> None:
    """Tells of the next few that `find_expired` has found; `are_all`: behind them is none until `wall_s`.

    In a transaction of the caller's. Who was unbound meanwhile has been told of as such.
    """
    clock = UtcText()
    rows = connection.execute(_TOLD, (json.dumps([row_id for _, row_id in found]),)).fetchall()
    events: dict[str, list[str]] = {"app_platform": [], "at": [], "subject": [], "payload": []}
    for expires_at, _, *values in sorted(rows):
        told = dict(zip(_COLUMNS, values, strict=True))
        subs_id, platform, at = told.pop("subs_id"), told.pop("app_platform"), clock.text(expires_at)
        payload = {name: value for name, value in told.items() if value} | {"expiration": at}
        for column, value in zip(events.values(), (platform, at, subs_id, _to_json(payload)), strict=True):
            column.append(value)
    insert_many(connection, EVENT, {**events, "kind": "binding.expired"})
    if not found:
        mark = (wall_s, 0)
    elif are_all:  # those that ended in the same moment are not looked at again
        mark = (nextafter(found[-1][0], inf), 0)
    else:
        mark = found[-1]
    connection.execute(_SET, (NAME, f"{mark[0]!r} {mark[1]}"))


def is_outbox_taken(connection: sqlite3.Connection, done: int) -> bool:
    """True when `prune_outbox` has something to do; `done`: as far as the feeds have it.

    Where bindings.db is older than the feeds, since somebody has put back a copy, nothing is pruned.
    """
    return connection.execute(_TAKEN, (done,)).fetchone() is not None


def prune_outbox(connection: sqlite3.Connection, done: int) -> None:
    """Removes what the feeds have, PRUNED_AT_ONCE at most."""
    connection.execute(_PRUNE, (done, PRUNED_AT_ONCE))


def _mark(connection: sqlite3.Connection) -> tuple[float | None, int]:
    found = connection.execute(_GET, (NAME,)).fetchone()
    if found is None:
        return None, 0
    end, _, row_id = str(found[0]).partition(" ")
    return float(end), int(row_id)
