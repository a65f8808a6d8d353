"""A ledger whose clock the test sets, for tests of anchors, verification and purge."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from engine.core.records import CallRecord
from engine.store.anchors import Anchor, read_anchors
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.days import chain_days
from engine.store.ledger import Ledger
from engine.store.rows import RowMaker
from engine.store.signing import open_signing_key
from engine.store.verify import NodeReport, verify

MakeRecord = Callable[..., CallRecord]
NODE = "veil-1"
DAY_S = 86_400
NOON_S = 1_795_521_600.0  # 2026-11-24T12:00:00Z


class Book:
    """records.db of one node."""

    def __init__(self, path: Path, cipher: NumberCipher, make: MakeRecord, now_s: float = NOON_S) -> None:
        self.path = path
        self.now_s = now_s
        self.connection = open_database(path, RECORDS, cipher)
        self.make = make
        self.maker = RowMaker(cipher, "boot")
        self.records = 0
        self.start()

    def start(self) -> None:
        """As a start of the node: what is in memory is forgotten."""
        signer = open_signing_key(self.path.parent)
        self.ledger = Ledger(self.connection, NODE, signer, lambda: self.now_s)

    def close(self, count: int = 1, **changes: object) -> None:
        """Write so many records in one group."""
        closings = []
        for _ in range(count):
            self.records += 1
            record = self.make(f"r{self.records}", **{"call_time": self.now_s, **changes})
            closings.append(self.maker.closing(record.snapshot()))
        self.ledger.write([], [], closings)

    def open(self, record_id: str) -> None:
        """An attempt that has not ended."""
        self.ledger.write([self.maker.open_row(self.make(record_id, call_time=self.now_s).snapshot())], [], [])

    def anchors(self) -> list[Anchor]:
        return list(read_anchors(self.connection, NODE))

    def days(self) -> list[tuple[str, int, int]]:
        return [(day.day, day.first_seq, day.last_seq) for day in chain_days(self.connection, NODE)]

    def tamper(self, *statements: str) -> None:
        """As somebody would who may write the file: the triggers are no obstacle to him."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)
        connection.close()

    def verify(self, **options: object) -> NodeReport:
        """The report on the node."""
        (node,) = verify(self.path, wall_s=self.now_s, **options).nodes  # type: ignore[arg-type]
        return node
