"""The watch beside the traffic: what it measures, and what it tells."""

from __future__ import annotations

import asyncio
import time

from engine.core.intake import Intake
from engine.core.overload import TICK_S
from engine.load_watch import LoadWatch

WAIT_S = 30.0  # for a machine that is busy with other tests


class Watched:
    """A watch whose sockets say what the test says, and the lines that it has written."""

    def __init__(self) -> None:
        self.waits_s = 0.0
        self.looks = 0
        self.lines: list[tuple[str, float]] = []
        intake = Intake({})
        self.control = intake.load
        self.watch = LoadWatch(intake, self._waiting_s, self._log)

    def _log(self, line: str, **said: float) -> None:
        self.lines.append((line, said["share"]))

    def _waiting_s(self) -> float:
        self.looks += 1
        return self.waits_s

    async def until_looks(self, looks: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.looks < looks:
                await asyncio.sleep(TICK_S / 5)


async def test_it_looks_again_and_again_and_stops() -> None:
    watched = Watched()
    watched.waits_s = 2.0
    watched.watch.start()
    await watched.until_looks(4)
    watched.watch.stop()
    assert watched.control.share > 0.0
    assert watched.watch.wait_s >= 2.0
    looks = watched.looks
    await asyncio.sleep(3 * TICK_S)
    assert watched.looks == looks


async def test_a_loop_that_is_late_counts_like_a_message_that_waits() -> None:
    watched = Watched()
    watched.watch.start()
    time.sleep(0.4)  # what a long step of the loop does
    while not watched.looks:
        await asyncio.sleep(0)  # in the turn behind it: a second look might find the loop punctual
    watched.watch.stop()
    assert 0.3 < watched.watch.wait_s < WAIT_S


async def test_beginning_and_end_are_told_once() -> None:
    watched = Watched()
    watched.watch.tell()
    assert watched.lines == []
    watched.control.share = 0.5
    watched.watch.tell()
    watched.watch.tell()
    watched.control.share = 0.0
    watched.watch.tell()
    watched.watch.tell()
    assert watched.lines == [("overload: new attempts are turned away", 0.5), ("overload is over", 0.0)]
