"""Starts the daily job of the store once a day, in a process of its own, and tells in the log what it has done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

# 03:00 in China: few calls, and days of the chain are UTC days.
HOUR_UTC: Final = 19
JITTER_S: Final = 3600  # nodes on one disk or one archive do not begin at once
AFTER_START_S: Final = 60.0  # a start has other things to do first
LOOK_S: Final = 600.0  # the clock may be set meanwhile

_DAY_S: Final = 86_400

Log = Callable[..., None]


@final
class DailyJob:
    """For one node. The job itself knows whether it was done already: a start may ask again."""

    def __init__(
        self, node: str, data_dir: Path, retention_days: int, events_days: int, archive_dir: Path | None, info: Log,
        error: Log,
    ) -> None:  # fmt: skip
        self._jitter_s = zlib.crc32(node.encode()) % JITTER_S
        self._data_dir = data_dir
        self._retention_days = retention_days
        self._events_days = events_days
        self._archive_dir = archive_dir
        self._info = info
        self._error = error
        self._task: asyncio.Task[None] | None = None

    def follow(self, retention_days: int, archive_dir: Path | None) -> None:
        """The next run does it so."""
        self._retention_days = retention_days
        self._archive_dir = archive_dir

    def start(self) -> None:
        """From now on it runs at its time, and soon if it was missed."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends a job that is running: what it has done stays done, the next one does the rest."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})  # whatever became of it: the records are still to be written

    async def _run(self) -> None:
        await asyncio.sleep(AFTER_START_S)
        asked_s = 0.0
        while True:
            slot_s = last_slot(time.time(), self._jitter_s)
            if slot_s != asked_s:  # the clock may have been set back
                asked_s = slot_s
                await self._do(slot_s)
            await asyncio.sleep(LOOK_S)

    async def _do(self, slot_s: float) -> None:
        words = [str(self._data_dir), str(self._retention_days), str(self._events_days), str(slot_s)]
        if self._archive_dir is not None:
            words.append(str(self._archive_dir))
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "engine.store.daily", *words,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            self._error("daily job failed", reason=error.strerror)
            return
        try:
            printed, _ = await child.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself, this very moment
                child.terminate()
            await child.wait()
            raise
        self._tell(printed, child.returncode)

    def _tell(self, printed: bytes, status: int | None) -> None:
        try:
            figures: dict[str, Any] = json.loads(printed)
        except ValueError:
            self._error("daily job failed", status=status)
            return
        faults = figures.pop("faults", ())
        for fault in faults:
            self._error("daily job failed", reason=fault)
        if figures:
            self._info("daily job", **figures)


def last_slot(wall_s: float, jitter_s: int) -> float:
    """When the job was to begin last, seconds since the epoch."""
    begin_s = HOUR_UTC * 3600 + jitter_s
    return (wall_s - begin_s) // _DAY_S * _DAY_S + begin_s
