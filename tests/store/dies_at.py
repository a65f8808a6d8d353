"""A process that writes records, or recovers them, and kills itself at one chosen point of that work.

Run as `python -m tests.store.dies_at FOLDER SEED FIRST POINT WHEN NUMBER`: dies at call `NUMBER` of `POINT`, before it,
after it, or half through what it was to write. FIRST is the number of its first call; -1 only recovers. Prints a line
for each step that was told durable: "CLOSE r00012". Ends by itself with status 0 when the point was not reached.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from engine.core.records import ANSWER, CLOSE, OPEN, CallRecord, Step
from engine.recording.client import Done
from engine.store import fresh, journal, loading
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database
from engine.store.history import publish
from tests.store.writing import RecordWriter, recover

CALLS: Final = 3_000
PLATFORMS: Final = ("ap-1", "ap-2", "")
SQL: Final = "sql"
# What the journal and its loader do to the disk. SQL stands for any statement.
POINTS: Final[dict[str, tuple[Any, str]]] = {
    "append": (os, "pwritev"),
    "head of a segment": (os, "pwrite"),
    "new segment": (os, "fsync"),
    "removal": (Path, "unlink"),
    SQL: (sqlite3, "connect"),
}


def die() -> None:
    """As a power cut would have it, but for what the kernel still holds."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(real: Callable[..., Any], when: str, number: int) -> Callable[..., Any]:
    """`real`, and at its `number`th call the end."""
    calls = count(1)

    def call(*given: Any, **named: Any) -> Any:
        if next(calls) != number:
            return real(*given, **named)
        if when == "half":
            file, (data,), *where = given
            fcntl.fcntl(file, fcntl.F_SETFL, 0)  # past the page cache only whole blocks are written
            real(file, (data[: len(data) // 2],), *where)
        elif when == "after":
            real(*given, **named)
        return die()

    return call


def traced(real: Callable[..., sqlite3.Connection], number: int) -> Callable[..., sqlite3.Connection]:
    """`sqlite3.connect`, and at the `number`th statement of all connections the end."""
    statements = count(1)

    def connect(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = real(*given, **named)
        connection.set_trace_callback(lambda _: die() if next(statements) == number else None)
        return connection

    return connect


class Load:
    """Calls, thirty at a time: some are refused, some never answered, some never end."""

    def __init__(self, folder: Path, seed: int, first: int) -> None:
        self._chance = random.Random(seed)
        self._first = first
        self._waiting = 0  # steps that nobody has heard of yet
        cipher = open_key(folder)
        self._bindings = open_database(folder / "bindings.db", BINDINGS, cipher, any_thread=True)
        self._writer = RecordWriter(
            folder / "records.db", cipher, "veil-1", f"boot{seed}", 1, self._told, announces=True
        )

    def run(self) -> None:
        """Until all is written."""
        self._writer.start()
        live: list[CallRecord] = []
        for number in range(self._first, self._first + CALLS):
            live.append(self._begin(number))
            if number % 50 == 0:
                publish(
                    self._bindings, PLATFORMS[number % 100 // 50], "number.status", f"x{number:06d}", {}, time.time()
                )
            if len(live) > 30:
                self._end(live.pop(self._chance.randrange(len(live))))
        self._writer.stop()

    def _begin(self, number: int) -> CallRecord:
        record = CallRecord(f"r{number:06d}", "veil-1", "voice")
        record.caller, record.callee, record.call_time = "13800138000", "13900139000", time.time()
        record.caller_call_id, record.app_platform = f"{number}@127.0.0.12", PLATFORMS[number % 3]
        if self._chance.random() > 0.2:
            self._submit(OPEN, record)
        return record

    def _end(self, record: CallRecord) -> None:
        fate = self._chance.random()
        if fate > 0.3:
            self._submit(OPEN, record)  # again, as after a redirect; or at all
            record.answer_time = time.time()
            self._submit(ANSWER, record)
        if fate < 0.95:
            record.release_time, record.release_cause = time.time(), "NORMAL"
            self._submit(CLOSE, record)

    def _submit(self, step: Step, record: CallRecord) -> None:
        extra = ("dialogs", b"SIP/2.0 200 OK" * 40) if step is ANSWER else None
        while self._waiting > 60 or not self._writer.submit(
            step, record.snapshot(), extra, f"{step.name} {record.record_id}"
        ):
            time.sleep(0.0005)
        self._waiting += 1

    def _told(self, done: Done) -> None:
        os.write(1, "".join(f"{token}\n" for token, is_durable in done if is_durable).encode())
        self._waiting -= len(done)


def main() -> None:
    """Sets the trap, and works."""
    folder, point, when = Path(sys.argv[1]), sys.argv[4], sys.argv[5]
    seed, first, number = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[6])
    owner, name = POINTS[point]
    real = getattr(owner, name)
    trap = traced(real, number) if point == SQL else dying(real, when, number)
    with (
        patch.object(journal, "SEGMENT_BYTES", 65_536),
        patch.object(fresh, "FRESH_LIMIT", 6_000),  # a few groups: some are loaded from memory, some from the file
        patch.object(loading, "pause_s", lambda loaded: 0.005),
        patch.object(owner, name, trap),
    ):
        recover(folder / "records.db", open_key(folder), announces=True)
        if first >= 0:
            Load(folder, seed, first).run()


if __name__ == "__main__":
    main()
