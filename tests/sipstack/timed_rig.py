"""Stories on a loop of the node's own, with those who keep their time with its selector."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from sipstack.aio.loop import NodeLoop
from sipstack.aio.udp import open_udp
from sipstack.aio.wakes import NEVER
from tests.sipstack.endpoint_rig import Rig

T = TypeVar("T")
Ends = tuple[socket.socket, socket.socket]
WAIT_S = 30.0  # for a machine that is busy with other tests


def run(story: Callable[[NodeLoop], Awaitable[T]]) -> T:
    """A story on a loop of its own, which must not take for ever."""

    async def told() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, NodeLoop)
        async with asyncio.timeout(WAIT_S):
            return await story(loop)

    with asyncio.Runner(loop_factory=NodeLoop) as runner:
        return runner.run(told())


class Alarm:
    """Due at these times, in seconds from now; does something then."""

    def __init__(self, times: list[float], act: Callable[[], object] = lambda: None) -> None:
        start = monotonic()
        self._times = [start + one for one in times]
        self._act = act
        self.late: list[float] = []

    def set(self, in_s: float) -> None:
        """Due once more, so many seconds from now."""
        self._times.append(monotonic() + in_s)

    @property
    def is_over(self) -> bool:
        """It is not due any more."""
        return not self._times

    def due(self) -> float:
        return self._times[0] if self._times else NEVER

    def stand_still(self) -> None:
        """Does nothing, and lets nobody else do anything, until it is due."""
        while self.due() > monotonic():
            pass

    def time_has_come(self) -> None:
        self.late.append(monotonic() - self._times.pop(0))
        self._act()


def last_word(loop: NodeLoop, said: list[str]) -> tuple[asyncio.Future[None], Alarm]:
    """An alarm, still to be set, which says "time" and ends the story."""
    done = loop.create_future()

    def come() -> None:
        said.append("time")
        done.set_result(None)

    alarm = Alarm([], come)
    loop.wakes.keep_time(alarm)
    return done, alarm


class Turns:
    """Counts those of a loop."""

    def __init__(self, loop: NodeLoop) -> None:
        self.count = 0
        turn = loop._run_once  # type: ignore[attr-defined]

        def counted() -> None:
            self.count += 1
            turn()

        loop._run_once = counted  # type: ignore[attr-defined]


def served(host: str) -> Rig:
    """A rig with a socket."""
    rig = Rig()
    open_udp(rig.endpoint, host, 0)
    return rig
