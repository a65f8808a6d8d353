"""`cdr export`: fields, order, forms, masking."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.records import FIELDS, CallRecord
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.errors import StoreError
from engine.store.export import open_records
from engine.store.ledger import Ledger
from engine.store.record_forms import ExportFormat
from engine.store.rows import RowMaker
from engine.store.signing import open_signing_key

MakeRecord = Callable[..., CallRecord]
Rows = Callable[..., list[sqlite3.Row]]
JSONL, CSV = ExportFormat.JSONL, ExportFormat.CSV


@pytest.fixture
def book(records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float) -> Path:
    connection = open_database(records_db, RECORDS, cipher)
    maker = RowMaker(cipher, "boot")
    ends = [
        make_record("r1", release_time=now + 10, release_cause="NORMAL", sip_status=200, q850=16, order_id='a,"b"\n中'),
        make_record("r2", call_time=now + 60, callee="", release_cause="NO_BINDING", sip_status=404, q850=1),
        make_record("r3", call_time=now + 120, caller_call_id="x+8613800138000-1@host", group_member="95588"),
    ]
    Ledger(connection, "veil-1", open_signing_key(records_db.parent)).write(
        [], [], [maker.closing(one.snapshot()) for one in ends]
    )
    connection.close()
    return records_db


async def lines(book: Path, cipher: NumberCipher, form: ExportFormat = JSONL, **options: object) -> list[str]:
    async with open_records(book.parent, cipher, lambda: 1_795_500_000.0) as records:
        return [line async for line in records.export(form, **options)]  # type: ignore[arg-type]


async def test_json_has_the_fields_of_the_contract_in_their_order(book: Path, cipher: NumberCipher) -> None:
    found = [json.loads(line) for line in await lines(book, cipher)]
    assert [list(record) for record in found] == [list(FIELDS)] * 3
    first = found[0]
    assert [record["record_id"] for record in found] == ["r1", "r2", "r3"]
    assert [record["seq"] for record in found] == [1, 2, 3]
    assert (first["caller"], first["callee"], first["group_member"]) == ("138****8000", "139****9000", None)
    assert first["attempts"] == [{"peer": "core", "target": "sip:127.0.0.13:5060", "status": 0, "ms": 0}]
    assert first["release_time"] == "2026-11-24T01:02:13.456Z"
    assert first["order_id"] == 'a,"b"\n中'
    assert found[1]["callee"] is None
    assert found[1]["prev_hash"] == first["hash"]


async def test_csv_reads_back(book: Path, cipher: NumberCipher) -> None:
    text = await lines(book, cipher, CSV)
    found = list(csv.DictReader(text_line + "\n" for text_line in text))
    assert tuple(found[0]) == FIELDS
    assert found[0]["order_id"] == 'a,"b"\n中'
    assert (found[0]["caller"], found[0]["group_member"], found[0]["sip_status"]) == ("138****8000", "", "200")
    assert json.loads(found[0]["attempts"])[0]["peer"] == "core"
    assert len(found) == 3


async def test_masked_means_nowhere(book: Path, cipher: NumberCipher) -> None:
    found = [json.loads(line) for line in await lines(book, cipher)]
    text = str(found)
    assert "13800138000" not in text
    assert "13900139000" not in text
    assert "x+86138****8000-1@host" in text
    # Five digits stand in many a hash as well, and a hash is of random keys.
    others = [{name: value for name, value in one.items() if name not in ("hash", "prev_hash")} for one in found]
    assert found[2]["group_member"] == "9****8"
    assert "95588" not in str(others)


async def test_revealing_writes_an_audit_row_first(book: Path, cipher: NumberCipher, rows: Rows) -> None:
    async with open_records(book.parent, cipher, lambda: 1_795_500_000.0) as records:
        export = records.export(JSONL, since_s=1_795_482_000.0, asker=Asker("ops", "complaint of 13800138000"))
        first = json.loads(await anext(export))
        audit = rows(
            book.with_name("bindings.db"),
            "SELECT at, actor, action, reason, detail FROM audit WHERE action != 'inventory.apply'",
        )
        await export.aclose()
    assert (first["caller"], first["callee"]) == ("13800138000", "13900139000")
    assert [tuple(row) for row in audit] == [
        (
            "2026-11-24T06:00:00.000Z",
            "ops",
            "cdr.export",
            "complaint of 138****8000",
            "reveal 3 records from r1 to r3, since=2026-11-24T01:00:00.000Z until=-",
        )
    ]


async def test_a_revealed_export_shows_what_its_audit_row_names(
    book: Path, cipher: NumberCipher, make_record: MakeRecord, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that ends while the export runs was not asked for, and is not shown."""
    monkeypatch.setattr("engine.store.export.PAGE", 2)
    connection = open_database(book, RECORDS, cipher)
    ledger, maker = Ledger(connection, "veil-1", open_signing_key(book.parent)), RowMaker(cipher, "boot")
    found = []
    async with open_records(book.parent, cipher) as records:
        async for line in records.export(JSONL, asker=Asker("ops")):
            found.append(json.loads(line)["record_id"])
            ledger.write([], [], [maker.closing(make_record(f"new{len(found)}").snapshot())])
    connection.close()
    assert found == ["r1", "r2", "r3"]


async def test_an_empty_revealed_export_is_audited_too(book: Path, cipher: NumberCipher, rows: Rows) -> None:
    assert await lines(book, cipher, since_s=2_000_000_000.0, asker=Asker("ops")) == []
    ((detail,),) = rows(book.with_name("bindings.db"), "SELECT detail FROM audit WHERE action != 'inventory.apply'")
    assert detail == "reveal 0 records, since=2033-05-18T03:33:20.000Z until=-"


async def test_a_call_id_that_spells_a_party_is_masked(
    book: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    """Whole, where the digits do not stand together: nothing tells which of its letters belong to the number."""
    connection = open_database(book, RECORDS, cipher)
    row = RowMaker(cipher, "boot").closing(make_record("spelt", caller_call_id="138-0013-8000@host").snapshot())
    Ledger(connection, "veil-1", open_signing_key(book.parent)).write([], [], [row])
    connection.close()
    found = [json.loads(line) for line in await lines(book, cipher)]
    assert found[-1]["caller_call_id"] == "****"


async def test_masked_exports_leave_no_trace(book: Path, cipher: NumberCipher) -> None:
    await lines(book, cipher)
    assert not book.with_name("bindings.db").exists()


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ["r1", "r2", "r3"]),
        (0.0, None, ["r1", "r2", "r3"]),
        (60.0, None, ["r2", "r3"]),
        (60.001, None, ["r3"]),
        (None, 60.0, ["r1"]),
        (60.0, 120.0, ["r2"]),
        (None, 0.0, []),
    ],
)
async def test_a_period_is_of_call_times(
    book: Path, cipher: NumberCipher, now: float, since: float | None, until: float | None, expected: list[str]
) -> None:
    options = {
        "since_s": now + since if since is not None else None,
        "until_s": now + until if until is not None else None,
    }
    found = await lines(book, cipher, **options)
    assert [json.loads(line)["record_id"] for line in found] == expected


async def test_pages_lose_and_double_nothing(
    book: Path, cipher: NumberCipher, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that are written while an export runs come at its end."""
    monkeypatch.setattr("engine.store.export.PAGE", 2)
    connection = open_database(book, RECORDS, cipher)
    ledger, maker = Ledger(connection, "veil-1", open_signing_key(book.parent)), RowMaker(cipher, "boot")
    found = []
    async with open_records(book.parent, cipher) as records:
        async for line in records.export(JSONL):
            found.append(json.loads(line)["record_id"])
            if len(found) < 4:
                ledger.write([], [], [maker.closing(make_record(f"new{len(found)}").snapshot())])
    connection.close()
    assert found == ["r1", "r2", "r3", "new1", "new2", "new3"]


async def test_without_records_there_is_one_clear_line(data_dir: Path, cipher: NumberCipher) -> None:
    with pytest.raises(StoreError, match=r"records\.db: no such file"):
        await lines(data_dir / "records.db", cipher)


async def test_another_key_is_one_clear_line(book: Path) -> None:
    with pytest.raises(StoreError, match=r"records\.db: written with key \w+, but the key file holds"):
        await lines(book, NumberCipher(b"k" * 64))


async def test_messages_are_no_calls_to_asterisk(book: Path, cipher: NumberCipher, make_record: MakeRecord) -> None:
    connection = open_database(book, RECORDS, cipher)
    row = RowMaker(cipher, "boot").closing(make_record("text", kind="message").snapshot())
    Ledger(connection, "veil-1", open_signing_key(book.parent)).write([], [], [row])
    connection.close()
    found = list(csv.reader(await lines(book, cipher, ExportFormat.ASTERISK_CSV)))
    assert [row[16] for row in found] == ["r1", "r2", "r3"]
