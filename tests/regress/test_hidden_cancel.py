"""Before Python 3.12 `asyncio.wait_for` answers, and says nothing of a cancel, where its wait ends at that moment.

A name that nobody watched any more was looked up and told for good, and whoever stopped the resolver waited for ever;
so did whoever let go of a process that said at that moment that it was ready. A leak test that was interrupted as a
message came to it went on to its end.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from random import Random

import pytest

from engine.keeper import Habits, Keeper, Words, launch
from engine.leaktest.canaries import Canaries
from engine.leaktest.talk import Talk, Work
from engine.leaktest.wires import CALLEE, CALLER, Arrival, Wires
from scenarios.rig.place import Place as Seats
from sipstack.aio.dns_client import Answer
from sipstack.aio.resolver import Found, Resolver
from sipstack.location import DnsSettings, Place, Query
from tests.leaktest.elements import pair_at

PATIENCE_S = 20.0


async def answered_however_it_ends(wait: asyncio.Future[None]) -> None:
    with suppress(asyncio.CancelledError):
        await wait


async def test_a_name_that_nobody_watches_is_let_alone() -> None:
    told: list[tuple[Place, Found]] = []
    settings = DnsSettings((("127.0.0.1", 9),), timeout_s=1.0, min_ttl_s=0.01, max_ttl_s=0.01, stale_s=1.0)
    resolver = Resolver(frozenset({("UDP", 4)}), settings, lambda place, found: told.append((place, found)))
    is_asked = asyncio.Event()

    class Client:
        async def ask(self, query: Query) -> Answer:
            if not is_asked.is_set():
                is_asked.set()
                await answered_however_it_ends(asyncio.get_running_loop().create_future())
            return Answer([], 1)

    resolver._client = Client()  # type: ignore[assignment]
    resolver.watch([Place("core.example")])
    await is_asked.wait()
    async with asyncio.timeout(PATIENCE_S):
        await resolver.stop()
    assert told == []


async def test_a_process_that_comes_back_as_it_is_let_go_is_not_waited_for() -> None:
    """It serves; who has let go of it tells it to end."""
    is_started_again = asyncio.Event()
    launched: list[Process] = []

    async def start() -> Process:
        child = await launch("timeit", "-n", "1", "-s", "import time", "time.sleep(60)", stdout=PIPE)
        if len(launched) == 1:
            is_started_again.set()
            await answered_however_it_ends(asyncio.get_running_loop().create_future())
        launched.append(child)
        return child

    words = Words("ended", "absent", "", "", "", "")
    keeper = Keeper(Habits(None, 0.01, 0.01, 60.0), words, start, lambda text, **fields: None)
    await keeper.start()
    launched[0].kill()
    await is_started_again.wait()
    async with asyncio.timeout(PATIENCE_S):
        await keeper.stop(Process.terminate)
    assert len(launched) == 2
    assert launched[1].returncode is not None


@pytest.mark.parametrize("turns", range(4))
async def test_a_leak_test_that_is_interrupted_as_a_message_comes_ends(turns: int) -> None:
    """Nothing wakes it again: its signal is heard once."""
    pair = pair_at(Seats("127.0.0"))
    wires = Wires(pair.element)
    talk = Talk(pair, wires, Canaries(Random(7)), Work("call"), set())
    waiting = asyncio.ensure_future(talk.wait((CALLER, lambda message: True), within_s=PATIENCE_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    wires.arrivals.put_nowait(Arrival(CALLEE, b"", None))
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=PATIENCE_S / 4)
    assert waiting.cancelled()
