"""What happened, by pages: records of records.db, the audit of bindings.db. For one connection each."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final

from engine.core.records import FIELDS
from engine.store.crypto import NumberCipher
from engine.store.record_numbers import show_numbers

Shown = dict[str, Any]

MAX_LOOKED_AT: Final = 20_000  # records of other platforms lie between those of one

_AUDIT: Final = "SELECT id, at, actor, action, reason, detail FROM audit WHERE id > ? ORDER BY id LIMIT ?"
_RECORDS: Final = (
    f"SELECT rowid, {', '.join(FIELDS)} FROM cdr WHERE rowid > ? AND rowid <= ? AND (? = '' OR app_platform = ?)"
    " ORDER BY rowid LIMIT ?"
)


def page_of_audit(connection: sqlite3.Connection, after: int, limit: int) -> list[Shown]:
    """Rows of the audit behind an id; no real number stands in them."""
    names = ("id", "at", "actor", "action", "reason", "detail")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(_AUDIT, (after, limit))]


def page_of_records(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, after: int, limit: int, reveals: bool
) -> tuple[list[Shown], int]:
    """Records of a platform ("" for all) behind a row, in the order in which attempts ended, and the row behind which
    the next page begins; a page may be short with more to come. It ends where that row is the one that was asked for.
    """
    first = connection.execute("SELECT min(rowid) FROM cdr").fetchone()[0] or 0
    after = max(after, first - 1)  # what was purged is not looked for
    until = after + MAX_LOOKED_AT
    rows = connection.execute(_RECORDS, (after, until, app_platform, app_platform, limit)).fetchall()
    found = [_record(cipher, dict(zip(FIELDS, row[1:], strict=True)), reveals) for row in rows]
    if len(rows) == limit:
        return found, int(rows[-1][0])
    last = connection.execute("SELECT max(rowid) FROM cdr").fetchone()[0] or 0
    return found, min(until, max(last, after))


def _record(cipher: NumberCipher, record: Shown, reveals: bool) -> Shown:
    """As `cdr export` writes it."""
    show_numbers(cipher, record, reveals)
    return record | {"attempts": json.loads(record["attempts"])}
