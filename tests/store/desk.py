"""A writer of records with its outcomes in a queue."""

from __future__ import annotations

import queue
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from engine.core.records import CallRecord, Step
from engine.recording.client import Done
from engine.store.crypto import NumberCipher
from engine.store.journal import FOLDER
from tests.store.writing import RecordWriter

MakeRecord = Callable[..., CallRecord]
NOW_S = 1_795_482_123.0
PATIENCE_S = 60.0  # for a machine that is busy with other tests


class Desk:
    """A writer with its outcomes in a queue; the token of a step is (step, record_id)."""

    def __init__(self, path: Path, cipher: NumberCipher, make: MakeRecord) -> None:
        self.path = path
        self.folder = path.parent / FOLDER
        self.make = make
        self.groups: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self.writer = RecordWriter(path, cipher, "veil-1", "boot", 0, self.groups.put)

    def submit(self, step: Step, record_id: str, **changes: object) -> bool:
        return self.writer.submit(step, self.make(record_id, **changes).snapshot(), None, (step, record_id))

    def close_many(self, *record_ids: str) -> None:
        for record_id in record_ids:
            assert self.submit(Step.CLOSE, record_id)

    def outcomes(self, count: int) -> dict[tuple[Step, str], bool]:
        """The next outcomes, at least `count` of them."""
        found: Done = []
        while len(found) < count:
            found += self.groups.get(timeout=PATIENCE_S)
        return dict(found)  # type: ignore[arg-type]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the writer does without being asked."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.001)

    def stored(self) -> list[str]:
        return self.column("record_id")

    def column(self, name: str) -> list[str]:
        connection = sqlite3.connect(self.path)
        try:
            return [row[0] for row in connection.execute(f"SELECT {name} FROM cdr ORDER BY seq")]
        finally:
            connection.close()
