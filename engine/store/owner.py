"""Runs of the node on one data folder, counted: every open row names the run that serves it (`owner_epoch`)."""

from __future__ import annotations

import sqlite3

_READ = "SELECT value FROM meta WHERE name = 'owner_epoch'"
_COUNT = (
    "INSERT INTO meta VALUES ('owner_epoch', 1) ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
)


def begin_epoch(connection: sqlite3.Connection) -> int:
    """Counts one more run; for who holds the lock of the records."""
    connection.execute(_COUNT)
    return owner_epoch(connection)


def owner_epoch(connection: sqlite3.Connection) -> int:
    """The run that has begun last; 0 before the first."""
    found = connection.execute(_READ).fetchone()
    return 0 if found is None else int(found[0])
