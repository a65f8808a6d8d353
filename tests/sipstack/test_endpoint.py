"""The endpoint: its one timer, bugs of ours, messages that cannot be sent, its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from sipstack.aio.udp import open_udp
from sipstack.events import Flow, Output, SendMessage
from tests.sipstack.endpoint_rig import NOWHERE, Armed, Fault, Note, Rig, opened_rig, raw_socket, read


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async for made in opened_rig():
        yield made


# ---------------------------------------------------------------------- the one timer


async def test_one_timer_serves_all_deadlines(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed(rig, monkeypatch)
    start = armed.loop.time()
    rig.endpoint.perform([])
    assert armed.handles == []
    # deadline in seconds from now, timers that wait after it, timers ever made
    steps = [(50, [50], 1), (50, [50], 1), (60, [50], 1), (40, [40], 2), (None, [], 2), (70, [70], 3), (30, [30], 4)]
    for deadline, live, made in steps:
        rig.core.deadline = None if deadline is None else start + deadline
        rig.endpoint.received(b"x", NOWHERE)
        assert (armed.live(), len(armed.handles)) == ([start + when for when in live], made)


async def test_timer_fires_on_time_and_is_set_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed(rig, monkeypatch)
    start = armed.loop.time()

    def again(data: bytes, flow: Flow) -> list[Output]:
        if len(rig.core.calls) < 3:
            rig.core.deadline = armed.loop.time() + 0.01
        return []

    rig.core.answer = again
    rig.core.deadline = start + 0.01
    rig.endpoint.perform([])
    await rig.core.until(3)
    assert rig.core.calls == ["timer"] * 3
    assert armed.loop.time() >= start + 0.03 - 1e-6
    assert (armed.live(), len(armed.handles)) == ([], 3)


async def test_timer_that_is_too_early_looks_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed(rig, monkeypatch)
    start = now = armed.loop.time()
    monkeypatch.setattr(armed.loop, "time", lambda: now)  # a busy machine may look only when both times are over
    rig.core.deadline = start + 50
    rig.endpoint.perform([])
    rig.core.deadline = start + 60
    rig.endpoint.perform([])
    now = start + 50
    await rig.core.until(1)
    now = start + 60
    await rig.core.until(2)
    assert rig.core.calls == ["timer, too early", "timer"]
    assert len(armed.handles) == 2


# ---------------------------------------------------------------------- faults


async def test_a_message_that_meets_a_bug_costs_only_itself(rig: Rig, host: str) -> None:
    transport = open_udp(rig.endpoint, host, 0)

    def answer(data: bytes, flow: Flow) -> list[Output]:
        if data == b"bug":
            raise Fault("in receive")
        return [SendMessage(data, flow)]

    rig.core.answer = answer
    with raw_socket(host) as peer:
        for data in (b"before", b"bug", b"after"):
            peer.sendto(data, transport.local)
        assert [await read(peer), await read(peer)] == [b"before", b"after"]
    assert rig.core.calls == ["receive before", "receive bug", "receive after"]
    assert rig.faults == ["in receive"]


@pytest.mark.parametrize("verb", ["receive", "timer", "failed"])
async def test_timer_is_set_after_a_bug(rig: Rig, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed(rig, monkeypatch)

    def answer(data: bytes, flow: Flow) -> list[Output]:
        rig.core.deadline = armed.loop.time() + 50
        raise Fault(f"in {verb}")

    rig.core.answer = answer
    if verb == "receive":
        rig.endpoint.received(b"x", NOWHERE)
    elif verb == "timer":
        rig.core.deadline = armed.loop.time()
        rig.endpoint.perform([])
    else:
        rig.endpoint.perform([SendMessage(b"x", NOWHERE)])
    await rig.core.until(1)
    assert rig.faults == [f"in {verb}"]
    assert armed.live() == [rig.core.deadline]


async def test_a_command_that_meets_a_bug_costs_only_itself(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed(rig, monkeypatch)
    rig.core.deadline = armed.loop.time() + 50
    rig.endpoint.perform([Note("one"), Note("raise"), Note("two")])
    assert (rig.notes, rig.faults) == (["one", "two"], ["in execute"])
    assert len(armed.live()) == 1


# ---------------------------------------------------------------------- what cannot be sent

UNSENDABLE = {
    "no such transport": Flow("TCP", "127.0.0.1", 9),
    "refused by the kernel": NOWHERE,
    "no such port": Flow("UDP", "127.0.0.1", 0),
    "another family": Flow("UDP", "::1", 9),
    "a name, which would be looked up": Flow("UDP", "localhost", 9),
}


@pytest.mark.parametrize("why", UNSENDABLE)
async def test_what_cannot_be_sent_is_said_afterwards(rig: Rig, host: str, why: str) -> None:
    flow = UNSENDABLE[why]
    open_udp(rig.endpoint, host, 0)
    rig.core.answer = lambda data, flow: [Note("heard of it")]
    with raw_socket(host) as peer:
        good = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(b"bad", flow), Note("next"), SendMessage(b"good", good)])
        assert (rig.notes, rig.core.calls) == (["next"], [])
        assert await read(peer) == b"good"
    await rig.core.until(1)
    assert rig.core.calls == [f"failed {flow!r} bad"]
    assert rig.notes == ["next", "heard of it"]


async def test_one_message_that_is_too_large_does_not_fail_the_others_on_its_way(rig: Rig, host: str) -> None:
    open_udp(rig.endpoint, host, 0)
    with raw_socket(host) as peer:
        flow = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(b"x" * 70_000, flow), SendMessage(b"small", flow)])
        await asyncio.sleep(0)  # a failure would be told in the next turn of the loop
        assert rig.core.calls == []
        assert await read(peer) == b"small"


# ---------------------------------------------------------------------- opening and closing


async def test_close_gives_everything_back(rig: Rig, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed(rig, monkeypatch)
    transport = open_udp(rig.endpoint, host, 0)
    opened = transport._bound
    assert opened is not None
    rig.core.deadline = armed.loop.time() + 50
    rig.endpoint.perform([SendMessage(b"x", NOWHERE)])  # whose failure is still to be told
    rig.endpoint.close()
    rig.endpoint.close()
    await asyncio.sleep(0)
    assert opened.fileno() == -1
    assert armed.live() == []

    rig.endpoint.perform([SendMessage(b"x", Flow("UDP", host, 9)), Note("a record to be written")])
    await asyncio.sleep(0)
    assert (rig.core.calls, rig.faults) == ([], [])
    assert rig.notes == ["a record to be written"]
    assert armed.live() == []
    assert transport.send(b"x", Flow("UDP", host, 9)) is False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as next_one:
        next_one.bind(transport.local)


async def test_close_from_within_a_step(rig: Rig, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed(rig, monkeypatch)
    open_udp(rig.endpoint, host, 0)
    rig.core.deadline = armed.loop.time() + 50
    monkeypatch.setattr(rig.endpoint, "_execute", lambda output: rig.endpoint.close())
    rig.endpoint.perform([Note("close"), SendMessage(b"x", NOWHERE)])
    await asyncio.sleep(0)
    assert armed.handles == []
    assert rig.core.calls == []
