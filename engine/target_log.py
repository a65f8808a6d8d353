"""What the log is told of the health of targets: each change, but of one address one line a second at most.

That one is up is told as what it is, no warning: who is woken by warnings must not be woken by good news.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from engine.core.health import STATES, UP

QUIET_S: Final = 1.0  # between two lines about one address; a trunk may say 503 to every other call

Log = Callable[..., None]


@final
class TargetLog:
    """One line for a change; what changes to and fro behind it is told once QUIET_S are over, if it still differs."""

    def __init__(self, info: Log, warning: Log) -> None:
        self._info = info
        self._warning = warning
        self._loop = asyncio.get_running_loop()
        self._told: dict[str, str] = {}  # by address, while that is quiet: what the log says, and how it is
        self._is: dict[str, str] = {}

    def changed(self, address: str, state: str) -> None:
        """An address has another state now."""
        self._is[address] = state
        if address not in self._told:
            self._tell(address)

    def _tell(self, address: str) -> None:
        state = self._told[address] = self._is[address]
        (self._info if state == STATES[UP] else self._warning)(f"target is {state}", address=address)
        self._loop.call_later(QUIET_S, self._quiet_is_over, address)

    def _quiet_is_over(self, address: str) -> None:
        if self._told.pop(address) != self._is[address]:
            self._tell(address)
        else:
            del self._is[address]
