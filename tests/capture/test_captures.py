"""Captures without a node around them: when there is a tap, what stands before the first message, what calls bring."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from contextlib import aclosing

import pytest

from engine.capture.backlog import MAX_MESSAGES
from engine.capture.captures import Captures
from engine.capture.tapped import Tap, Tapped
from engine.core.settings import ListenerSettings
from engine.store.audit import Asker
from engine.store.errors import StoreError
from sipstack.events import Flow
from tests.capture.messages import A, B, X, invite, semi_octets

FLOW = Flow("UDP", "192.0.2.2", 5060)


class World:
    """What a node would be: its tap, and an audit that may fail."""

    def __init__(self, parties: list[tuple[str, str, str]] | None = None, is_audit_full: bool = False) -> None:
        self.tap: Tap | None = None
        self.audited: list[tuple[Asker, str]] = []
        self.is_audit_full = is_audit_full
        listeners = [ListenerSettings("UDP", "0.0.0.0", 5060, "192.0.2.1:5060")]
        tapped = Tapped(self.attach, lambda flow: "trunk", lambda: parties or [])
        self.captures = Captures(listeners, tapped, lambda: ["trunk"], self.audit)

    def attach(self, tap: Tap | None) -> None:
        self.tap = tap

    def audit(self, asker: Asker, detail: str) -> None:
        if self.is_audit_full:
            raise StoreError("bindings.db: disk is full")
        self.audited.append((asker, detail))


async def shown(world: World, data: bytes, **request: object) -> bytes:
    """A message as a capture shows it."""
    async with aclosing(world.captures.run(dict(request))) as lines:
        async for some in lines:
            for line in some.splitlines():
                answer = json.loads(line)
                if "capturing" in answer:
                    assert world.tap is not None
                    world.tap(False, data, FLOW)
                for message in answer.get("messages", ()):
                    assert (message["local"], message["remote"]) == (["192.0.2.1", 5060], ["192.0.2.2", 5060])
                    return b64decode(message["data"])
    raise AssertionError("nothing was shown")


async def test_the_tap_is_there_while_somebody_reads() -> None:
    world = World()
    assert world.tap is None
    async with aclosing(world.captures.run({})) as one, aclosing(world.captures.run({})) as other:
        await anext(one)
        await anext(other)
        await one.aclose()
        assert world.tap is not None
        await other.aclose()
        assert world.tap is None


async def test_nothing_is_revealed_without_an_audit_row() -> None:
    world = World(is_audit_full=True)
    lines = [line async for line in world.captures.run({"reveal": True, "actor": "root", "for_s": 0.2})]
    assert (lines, world.tap) == ([b'{"error": "bindings.db: disk is full"}\n'], None)


async def test_what_is_revealed_is_written_first() -> None:
    world = World()
    assert await shown(world, invite(A), reveal=True, actor="root", number=A, peer="trunk", calls=2) == invite(A)
    detail = "reveal messages, for 604800 s, 2 calls, number 138****8000, peer trunk"
    assert world.audited == [(Asker("root", ""), detail)]


async def test_numbers_of_calls_in_progress_are_known() -> None:
    """No message of this capture has said them in clear."""
    hidden = semi_octets(B).hex(":").encode()
    data = invite(A, b"User-to-User: 04:" + hidden + b":af;encoding=hex")
    assert hidden in await shown(World(), data)
    assert hidden not in await shown(World([(X, A, B)]), data)


async def test_what_comes_too_fast_is_lost_and_counted() -> None:
    world = World()
    async with aclosing(world.captures.run({"for_s": 0.2})) as lines:
        await anext(lines)
        assert world.tap is not None
        for _ in range(MAX_MESSAGES + 5):
            world.tap(True, b"", FLOW)
        ends = [json.loads(line) async for some in lines for line in some.splitlines()]
    counts, end = ends[-2:]
    assert (counts["seen"], counts["lost"], end) == (MAX_MESSAGES + 5, 5, {"end": "time"})


async def test_its_time_ends_it_while_more_comes_than_it_carries() -> None:
    world = World()
    ends: list[bytes] = []
    async with asyncio.timeout(10), aclosing(world.captures.run({"for_s": 0.2})) as lines:
        async for line in lines:
            ends.append(line)
            for _ in range(150):  # of which the next look takes 64
                if world.tap is not None:
                    world.tap(False, invite(A), FLOW)
    assert ends[-1].endswith(b'{"end": "time"}\n')
    counts = json.loads(ends[-1].splitlines()[0])
    assert counts["shown"] == counts["seen"] > 64


async def test_a_fault_withholds_the_message_that_it_was_about(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, data: bytes) -> bytes:
        raise RuntimeError(A)

    monkeypatch.setattr("engine.capture.masker.Masker.mask", fail)
    world = World()
    async with aclosing(world.captures.run({"for_s": 0.2})) as lines:
        await anext(lines)
        assert world.tap is not None
        world.tap(True, invite(A), FLOW)
        text = b"".join([line async for line in lines])
    assert A.encode() not in text
    assert b'"withheld": 1' in text
