"""Days of records, written by a ledger whose clock the test sets, and a folder for their archive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from engine.core.records import CallRecord
from engine.store.anchors import DAY_S
from engine.store.archive import archive
from engine.store.archive_reader import Archive
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.export import open_records
from engine.store.ledger import Ledger
from engine.store.manifest import Manifest
from engine.store.record_forms import ExportFormat
from engine.store.rows import RowMaker
from engine.store.settlement import Settlement, SettlementLine
from engine.store.signing import open_signing_key

NODE: Final = "veil-1"
FIRST_NOON_S: Final = 1_795_521_600.0  # 2026-11-24T12:00:00Z
FOR_EVER: Final = "9999-12-31"


class Shelf:
    """records.db, the archive folder beside it, and what tests do with both."""

    def __init__(self, path: Path, cipher: NumberCipher, make: Callable[..., CallRecord]) -> None:
        self.path = path
        self.folder = path.parent.parent / "shelf"
        self.folder.mkdir()
        self.now_s = FIRST_NOON_S
        self.count = 0
        self._cipher = cipher
        self._make = make
        self._connection = open_database(path, RECORDS, cipher)
        self._maker = RowMaker(cipher, "boot")
        self._ledger = Ledger(self._connection, NODE, open_signing_key(path.parent), lambda: self.now_s)

    def close(self) -> None:
        self._connection.close()

    def day(self, records: int, **changes: object) -> None:
        """So many records at noon, then it is noon of the next day; the anchor comes with the next group."""
        closings = []
        for _ in range(records):
            self.count += 1
            usual = {"call_time": self.now_s + self.count, "sip_status": 200, "release_cause": "NORMAL"}
            record = self._make(f"r{self.count}", **(usual | {"duration_ms": self.count * 1000} | changes))
            closings.append(self._maker.closing(record.snapshot()))
        self._ledger.write([], [], closings)
        self.now_s += DAY_S

    def anchor(self) -> None:
        """An empty group, which writes the anchors that are due."""
        self._ledger.write([], [], [])

    def clear_log(self) -> int:
        """Empty the write-ahead log; 1 when a reader keeps it."""
        return int(self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    def spoil(self, *statements: str) -> None:
        """What somebody with the file at hand could do to it."""
        connection = sqlite3.connect(self.path)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    def archive(self, until: str = FOR_EVER) -> list[Manifest]:
        return archive(self.path, self.folder, until)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    async def lines(self, *, archived: bool = False, **options: Any) -> list[str]:
        """The lines of an export."""
        behind = Archive(self.folder) if archived else None
        form = options.pop("form", ExportFormat.JSONL)
        async with open_records(self.path.parent, self._cipher, archive=behind) as reader:
            return [line async for line in reader.export(form, **options)]

    async def ids(self, *, archived: bool = False, **options: Any) -> list[str]:
        return [json.loads(line)["record_id"] for line in await self.lines(archived=archived, **options)]

    async def settled(self, *, archived: bool = False, since_s: float = FIRST_NOON_S) -> list[SettlementLine]:
        sums = Settlement("minute", "+08:00", 8 * 3600)
        behind = Archive(self.folder) if archived else None
        async with open_records(self.path.parent, self._cipher, archive=behind) as reader:
            await reader.settle(sums, since_s, since_s + 1000 * DAY_S)
        return sums.lines()
