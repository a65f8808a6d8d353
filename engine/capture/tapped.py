"""Where captures have their messages from: the tap of this process, or those of several workers
(`engine.workers.taps`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol, final

from engine.capture.backlog import Backlog, Captured
from sipstack.events import Flow

Parties = tuple[str, str, str]
"""A 700 number, and the real numbers of who calls and who is called by it, "" for none."""

Tap = Callable[[bool, bytes, Flow], None]


class Source(Protocol):
    """Fills backlogs. Everything happens in the loop's thread."""

    @property
    def behind_s(self) -> float:
        """So long after it has come or gone a message is in the backlogs, at the latest."""

    async def open(self, backlog: Backlog) -> None:
        """It gets what comes and goes from now on; at the latest when this returns."""

    def close(self, backlog: Backlog) -> None:
        """It gets nothing any more; also one that gets nothing already."""

    async def parties(self) -> list[Parties]:
        """The numbers of all calls in progress."""


@final
class Tapped:
    """The messages of this process. There is a tap while there is a backlog."""

    behind_s: Final = 0.0

    def __init__(
        self, attach: Callable[[Tap | None], None], peer_of: Callable[[Flow], str], parties: Callable[[], list[Parties]]
    ) -> None:
        """`attach` sets or takes away the tap. `peer_of`: whose an address is, "" for nobody's."""
        self._attach = attach
        self._peer_of = peer_of
        self._parties = parties
        self._backlogs: list[Backlog] = []

    async def open(self, backlog: Backlog) -> None:
        """As `Source.open`."""
        self._backlogs.append(backlog)
        self._attach(self._tap)

    def close(self, backlog: Backlog) -> None:
        """As `Source.close`."""
        if backlog in self._backlogs:
            self._backlogs.remove(backlog)
            if not self._backlogs:
                self._attach(None)

    async def parties(self) -> list[Parties]:
        """As `Source.parties`."""
        return self._parties()

    def _tap(self, is_sent: bool, data: bytes, flow: Flow) -> None:
        message = Captured(time.time(), is_sent, data, flow, self._peer_of(flow))
        for backlog in self._backlogs:
            backlog.add(message)
