"""Signals that end a process of the node: the first one asks for it, the second one ends it at once (contract §3)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any, final


@final
class Stopping:
    """For one process; made inside its loop."""

    def __init__(self) -> None:
        self._stops = 0
        self._stop = asyncio.Event()

    def install(self, reload: Callable[[], None]) -> None:
        """From now on SIGTERM and SIGINT are heard here, and SIGHUP by `reload`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)
        loop.add_signal_handler(signal.SIGHUP, reload)

    def ask(self) -> None:
        """What either signal does."""
        self._stops += 1
        self._stop.set()

    async def wait(self) -> None:
        """Until the first one."""
        await self._stop.wait()

    async def unless_second(self, last: Coroutine[Any, Any, None]) -> None:
        """Awaits what is to be done after the first one; a second one ends the wait, and cancels it."""
        working = asyncio.ensure_future(last)
        self._stop.clear()
        second = asyncio.ensure_future(self._stop.wait())
        if self._stops < 2:
            await asyncio.wait({working, second}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, second):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
