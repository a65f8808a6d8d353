"""What a worker hands to its supervisor: all of its messages in their order, and to nobody else."""

from __future__ import annotations

import json
import time
from contextlib import aclosing

from engine.capture.backlog import MAX_MESSAGES, Captured
from engine.capture.feed import Feed, Told, read_told
from engine.capture.tapped import Tap, Tapped
from sipstack.events import Flow
from tests.capture.messages import A, B, X, invite

SECRET = "5ec4e7"
FLOW = Flow("TLS", "2001:db8::2", 5061, 3, ("names.example",), 5062)


class World:
    """A worker as its feed sees it."""

    def __init__(self) -> None:
        self.tap: Tap | None = None
        self.feed = Feed(Tapped(self.attach, lambda flow: "trunk", lambda: [(X, A, B)]), SECRET)

    def attach(self, tap: Tap | None) -> None:
        self.tap = tap

    def send(self, data: bytes) -> None:
        assert self.tap is not None
        self.tap(True, data, FLOW)


def read(line: bytes) -> Told:
    return read_told(json.loads(line))


async def test_nobody_without_the_secret_is_told_anything() -> None:
    world = World()
    for request in ({}, {"secret": ""}, {"secret": 7}, {"secret": SECRET + "0"}, {"secret": "é"}):
        async with aclosing(world.feed.run(dict(request))) as lines:
            assert await anext(lines) == b'{"error": "for the supervisor alone"}\n'
            assert world.tap is None
        assert set(await world.feed.parties(dict(request))) == {"error"}
        assert world.tap is None
    assert await world.feed.parties({"secret": SECRET}) == {"parties": [(X, A, B)]}


async def test_messages_go_over_as_they_are() -> None:
    world = World()
    async with aclosing(world.feed.run({"secret": SECRET})) as lines:
        assert read(await anext(lines)).messages == []
        began_s = time.time()
        world.send(invite(A))
        world.send(b"\xff\0")
        until_s, lost, messages = read(await anext(lines))
    assert world.tap is None
    assert lost == 0
    assert [one._replace(at_s=0.0) for one in messages] == [
        Captured(0.0, True, data, Flow("TLS", "2001:db8::2", 5061, 3), "trunk") for data in (invite(A), b"\xff\0")
    ]
    assert began_s <= messages[0].at_s <= messages[1].at_s <= until_s <= time.time()


async def test_nothing_is_told_to_be_all_before_it_is() -> None:
    """Of more than a batch the rest is told at once, and what found no room is counted."""
    world = World()
    async with aclosing(world.feed.run({"secret": SECRET})) as lines:
        await anext(lines)
        for index in range(MAX_MESSAGES + 2):
            world.send(b"%d" % index)
        told = [read(await anext(lines))]
        while len(told[-1].messages) == len(told[0].messages):
            told.append(read(await anext(lines)))
    messages = [message for one in told for message in one.messages]
    assert [message.data for message in messages] == [b"%d" % index for index in range(MAX_MESSAGES)]
    assert [one.lost for one in told] == [2] * len(told)
    for one in told[:-2]:
        assert one.until_s == one.messages[-1].at_s
