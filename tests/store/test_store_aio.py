"""Who is interrupted while a connection begins leaves no thread behind that speaks to a loop that has ended."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time

import aiosqlite.core
import pytest

from engine.store.aio import connected


class SlowThread:
    """In the place of aiosqlite's log: what its thread does takes a while."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()

    def debug(self, *_words: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            self.has_begun.set()
            time.sleep(0.05)


def test_an_interruption_while_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowThread()
    monkeypatch.setattr(aiosqlite.core, "LOG", slow)

    async def hold() -> None:
        async with connected(lambda: sqlite3.connect(":memory:", check_same_thread=False)):
            await asyncio.Event().wait()

    async def interrupted() -> None:
        task = asyncio.ensure_future(hold())
        while not slow.has_begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = set(threading.enumerate())
    asyncio.run(interrupted())
    for thread in set(threading.enumerate()) - before:
        thread.join()  # what it raises is an error of this test
