"""A peer of profile isc is told the icid-value as it came; a masked export hid a number in icid_in, not in icid_out."""

from __future__ import annotations

import json
from pathlib import Path

from engine.core.records import CallRecord
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database
from engine.store.export import open_records
from engine.store.ledger import Ledger
from engine.store.record_forms import ExportFormat
from engine.store.rows import RowMaker
from engine.store.signing import open_signing_key


async def test_a_kept_icid_is_masked_on_both_sides(tmp_path: Path) -> None:
    cipher = open_key(tmp_path)
    record = CallRecord("r1", "veil-1", "voice")
    record.caller, record.callee, record.call_time = "13800138000", "13900139000", 1_795_500_000.0
    record.icid_in = record.icid_out = "138-0013-8000"
    connection = open_database(tmp_path / "records.db", RECORDS, cipher)
    Ledger(connection, "veil-1", open_signing_key(tmp_path)).write(
        [], [], [RowMaker(cipher, "boot").closing(record.snapshot())]
    )
    connection.close()
    async with open_records(tmp_path, cipher) as records:
        (exported,) = [json.loads(line) async for line in records.export(ExportFormat.JSONL)]
    assert (exported["icid_in"], exported["icid_out"]) == ("****", "****")
