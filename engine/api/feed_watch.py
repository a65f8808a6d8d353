"""Looks at records.db for new events, and wakes who waits for those of a platform."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, final

from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors
from engine.store.errors import StoreError
from engine.store.events import last_seqs

T = TypeVar("T")

LOOK_S: Final = 0.2  # so often, while anybody waits
BUSY_MS: Final = 500


@final
class FeedWatch:
    """For the loop's thread. The node makes records.db, perhaps after this process has begun."""

    def __init__(self, path: Path, cipher: NumberCipher) -> None:
        self._path = path
        self._cipher = cipher
        self._connection: sqlite3.Connection | None = None
        self._lasts: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._waiting = 0
        self._is_over = False

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in records.db. StoreError, also while no node has made it."""
        try:
            if self._connection is None:
                self._connection = open_read_only(self._path, self._cipher, busy_ms=BUSY_MS)
            with store_errors(self._path):
                return work(self._connection)
        except StoreError:
            self._let_go()
            raise

    async def wait(self, app_platform: str, after: int, timeout_s: float | None) -> None:
        """Returns when there is an event behind `after`, when the time is over, or when the process ends."""
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while self._lasts.get(app_platform, 0) <= after and not self._is_over:
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1

    async def run(self) -> None:
        """The task that looks."""
        while True:
            if self._waiting:
                self._look()
            await asyncio.sleep(LOOK_S)

    def wake_all(self) -> None:
        """Nobody waits any more: the process ends."""
        self._is_over = True
        self._changed.set()

    def close(self) -> None:
        """Lets go of the store."""
        self.wake_all()
        self._let_go()

    def _look(self) -> None:
        try:
            found = self.read(last_seqs)
        except StoreError:  # whoever reads the events themselves says so
            return
        if found != self._lasts:
            self._lasts = found
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
