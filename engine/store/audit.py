"""Table `audit`: who looked at what may be seen only with a reason."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from engine.core.numbers import mask, masked_runs
from engine.core.spelling import fold
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, open_read_only, store_errors
from engine.store.rows import utc_period, utc_text

_INSERT: Final = "INSERT INTO audit (at, actor, action, detail, reason) VALUES (?, ?, ?, ?, ?)"
MAX_REASON: Final = 500  # characters
BUSY_MS: Final = 60_000  # so long a look waits for an import: a million bindings take less

_SEPARATORS: Final = re.compile(r"[-. ()]")
_GROUPED_MOBILE: Final = re.compile(r"(?<![0-9])1[-. ()]{0,2}[3-9](?:[-. ()]{0,2}[0-9]){9}(?![0-9])")
_LIST: Final = "SELECT at, actor, action, reason, detail FROM audit WHERE at >= ? AND at < ? ORDER BY id"


@final
@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks to see real numbers or changes something: the user of the command or of the API; why, "" for no word."""

    actor: str
    reason: str = ""


@final
@dataclass(frozen=True, slots=True)
class AuditRow:
    """One look: when (RFC 3339 UTC), by whom, through which command, why, and at what."""

    at: str
    actor: str
    action: str
    reason: str
    detail: str


def audit_row(wall_s: float, asker: Asker, action: str, detail: str) -> tuple[str, str, str, str, str]:
    """What `write_audit` writes.

    A real number in the reason is masked, in digits of any script: those in a row, and a mobile's in groups.
    """
    plain = fold(asker.reason)
    masked = masked_runs(_GROUPED_MOBILE.sub(lambda found: mask(_SEPARATORS.sub("", found[0])), plain))
    reason = asker.reason if masked == plain else masked
    return (utc_text(wall_s), asker.actor, action, detail, reason)


def insert_audit(connection: sqlite3.Connection, wall_s: float, asker: Asker, action: str, detail: str) -> None:
    """One row, in the transaction of what it tells about. No real number may stand in `detail`."""
    connection.execute(_INSERT, audit_row(wall_s, asker, action, detail))


def write_audit(path: Path, cipher: NumberCipher, row: tuple[str, str, str, str, str]) -> None:
    """One row into bindings.db, durable when this returns; StoreError when it cannot be written."""
    connection = open_database(path, BINDINGS, cipher, busy_ms=BUSY_MS)
    try:
        with store_errors(path):
            connection.execute(_INSERT, row)
    finally:
        connection.close()


def read_audit(path: Path, since_s: float | None = None, until_s: float | None = None) -> Iterator[AuditRow]:
    """The rows of a time, oldest first: `since_s` inclusive, `until_s` exclusive, seconds since the epoch.

    Needs no key: nothing in them is encrypted, since no real number stands in them. StoreError.
    """
    connection = open_read_only(path, None)
    try:
        with store_errors(path):
            for row in connection.execute(_LIST, utc_period(since_s, until_s)):
                yield AuditRow(*row)
    finally:
        connection.close()
