"""How long messages wait for the node, measured beside the traffic: what `engine.core.overload` goes by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from engine.core.intake import Intake
from engine.core.overload import TICK_S

Log = Callable[..., None]


@final
class LoadWatch:
    """Looks every TICK_S how long the oldest message has been waiting in a socket, and how late the loop itself is.

    The first is what a burst of datagrams shows in: the loop stays punctual while it reads a few dozen at a time. The
    second is what many connections show in, and a thread that does not let the loop have its turn.
    """

    def __init__(self, intake: Intake, waiting_s: Callable[[], float], log: Log) -> None:
        """`waiting_s` says how long the oldest message that came in and nobody has read has been waiting."""
        self._intake = intake
        self._waiting_s = waiting_s
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._is_told = False
        self.wait_s = 0.0  # as it was measured last

    def start(self) -> None:
        """From now on it looks."""
        self._due_s = self._loop.time() + TICK_S
        self._timer = self._loop.call_at(self._due_s, self._look)

    def stop(self) -> None:
        """No more."""
        if self._timer is not None:
            self._timer.cancel()

    def tell(self) -> None:
        """One line in the log when the node begins to turn attempts away for its load, and one when it is over."""
        share = self._intake.load.share
        if (share > 0.0) != self._is_told:
            self._is_told = share > 0.0
            what = "overload: new attempts are turned away" if self._is_told else "overload is over"
            self._log(what, share=round(share, 3), wait_ms=round(self.wait_s * 1000))

    def _look(self) -> None:
        self.wait_s = max(self._loop.time() - self._due_s, self._waiting_s())
        self._intake.observe(self.wait_s)
        self.start()
