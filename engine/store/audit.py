"""Table `audit`: who looked at what may be seen only with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, store_errors
from engine.store.rows import utc_text

INSERT_AUDIT: Final = "INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)"


def audit_row(wall_s: float, actor: str, action: str, detail: str) -> tuple[str, str, str, str]:
    """Parameters of INSERT_AUDIT; `actor` is the user of the command or of the API."""
    return (utc_text(wall_s), actor, action, detail)


def write_audit(path: Path, cipher: NumberCipher, row: tuple[str, str, str, str]) -> None:
    """One row into bindings.db, durable when this returns; StoreError when it cannot be written."""
    connection = open_database(path, BINDINGS, cipher)
    try:
        with store_errors(path):
            connection.execute(INSERT_AUDIT, row)
    finally:
        connection.close()
