"""Short messages of the last run whose report is awaited: read back into records, their open rows left as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from engine.core.records import CallRecord
from engine.core.report_relay import ReportEntry, read_entry
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database, store_errors
from engine.store.errors import StoreError
from engine.store.open_rows import ANSWERED_COLUMNS, read_record
from engine.store.rows import DIALOGS

# Of call_open with call_answer beside it: an RP-DATA that was accepted. A call's answer is no such entry.
AWAITS_REPORT: Final = "(call_open.kind = 'message' AND call_answer.dialogs IS NOT NULL)"

_PENDING: Final = (
    f"SELECT {ANSWERED_COLUMNS}, call_answer.dialogs FROM call_open JOIN call_answer USING (record_id)"
    f" WHERE call_open.node = ? AND {AWAITS_REPORT} ORDER BY record_id"
)


def read_pending(path: Path, cipher: NumberCipher, node: str) -> list[tuple[CallRecord, ReportEntry]]:
    """The record of each as it stood when the RP-DATA was accepted, and its entry; before a writer starts.

    StoreError when the store cannot be used, or holds what this program has not written.
    """
    connection = open_database(path, RECORDS, cipher)
    try:
        with store_errors(path):
            found = connection.execute(_PENDING, (node,)).fetchall()
    finally:
        connection.close()
    return [pending_message(row[:-1], row[-1], cipher) for row in found]


def pending_message(values: tuple[object, ...], dialogs: bytes, cipher: NumberCipher) -> tuple[CallRecord, ReportEntry]:
    """One of them, of its row: `values` in the order of OPEN_COLUMNS. StoreError or ValueError if it is none."""
    record = read_record(values, cipher)
    record.duration_source = "wall"
    return record, _entry(dialogs, cipher)


def _entry(dialogs: bytes, cipher: NumberCipher) -> ReportEntry:
    try:
        return read_entry(json.loads(cipher.decrypt(dialogs, DIALOGS)))
    except (TypeError, ValueError):
        raise StoreError(f"{DIALOGS}: not the entry of a report") from None
