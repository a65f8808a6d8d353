"""An endpoint on a rig: a core that writes down its calls, the timers it has set on the loop, sockets on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from sipstack.aio.endpoint import Endpoint
from sipstack.aio.stream import StreamTransport
from sipstack.events import Flow, Output
from sipstack.testing.doubles import Note

WAIT_S = 30.0  # for a machine that is busy with other tests
NOWHERE = Flow("UDP", "255.255.255.255", 9)  # the kernel refuses: the socket may not broadcast


class Fault(Exception):
    """A bug of ours."""


class Recorder:
    """A core that writes down its calls. `answer` says what it returns; `deadline` when it wants its timer."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.flows: list[Flow] = []
        self.deadline: float | None = None
        self.answer: Callable[[bytes, Flow], list[Output]] = lambda data, flow: []
        self.changed = asyncio.Event()

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        self.flows.append(flow)
        return self._called(f"receive {data.decode()}", data, flow)

    def transport_failed(self, flow: Flow, now: float, data: bytes = b"") -> list[Output]:
        return self._called(f"failed {flow!r} {data.decode()}".rstrip(), b"failed", flow)

    def connection_lost(self, flow: Flow, now: float) -> list[Output]:
        return self._called(f"lost {flow!r}", b"lost", flow)

    def handle_timer(self, now: float) -> list[Output]:
        assert self.deadline is not None
        if now < self.deadline - 1e-6:
            return self._called("timer, too early", b"timer", NOWHERE)
        self.deadline = None
        return self._called("timer", b"timer", NOWHERE)

    def next_deadline(self) -> float | None:
        return self.deadline

    def _called(self, what: str, data: bytes, flow: Flow) -> list[Output]:
        self.calls.append(what)
        self.changed.set()
        return self.answer(data, flow)

    async def until(self, count: int) -> None:
        """Waits for the core to have been called so often."""
        async with asyncio.timeout(WAIT_S):
            while len(self.calls) < count:
                self.changed.clear()
                await self.changed.wait()


class Rig:
    """An endpoint with a recorder behind it, and what the shell was given."""

    def __init__(self) -> None:
        self.core = Recorder()
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.endpoint = Endpoint(self.core, self.execute, lambda fault: self.faults.append(str(fault)))

    def execute(self, output: Output) -> None:
        assert isinstance(output, Note)
        if output.text == "raise":
            raise Fault("in execute")
        self.notes.append(output.text)


class Armed:
    """The timers that an endpoint has set on the loop."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = asyncio.get_running_loop()
        self.handles: list[asyncio.TimerHandle] = []
        call_at = self.loop.call_at

        def counted(when: float, callback: Callable[..., object], *args: object, **more: object) -> asyncio.TimerHandle:
            handle = call_at(when, callback, *args, **more)
            if getattr(callback, "__self__", None) is rig.endpoint:
                self.handles.append(handle)
            return handle

        monkeypatch.setattr(self.loop, "call_at", counted)

    def live(self) -> list[float]:
        """When they fire, of those that are neither cancelled nor past."""
        return [h.when() for h in self.handles if not h.cancelled() and h.when() > self.loop.time()]


async def opened_rig() -> AsyncIterator[Rig]:
    """For a fixture: a rig, closed afterwards."""
    rig = Rig()
    yield rig
    rig.endpoint.close()
    await asyncio.sleep(0)  # asyncio closes a socket in the next turn of its loop


def own_address(request: pytest.FixtureRequest) -> str:
    """A loopback address that no other test uses, nor the same test of a run beside this one.

    Its net holds nobody else below 11 or from 100 on: a test takes further hosts from there.
    """
    digest = hashlib.sha256(f"{os.getpid()} {request.node.nodeid}".encode()).digest()
    return f"127.{1 + digest[0] % 254}.{digest[1]}.{11 + digest[2] % 89}"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def raw_socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((host, 0))
    return made


async def read(sock: socket.socket) -> bytes:
    async with asyncio.timeout(WAIT_S):
        return await asyncio.get_running_loop().sock_recv(sock, 65536)


async def later(seconds: float, transport: StreamTransport | None = None) -> None:
    """So much later by the loop's clock, and what is due by then has been done: nobody needs to wait for it."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
    if transport is not None:
        transport.now = loop.time
    for _ in range(2):  # what is due comes behind whoever goes on in the same turn
        await asyncio.sleep(0)


async def loop_rests() -> None:
    """Nothing keeps the loop turning: a socket with an error that nobody has read would."""
    turns = 0
    loop = asyncio.get_running_loop()
    select = loop._selector.select  # type: ignore[attr-defined]

    def counted(timeout: float | None = None) -> object:
        nonlocal turns
        turns += 1
        return select(timeout)

    loop._selector.select = counted  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    loop._selector.select = select  # type: ignore[attr-defined]
    assert turns < 10
