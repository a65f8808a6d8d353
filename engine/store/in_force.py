"""What is bound now: in a block, for a platform, for a business user. By point reads and ranges of `target`."""

from __future__ import annotations

import sqlite3
from typing import Final

_IN_BLOCK: Final = "SELECT subs_id FROM target WHERE x >= ? AND x < ? AND expires_at > ? LIMIT 1"
_OF_PLATFORM: Final = "SELECT prefix FROM number_block WHERE app_platform = ?"
_OF_USER: Final = "SELECT prefix FROM number_block WHERE business_user = ?"


def bound_in_block(connection: sqlite3.Connection, prefix: str, wall_s: float) -> str:
    """A binding in force of one of its ten thousand numbers: the subs_id, "" for none."""
    row = connection.execute(_IN_BLOCK, (prefix, f"{prefix}:", wall_s)).fetchone()  # ":" stands behind "9"
    return str(row[0]) if row else ""


def bound_for_platform(connection: sqlite3.Connection, app_platform: str, wall_s: float) -> str:
    """A binding in force under an app platform, "" for none: every X lies in a block of its platform."""
    return _bound_in_any(connection, _OF_PLATFORM, app_platform, wall_s)


def bound_for_user(connection: sqlite3.Connection, business_user: str, wall_s: float) -> str:
    """A binding in force of a business user, "" for none."""
    return _bound_in_any(connection, _OF_USER, business_user, wall_s)


def _bound_in_any(connection: sqlite3.Connection, query: str, owner: str, wall_s: float) -> str:
    for (prefix,) in connection.execute(query, (owner,)).fetchall():
        if found := bound_in_block(connection, prefix, wall_s):
            return found
    return ""
