"""What is read often is read as soon as it is ready, and not by a turn of asyncio's loop.

A turn costs several times what the kernel takes to say that a datagram is there: lists of events, handles, a queue, the
heap of timers. So the loop's selector (`sipstack.aio.loop`) calls such readers itself, and whoever is due some hundred
times a second (`Timed`), and goes back to the loop when that has something to do.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from contextlib import suppress
from selectors import EpollSelector, SelectorKey
from typing import TYPE_CHECKING, Any, Final, Protocol, final

if TYPE_CHECKING:
    from sipstack.aio.datagrams import Ready as InC

_MOST: Final = 64  # descriptors that one look tells of; the next one tells of the others
_MOST_LOOKS: Final = 32  # while something is read at each of them; then what is due comes first
_LONGEST_S: Final = 3600.0  # then it looks again whether anything is due
NEVER: Final = float("inf")
NONE: Final = -1  # in the place of a descriptor

now_s: Final[Callable[[], float]] = time.monotonic  # the clock of asyncio's loops, without their Python

Act = Callable[[], object]


class Timed(Protocol):
    """Who has a time at which something is to be done, another one after anything that it does."""

    __slots__ = ()

    def due(self) -> float:
        """When, in monotonic seconds, or NEVER. Asked before each wait."""

    def time_has_come(self) -> None:
        """It is due."""


@final
class PlainReady:
    """What is ready, by Python's epoll: where nothing is compiled."""

    __slots__ = ("_epoll", "_found")

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._found: list[int] = []  # the first one last

    def wait(self, left_s: float, /) -> int:
        """Waits so many seconds -> a descriptor that is ready, NONE when none is; a signal may end it early."""
        found = self._epoll.poll(left_s, _MOST)
        self._found = [descriptor for descriptor, _ in reversed(found)]
        return self.next()

    def next(self) -> int:
        """Another one that was ready then; NONE when there is none."""
        return self._found.pop() if self._found else NONE


def _compiled() -> type[InC] | None:
    try:
        from sipstack.aio.datagrams import Ready
    except ImportError:
        return None
    return Ready


_IN_C: Final = _compiled()


@final
class Wakes:
    """A selector for a loop of asyncio, with readers and timers of its own.

    What asyncio registers lies in a selector of asyncio's, which this one waits for as for one descriptor more.
    """

    __slots__ = (
        "_at_last",
        "_behind",
        "_epoll",
        "_next",
        "_on_fault",
        "_others",
        "_owed_s",
        "_readers",
        "_timed",
        "_wait",
        "is_asked",
    )

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        """`on_fault` gets what a reader raised."""
        self.is_asked = False  # the loop has something to do that it had not when it began to wait
        self._on_fault = on_fault
        self._others = EpollSelector()
        self._epoll = select.epoll()
        self._epoll.register(self._others.fileno(), select.EPOLLIN)
        ready = PlainReady(self._epoll) if _IN_C is None else _IN_C(self._epoll.fileno())
        self._wait: Final[Callable[[float], int]] = ready.wait
        self._next: Final[Callable[[], int]] = ready.next
        self._readers: dict[int, Act] = {}  # by descriptor
        self._timed: list[Timed] = []
        self._at_last: list[Act] = []
        self._behind: list[int] = []  # descriptors that were ready after one of asyncio's
        self._owed_s = 0.0  # what was due by then is to be done when asyncio has heard of what was ready by then

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

    def keep_time(self, timed: Timed) -> None:
        """From now on it is called when it is due, behind what was ready by then."""
        self._timed.append(timed)

    def keep_no_time(self, timed: Timed) -> None:
        """It is not called any more."""
        self._timed.remove(timed)

    # -- what asyncio asks of a selector -----------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Waits so many seconds, for ever when None, or until the loop has something to do. What of its own is ready.

        Readers are called meanwhile, however often; but not before asyncio has heard of what was ready earlier. Of a
        connection that is closed, say, the node must know before a datagram has it send something there.
        """
        self.is_asked = False
        ends = NEVER if timeout is None else now_s() + max(0.0, timeout)
        self._do_behind()
        is_others = False
        looks = 0
        while True:
            self._do_last()
            due = self._due()
            looked_s = now_s()  # before: who is stopped while it waits may have looked at nothing when it goes on
            left_s = 0.0 if self.is_asked else min(due, ends) - looked_s
            descriptor = self._wait(min(max(0.0, left_s), _LONGEST_S))
            is_all_read = descriptor < 0
            while descriptor >= 0:
                if is_others:
                    self._behind.append(descriptor)
                else:
                    is_others = not self._read(descriptor)
                descriptor = self._next()
            if is_others:
                self._owed_s = looked_s
                return self._others.select(0)
            if due <= looked_s:
                looks += 1
                if not is_all_read and looks < _MOST_LOOKS:
                    continue  # a reader reads so much and no more: it is looked whether that was all
                looks = 0
                self._do_due(looked_s)
            if self.is_asked or ends <= looked_s:
                return []

    def _do_behind(self) -> None:
        """What has waited until asyncio had heard of what was its own."""
        if self._behind:
            behind, self._behind = self._behind, []
            for descriptor in behind:
                self._read(descriptor)
        if self._owed_s:
            looked_s, self._owed_s = self._owed_s, 0.0
            self._do_due(looked_s)

    def _due(self) -> float:
        """When the next one is due of those that keep their time here, or NEVER."""
        due = NEVER
        for timed in self._timed:
            due = min(due, timed.due())
        return due

    def _do_due(self, looked_s: float) -> None:
        """Once each, where it was due at that time. What is due again at once is so behind what is ready by then."""
        for timed in list(self._timed):
            if timed.due() <= looked_s:
                self._do(timed.time_has_come)

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
