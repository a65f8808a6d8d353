"""A short message of the last run whose report is awaited: read back into its record, its open row left as it is."""

from __future__ import annotations

import json

from engine.core.records import CallRecord
from engine.core.report_relay import ReportEntry, read_entry
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.open_rows import read_record
from engine.store.rows import DIALOGS


def pending_message(values: tuple[object, ...], dialogs: bytes, cipher: NumberCipher) -> tuple[CallRecord, ReportEntry]:
    """The record as it stood when the RP-DATA was accepted, and its entry; `values` in the order of OPEN_COLUMNS.

    StoreError or ValueError for what is no such row.
    """
    record = read_record(values, cipher)
    record.duration_source = "wall"
    return record, _entry(dialogs, cipher)


def _entry(dialogs: bytes, cipher: NumberCipher) -> ReportEntry:
    try:
        return read_entry(json.loads(cipher.decrypt(dialogs, DIALOGS)))
    except (TypeError, ValueError):
        raise StoreError(f"{DIALOGS}: not the entry of a report") from None
