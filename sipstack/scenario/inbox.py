"""What has come for a player and waits to be played: messages of all its sockets in the order of their coming."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol, final

from sipstack.scenario.settings import Address

# What may wait while the player is busy: at 700 bytes a message less than 3 MiB.
MAX_WAITING: Final = 4096


class End(Protocol):
    """One socket or connection. `local` is where it is bound; `fault` is why it was lost, or never `has_been_up`."""

    local: Address
    is_closed: bool
    has_been_up: bool
    fault: str

    async def send(self, data: bytes, to: Address) -> None:
        """Sends; what cannot be sent is lost."""

    async def close(self) -> None:
        """Ends it."""


class Resumable(Protocol):
    """A connection that is not being read while too much waits."""

    def resume(self) -> None:
        """Reads on."""


@final
@dataclass(slots=True)
class Arrived:
    """A message."""

    data: bytes
    source: Address
    end: End


@final
@dataclass(slots=True)
class Lost:
    """A connection has ended, or could not be opened."""

    end: End


@final
@dataclass(slots=True)
class TwinSaid:
    """A message of `<sendCmd>` from another player; `peer` is its name where players have names."""

    text: str
    peer: str


Event = Arrived | Lost | TwinSaid


@final
class Inbox:
    """A queue with an end: datagrams that find it full are shed and counted, connections are read no further."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._events: deque[Event] = deque()
        self._max_waiting = max_waiting
        self._waiter: asyncio.Future[None] | None = None
        self._is_woken = False
        self._paused: list[Resumable] = []
        self.shed = 0

    @property
    def is_full(self) -> bool:
        """A datagram more would be shed."""
        return len(self._events) >= self._max_waiting

    @property
    def waiting(self) -> int:
        """Events that `take` has for us."""
        return len(self._events)

    def put(self, event: Event) -> None:
        """One more, if there is room."""
        if self.is_full and isinstance(event, Arrived):
            self.shed += 1
            return
        self.add(event)

    def add(self, event: Event) -> None:
        """One more, whether there is room or not: its sender has been told to wait."""
        self._events.append(event)
        self._release()

    def pause(self, reader: Resumable) -> None:
        """It reads on when half of what waits has been taken."""
        self._paused.append(reader)

    def take(self) -> Event | None:
        """The oldest one; None when nothing waits."""
        if not self._events:
            return None
        if self._paused and len(self._events) < self._max_waiting // 2:
            paused, self._paused = self._paused, []
            for reader in paused:
                reader.resume()
        return self._events.popleft()

    def wake(self) -> None:
        """Lets `wait` return."""
        self._is_woken = True
        self._release()

    async def wait(self, timeout_s: float | None) -> None:
        """Until something is there, `wake`, or so many seconds have gone."""
        if self._events or self._is_woken:
            self._is_woken = False
            await asyncio.sleep(0)  # sockets have their turn, too
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, self._release) if timeout_s is not None else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._is_woken = False
            if timer is not None:
                timer.cancel()

    def _release(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
