"""A node's data folder with the sample inventory, bindings and records, all at moments that the test sets."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from engine.core.records import CallRecord
from engine.reports.making import make
from engine.reports.period import period
from engine.reports.table import Report
from engine.store.archive_reader import Archive
from engine.store.binding_rules import BindRequest
from engine.store.bindings import open_bindings
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, RECORDS, open_database, transaction
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.ledger import Ledger
from engine.store.rows import RowMaker, utc_text
from engine.store.signing import open_signing_key

SAMPLE: Final = Path(__file__).parents[2] / "configs" / "inventory.toml"
OPENED_S: Final = 1_795_140_000.0  # 2026-11-20T02:00:00Z, a Friday
NOON_S: Final = 1_795_492_800.0  # 2026-11-24T04:00:00Z: noon of that Tuesday in China
DAY_S: Final = 86_400.0
X: Final = "700123456780001"
BLOCK: Final = X[:11]


class Shop:
    """What tests do with it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.bindings = data_dir / "bindings.db"
        self.records = data_dir / "records.db"
        self.cipher = open_key(data_dir)
        self.apply(SAMPLE, OPENED_S)
        self._count = 0

    def apply(self, file: Path, wall_s: float) -> None:
        apply_inventory(self.bindings, self.cipher, read_inventory(file), wall_s=wall_s)

    async def bind(self, wall_s: float, number: int, hours: float) -> str:
        """X with a last digit of its own, for so long."""
        request = BindRequest(
            mode="AXB", tel_x=f"{BLOCK}{number:04}", tel_y="", tel_a="13800138000", tel_b="13900139000", group_id="",
            business_user="bu-express", order_id="4711", scenario="express",
            expiration=utc_text(wall_s + 3600 * hours),
        )  # fmt: skip
        async with open_bindings(self.bindings, self.cipher, lambda: wall_s) as store:
            return await store.bind(request)

    async def unbind(self, subs_id: str, wall_s: float) -> None:
        async with open_bindings(self.bindings, self.cipher, lambda: wall_s) as store:
            await store.unbind(subs_id)

    def record(self, *records: dict[str, Any]) -> None:
        """Ordinary answered calls of 61 s at NOON_S but for what is named."""
        maker = RowMaker(self.cipher, "boot")
        closings = []
        for changes in records:
            self._count += 1
            one = CallRecord(f"r{self._count}", "veil-1", changes.get("kind", "voice"))
            usual = {
                "mode": "AXB", "app_platform": "ap-demo", "business_user": "bu-express", "scenario": "express",
                "tel_x": X, "caller": "13800138000", "callee": "13900139000", "call_time": NOON_S,
                "duration_ms": 61_000, "release_cause": "NORMAL", "sip_status": 200,
            }  # fmt: skip
            for name, value in (usual | changes).items():
                setattr(one, name, value)
            one.release_time = one.call_time
            closings.append(maker.closing(one.snapshot()))
        with closing(open_database(self.records, RECORDS, self.cipher)) as connection:
            Ledger(connection, "veil-1", open_signing_key(self.data_dir), lambda: NOON_S).write([], [], closings)

    def spoil(self, database: Path, statement: str) -> None:
        """What somebody with the file at hand could do to it."""
        with closing(sqlite3.connect(database)) as connection:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute(statement)
            connection.commit()

    def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        with closing(open_database(self.bindings, BINDINGS, self.cipher)) as connection, transaction(connection):
            return work(connection)

    def report(self, kind: str, day: str = "2026-11-24", **how: Any) -> Report:
        """Of one day, or of `since` and `until`, as it is made a day after it."""
        asked = period("" if "since" in how else day, how.pop("since", ""), how.pop("until", ""))
        wall_s = how.pop("wall_s", asked.until_s + DAY_S)
        archive: Archive | None = how.pop("archive", None)
        return asyncio.run(make(kind, self.data_dir, self.cipher, asked, wall_s, archive))


def table(report: Report) -> list[dict[str, Any]]:
    """The rows by column."""
    return [dict(zip(report.columns, row, strict=True)) for row in report.rows]
