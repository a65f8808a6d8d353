"""The messages of several workers come as those of one, and nothing is missing that is not told."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import cast

import pytest

from engine.capture.backlog import MAX_MESSAGES, Backlog
from engine.workers import taps as tapping
from engine.workers.taps import Taps
from engine.workers.worker import Worker, WorkerGone

Line = dict[str, object]


class FakeWorker:
    """Says what it is told to; None: it goes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_silent = False
        self.at_first: list[tuple[float, str]] = []  # what each process of it begins with
        self.said: asyncio.Queue[Line | None] = asyncio.Queue()
        self.is_up = True
        self.listeners = 0

    async def follow(self, verb: str, more: Mapping[str, object]) -> AsyncGenerator[Line, None]:
        assert verb == "feed" and more["secret"]
        if not self.is_up:
            raise WorkerGone("it is being started again")
        self.listeners += 1
        try:
            yield told(time.time(), *self.at_first)
            while (line := await self.said.get()) is not None:
                yield line
        finally:
            self.listeners -= 1

    async def ask(self, verb: str, more: Mapping[str, object]) -> Line:
        assert verb == "parties" and more["secret"]
        if self.is_silent:
            raise WorkerGone("no answer")
        return {"parties": [["700", self.name, ""]]}

    async def tell(self, *lines: Line | None) -> None:
        """Returns when that has been heard."""
        for line in lines:
            self.said.put_nowait(line)
        await asyncio.sleep(0.02)


def told(until_s: float, *messages: tuple[float, str], lost: int = 0) -> Line:
    """A line of a worker: times and texts."""
    rows = [
        [at_s, False, b64encode(text.encode()).decode(), "UDP", "192.0.2.2", 5060, 0, ""] for at_s, text in messages
    ]
    return cast(Line, json.loads(json.dumps({"until": until_s, "lost": lost, "messages": rows})))


async def a_while_ago() -> float:
    """A time behind the start of all, with room for others between it and now."""
    began_s = time.time()
    await asyncio.sleep(0.05)
    return began_s


def taken(backlog: Backlog) -> list[str]:
    return [message.data.decode() for message in backlog.take()]


class World:
    def __init__(self) -> None:
        self.one, self.two = FakeWorker("1"), FakeWorker("2")
        self.taps = Taps(cast("list[Worker]", [self.one, self.two]))
        self.backlog = Backlog()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Who tells nothing is waited for: this machine may be busy."""
    monkeypatch.setattr(tapping, "PATIENCE_S", 3600.0)
    made = World()
    yield made
    made.taps.close(made.backlog)
    await until(lambda: (made.one.listeners, made.two.listeners) == (0, 0))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_nobody_is_asked_before_and_behind(world: World) -> None:
    other = Backlog()
    assert world.one.listeners == 0
    await world.taps.open(world.backlog)
    await world.taps.open(other)
    assert (world.one.listeners, world.two.listeners) == (1, 1)
    world.taps.close(world.backlog)
    await asyncio.sleep(0.01)
    assert world.one.listeners == 1
    world.taps.close(other)
    await until(lambda: (world.one.listeners, world.two.listeners) == (0, 0))
    await world.taps.open(world.backlog)
    assert (world.one.listeners, world.backlog.gaps) == (1, 0)


async def test_messages_come_in_the_order_of_time(world: World) -> None:
    await world.taps.open(world.backlog)
    at_s = await a_while_ago()
    await world.one.tell(told(at_s + 0.03, (at_s, "a"), (at_s + 0.02, "c")))
    assert taken(world.backlog) == []  # the other one may still tell something older
    await world.two.tell(told(at_s + 0.01, (at_s + 0.01, "b")))
    assert taken(world.backlog) == ["a", "b"]
    await world.two.tell(told(at_s + 0.04, (at_s + 0.02, "d")))
    assert taken(world.backlog) == ["c", "d"]  # of the same time the one that came first


async def test_who_tells_nothing_keeps_nobody_waiting_for_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.taps.open(world.backlog)
    at_s = await a_while_ago()
    await world.one.tell(told(at_s, (at_s, "a")))
    assert taken(world.backlog) == []
    monkeypatch.setattr(tapping, "PATIENCE_S", 0.0)
    await world.one.tell(told(time.time()))
    assert taken(world.backlog) == ["a"]
    await world.two.tell(told(time.time(), (at_s, "late")))
    assert taken(world.backlog) == ["late"]


async def test_what_is_held_is_bounded(world: World) -> None:
    await world.taps.open(world.backlog)
    at_s = time.time()
    await world.one.tell(told(at_s, *[(at_s, "x")] * (MAX_MESSAGES + 3)))
    assert world.backlog.seen == 3
    big = "y" * (3 * 1024 * 1024)
    await world.one.tell(told(at_s, *[(at_s, big)] * 3))
    assert world.backlog.seen == MAX_MESSAGES + 3 + 1


async def test_a_clock_that_is_set_back_holds_nothing(world: World) -> None:
    await world.taps.open(world.backlog)
    await world.one.tell(told(time.time(), (time.time() + 3600, "a")))
    await world.two.tell(told(time.time()))
    assert taken(world.backlog) == ["a"]


async def test_what_is_held_at_the_end_is_shown(world: World) -> None:
    other = Backlog()
    await world.taps.open(world.backlog)
    await world.taps.open(other)
    at_s = await a_while_ago()
    await world.one.tell(told(at_s + 0.01, (at_s + 0.01, "b"), (at_s, "a")))
    world.taps.close(world.backlog)
    assert taken(world.backlog) == ["a", "b"]
    assert taken(other) == []
    await world.two.tell(told(at_s + 0.01))
    assert taken(other) == ["a", "b"]
    assert taken(world.backlog) == []
    world.taps.close(other)


async def test_what_workers_lose_is_lost(world: World) -> None:
    await world.taps.open(world.backlog)
    later = Backlog()
    await world.one.tell(told(time.time(), lost=5), told(time.time(), lost=7))
    await world.taps.open(later)
    await world.two.tell(told(time.time(), lost=2))
    assert [(one.seen, one.lost) for one in (world.backlog, later)] == [(9, 9), (2, 2)]
    await world.one.tell(None)
    await until(lambda: world.one.listeners == 1)  # the next process counts anew
    await asyncio.sleep(0.02)
    await world.one.tell(told(time.time(), lost=1))
    assert world.backlog.lost == 10
    world.taps.close(later)


async def test_each_absence_is_one_gap_and_it_goes_on(world: World) -> None:
    await world.taps.open(world.backlog)
    assert world.backlog.gaps == 0
    world.one.is_up = False
    turns = world.backlog.turns
    await world.one.tell(None)
    await asyncio.sleep(0.2)
    assert (world.backlog.gaps, world.backlog.turns) == (1, turns + 1)
    at_s = time.time()
    await world.two.tell(told(at_s, (at_s, "a")))
    assert taken(world.backlog) == ["a"]  # nobody waits for it
    world.one.is_up = True
    await until(lambda: world.backlog.turns > turns + 1)
    assert (world.backlog.gaps, world.backlog.turns) == (1, turns + 2)
    await world.one.tell(told(at_s + 0.01, (at_s + 0.01, "b")))
    await world.two.tell(told(at_s + 0.01))
    assert taken(world.backlog) == ["b"]
    await world.one.tell(None)
    assert world.backlog.gaps == 2


async def test_who_is_away_at_the_start_is_a_gap(world: World) -> None:
    world.two.is_up = False
    await world.taps.open(world.backlog)
    assert world.backlog.gaps == 1
    assert await world.taps.parties() == [("700", "1", "")]
    world.two.is_up = True
    turns = world.backlog.turns
    await until(lambda: world.backlog.turns > turns)
    other = Backlog()
    await world.taps.open(other)
    assert (world.backlog.gaps, other.gaps) == (1, 0)
    assert await world.taps.parties() == [("700", "1", ""), ("700", "2", "")]
    world.taps.close(other)


async def test_who_says_nothing_at_the_start_is_a_gap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapping, "_BEGIN_S", 0.05)

    async def follow(verb: str, more: Mapping[str, object]) -> AsyncGenerator[Line, None]:
        await asyncio.sleep(60)
        yield {}

    monkeypatch.setattr(world.two, "follow", follow)
    await world.taps.open(world.backlog)
    assert world.backlog.gaps == 1


async def test_who_ends_with_the_node_is_no_gap(world: World) -> None:
    await world.taps.open(world.backlog)
    await world.one.tell({"end": "stop"}, None)
    await asyncio.sleep(0.2)
    assert (world.backlog.gaps, world.one.listeners) == (0, 0)
    at_s = time.time()
    await world.two.tell(told(at_s, (at_s, "a")))
    assert taken(world.backlog) == ["a"]


async def test_who_does_not_tell_its_calls_is_asked_again(world: World) -> None:
    await world.taps.open(world.backlog)
    world.one.is_silent = True
    turns = world.backlog.turns
    assert await world.taps.parties() == [("700", "1", ""), ("700", "2", "")]  # as it has told them last
    assert world.backlog.turns == turns + 1


async def test_what_a_worker_tells_comes_behind_the_numbers_of_its_calls(world: World) -> None:
    """It may be gone when they are asked for: they are known by then, or what it has told is part of the gap."""
    at_s = await a_while_ago()
    world.one.is_silent, world.one.at_first = True, [(at_s, "of a call that nobody knows")]
    await world.taps.open(world.backlog)
    await world.two.tell(told(time.time()))
    assert (world.backlog.gaps, await world.taps.parties()) == (1, [("700", "2", "")])
    assert taken(world.backlog) == []
    world.one.is_silent, world.one.at_first = False, [(at_s, "of one that is known")]
    turns = world.backlog.turns
    await until(lambda: world.backlog.turns > turns)
    world.one.is_up = False
    await world.one.tell(None)
    await world.two.tell(told(time.time()))
    assert await world.taps.parties() == [("700", "1", ""), ("700", "2", "")]
    turns, world.one.name, world.one.is_up, world.one.at_first = world.backlog.turns, "3", True, []
    await until(lambda: world.backlog.turns > turns)
    assert {("700", "1", ""), ("700", "3", "")} < set(await world.taps.parties())  # what the first one told may wait
    assert taken(world.backlog) == ["of one that is known"]


async def test_who_comes_and_goes_while_another_one_is_waited_for_is_a_gap(world: World) -> None:
    answer = asyncio.Event()

    async def ask(verb: str, more: Mapping[str, object]) -> Line:
        await answer.wait()
        return {"parties": []}

    world.two.ask = ask  # type: ignore[method-assign]
    opening = asyncio.ensure_future(world.taps.open(world.backlog))
    await until(lambda: world.backlog.turns == 1)
    await world.one.tell(None)
    await until(lambda: world.backlog.turns == 3)  # it has gone and is back
    answer.set()
    await opening
    assert world.backlog.gaps == 1
