"""What is read often is read as soon as it is ready, and not by a turn of asyncio's loop.

A turn costs several times what the kernel takes to say that a datagram is there: lists of events, handles, a queue, the
heap of timers. So the loop's selector (`sipstack.aio.loop`) calls such readers itself, and goes back to the loop when
that has something to do.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from selectors import EpollSelector, SelectorKey
from time import monotonic
from typing import Any, Final, final

_MOST: Final = 64  # descriptors that one look tells of; the next one tells of the others

Act = Callable[[], object]


@final
class Wakes:
    """A selector for a loop of asyncio, with readers of its own.

    What asyncio registers lies in a selector of asyncio's, which this one waits for as for one descriptor more.
    """

    __slots__ = ("_at_last", "_behind", "_epoll", "_on_fault", "_others", "_readers", "is_asked")

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        """`on_fault` gets what a reader raised."""
        self.is_asked = False  # the loop has something to do that it had not when it began to wait
        self._on_fault = on_fault
        self._others = EpollSelector()
        self._epoll = select.epoll()
        self._epoll.register(self._others.fileno(), select.EPOLLIN)
        self._readers: dict[int, Act] = {}  # by descriptor
        self._at_last: list[Act] = []
        self._behind: list[int] = []  # descriptors that were ready after one of asyncio's

    def read_by(self, descriptor: int, reader: Act) -> None:
        """From now on `reader` is called whenever something can be read, or has failed."""
        if descriptor not in self._readers:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._readers[descriptor] = reader

    def forget(self, descriptor: int) -> bool:
        """Nobody reads it any more; False when nobody did."""
        if self._readers.pop(descriptor, None) is None:
            return False
        with suppress(OSError):  # it has been closed
            self._epoll.unregister(descriptor)
        return True

    def before_waiting(self, act: Act) -> None:
        """Has something done once, when all that was ready has been read."""
        self._at_last.append(act)

    # -- what asyncio asks of a selector -----------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Waits so many seconds, for ever when None, or until the loop has something to do. What of its own is ready.

        Readers are called meanwhile, however often; but not before asyncio has heard of what was ready earlier. Of a
        connection that is closed, say, the node must know before a datagram has it send something there.
        """
        self.is_asked = False
        left_s = -1.0 if timeout is None else max(0.0, timeout)
        ends = monotonic() + left_s
        if self._behind:
            behind, self._behind = self._behind, []
            for descriptor in behind:
                self._read(descriptor)
        is_others = False
        while True:
            self._do_last()
            ready = self._epoll.poll(0.0 if self.is_asked else left_s, _MOST)
            for descriptor, _ in ready:
                if is_others:
                    self._behind.append(descriptor)
                else:
                    is_others = not self._read(descriptor)
            if is_others or self.is_asked or not ready:
                break
            if timeout is not None:
                left_s = ends - monotonic()
                if left_s <= 0.0:
                    break
        return self._others.select(0) if is_others else []

    def _read(self, descriptor: int) -> bool:
        """False for what asyncio reads, or nobody any more."""
        reader = self._readers.get(descriptor)
        if reader is None:
            return False
        self._do(reader)
        return True

    def _do_last(self) -> None:
        while self._at_last:
            acts, self._at_last = self._at_last, []
            for act in acts:
                self._do(act)

    def _do(self, act: Act) -> None:
        """A bug of ours costs what it met, not the loop."""
        try:
            act()
        except Exception as fault:
            self._on_fault(fault)

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """As of any selector, as are those below."""
        return self._others.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> SelectorKey:
        return self._others.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        return self._others.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> SelectorKey:
        return self._others.get_key(fileobj)

    def get_map(self) -> Any:
        return self._others.get_map()

    def close(self) -> None:
        self._readers.clear()
        self._epoll.close()
        self._others.close()
