"""UDP on loopback: datagrams in order, whole transactions between real sockets, opening and closing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from sipstack.aio.endpoint import Endpoint
from sipstack.aio.udp import RECEIVE_BUFFER_BYTES, UdpSockets, bind_udp, open_udp, serve_udp
from sipstack.client_transaction import ClientTransaction
from sipstack.events import Flow, Output, RequestReceived, SendMessage
from sipstack.testing.playbook import wire
from sipstack.timers import Timing
from sipstack.transactions import Transactions
from tests.sipstack.endpoint_rig import (
    NEEDS_IPV6,
    NOWHERE,
    WAIT_S,
    Note,
    Rig,
    loop_rests,
    opened_rig,
    raw_socket,
    read,
)
from tests.sipstack.transaction_bench import REQUEST, USUAL, in_words


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async for made in opened_rig():
        yield made


# ---------------------------------------------------------------------- on the wire


@pytest.mark.parametrize("over", ["IPv4", pytest.param("IPv6", marks=NEEDS_IPV6)])
async def test_datagrams_are_handled_and_answered_in_order(rig: Rig, host: str, over: str) -> None:
    address = host if over == "IPv4" else "::1"
    transport = open_udp(rig.endpoint, address, 0)
    rig.core.answer = lambda data, flow: [
        Note(f"{data.decode()}"),
        SendMessage(data, flow),
        SendMessage(b"+" + data, flow),
    ]
    with raw_socket(address) as peer:
        for number in range(100):
            peer.sendto(b"%d" % number, transport.local)
        await rig.core.until(100)
        assert rig.core.calls == [f"receive {number}" for number in range(100)]
        assert set(rig.core.flows) == {Flow("UDP", address, peer.getsockname()[1])}
        assert rig.notes == [str(number) for number in range(100)]
        for number in range(100):
            assert [await read(peer), await read(peer)] == [b"%d" % number, b"+%d" % number]
    assert transport.local[0] == address
    assert rig.faults == []


def test_receive_buffer_is_what_the_kernel_gives(host: str) -> None:
    """A burst waits there while the loop is busy; by itself a socket gets less."""
    with bind_udp(host, 0) as bound, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        wanted = usual.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == wanted
        assert bound.getblocking() is False


@NEEDS_IPV6
async def test_ipv6_socket_takes_no_ipv4(rig: Rig) -> None:
    transport = open_udp(rig.endpoint, "::", 0)
    bound = transport._bound
    assert bound is not None and bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


class Phone:
    """Transactions on a socket of their own; refuses every call, and says when nothing is left of one."""

    def __init__(self) -> None:
        self.core = Transactions(Timing(t1_s=0.010))
        self.events: list[Output] = []
        self.faults: list[Exception] = []
        self.is_over = asyncio.Event()
        self.endpoint = Endpoint(self, self.execute, self.faults.append)

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        return self.core.receive(data, flow, now)

    def transport_failed(self, flow: Flow, now: float, data: bytes) -> list[Output]:
        return self.core.transport_failed(flow, data)

    def connection_lost(self, flow: Flow, now: float) -> list[Output]:
        return self.core.connection_lost(flow)

    def handle_timer(self, now: float) -> list[Output]:
        outputs = self.core.handle_timer(now)
        if not len(self.core):
            self.is_over.set()
        return outputs

    def next_deadline(self) -> float | None:
        return self.core.next_deadline()

    def execute(self, output: Output) -> None:
        self.events.append(output)
        if isinstance(output, RequestReceived):
            data = output.transaction.head.build(486, "callee")
            now = asyncio.get_running_loop().time()
            self.endpoint.perform(self.core.respond(output.transaction, 486, data, now))

    def call(self, sent_by: str, flow: Flow) -> None:
        via = f"{sent_by};branch=z9hG4bKa;rport"
        invite = wire(REQUEST, **(USUAL | {"method": "INVITE", "via": via}))
        transaction = ClientTransaction("INVITE", "z9hG4bKa", invite, flow, None)
        self.endpoint.perform(self.core.start(transaction, asyncio.get_running_loop().time()))

    async def over(self) -> list[str]:
        """Waits for the last timer; what the transaction user was told."""
        async with asyncio.timeout(WAIT_S):
            await self.is_over.wait()
        self.endpoint.close()
        assert self.faults == []
        return [in_words(event) for event in self.events]


@pytest.mark.parametrize("over", ["IPv4", pytest.param("IPv6", marks=NEEDS_IPV6)])
async def test_refused_call_between_two_nodes(host: str, over: str) -> None:
    address = host if over == "IPv4" else "::1"
    caller, callee = Phone(), Phone()
    open_udp(caller.endpoint, address, 0)
    port = open_udp(callee.endpoint, address, 0).local[1]
    caller.call("192.0.2.1:9", Flow("UDP", address, port))  # answered to the source port all the same: rport
    assert await caller.over() == ["ResponseReceived 486"]
    assert await callee.over() == ["RequestReceived INVITE"]  # the ACK has come: nobody missed it
    assert len(caller.core.wheel) + len(callee.core.wheel) == 0


async def test_call_to_a_silent_peer_is_repeated_on_time_and_given_up(host: str) -> None:
    caller = Phone()
    open_udp(caller.endpoint, host, 0)
    with raw_socket(host) as peer:
        caller.call(host, Flow("UDP", *peer.getsockname()))
        assert await caller.over() == ["RequestTimedOut INVITE"]
        copies = [await read(peer), await read(peer)]
        with contextlib.suppress(BlockingIOError):
            while True:
                copies.append(peer.recv(65536))
        # At 0, 10, 30, 70, 150, 310 and 630 of 640 ms; a busy machine fires them later, so the last may be missing.
        assert 2 <= len(copies) <= 7
        assert len(set(copies)) == 1


async def test_call_that_cannot_be_sent_fails_at_once(host: str) -> None:
    caller = Phone()
    open_udp(caller.endpoint, host, 0)
    caller.call(host, NOWHERE)
    assert caller.events == []  # not from within the step that sent it
    await asyncio.sleep(0)
    assert [in_words(event) for event in caller.events] == ["RequestFailed INVITE"]
    assert len(caller.core) == 0
    caller.endpoint.close()


async def test_what_found_no_room_is_counted(rig: Rig, host: str) -> None:
    bound = bind_udp(host, 0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport = serve_udp(rig.endpoint, bound)
    with raw_socket(host) as peer:
        for number in range(100):  # the loop takes none of them meanwhile
            peer.sendto(b"%d" % number, transport.local)
        await rig.core.until(1)
    assert 0 < len(rig.core.calls) < 32
    assert rig.endpoint.dropped == transport.dropped == 100 - len(rig.core.calls)
    transport.close()
    assert transport.dropped == 0


# ---------------------------------------------------------------------- opening


async def test_busy_port_is_an_error_that_leaves_no_socket(
    rig: Rig, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = open_udp(rig.endpoint, host, 0)
    made: list[socket.socket] = []

    class Seen(socket.socket):
        def __init__(self, *args: int) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(socket, "socket", Seen)
    other = Rig()
    with pytest.raises(OSError, match="in use"):
        open_udp(other.endpoint, *taken.local)
    assert [one.fileno() for one in made] == [-1]
    gc.collect()  # a socket left open would warn here, and a warning is an error
    other.endpoint.perform([SendMessage(b"x", Flow("UDP", host, 9))])  # no half-open transport was left behind
    await other.core.until(1)
    assert other.core.calls == [f"failed udp:{host}:9 x"]
    other.endpoint.close()


async def test_transport_that_is_closed_sends_and_receives_nothing(rig: Rig, host: str) -> None:
    transport = open_udp(rig.endpoint, host, 0)
    there = Flow("UDP", *transport.local)
    with raw_socket(host) as peer:
        peer.sendto(b"too late", transport.local)
        transport.close()
        transport.close()
        assert transport.send(b"x", there) is False
        next_one = open_udp(rig.endpoint, host, 0)  # which gets the number of its descriptor
        peer.sendto(b"in time", next_one.local)
        await rig.core.until(1)
    assert rig.core.calls == ["receive in time"]


async def test_a_message_that_closes_the_endpoint_is_the_last_one(rig: Rig, host: str) -> None:
    transport = open_udp(rig.endpoint, host, 0)

    def close(data: bytes, flow: Flow) -> list[Output]:
        rig.endpoint.close()
        return []

    rig.core.answer = close
    with raw_socket(host) as peer:
        for data in (b"one", b"two"):
            peer.sendto(data, transport.local)
        await rig.core.until(1)
        await loop_rests()
    assert rig.core.calls == ["receive one"]


# ---------------------------------------------------------------------- several sockets


async def test_each_message_leaves_by_the_socket_of_its_listener(rig: Rig, host: str) -> None:
    """RFC 3581 §4: an answer comes from where the request went to."""
    sockets = UdpSockets(rig.endpoint)
    served = [sockets.serve(bind_udp(host, 0), local) for local in (0, 3)]
    rig.core.answer = lambda data, flow: [SendMessage(data, flow)]
    with raw_socket(host) as peer:
        for transport, local in zip(served, (0, 3), strict=True):
            peer.sendto(b"%d" % local, transport.local)
            await rig.core.until(1 if local == 0 else 2)
            assert rig.core.flows[-1].local == local
            async with asyncio.timeout(WAIT_S):
                assert await asyncio.get_running_loop().sock_recvfrom(peer, 100) == (b"%d" % local, transport.local)
        rig.endpoint.perform([SendMessage(b"x", Flow("UDP", *peer.getsockname(), 1))])  # there is no such listener
        await rig.core.until(3)
    assert rig.core.calls[-1].startswith("failed udp:")


# ---------------------------------------------------------------------- what comes back


ClosedPort = Callable[[str], int]


@pytest.fixture
def closed_port() -> Iterator[ClosedPort]:
    """Takes a port that nobody else gets meanwhile, and whose socket hears itself alone: what is sent there returns."""
    with contextlib.ExitStack() as taken:

        def take(address: str) -> int:
            nobody = taken.enter_context(raw_socket(address))
            nobody.connect(nobody.getsockname())
            port: int = nobody.getsockname()[1]
            return port

        yield take


@pytest.mark.parametrize("over", ["IPv4", pytest.param("IPv6", marks=NEEDS_IPV6)])
async def test_call_to_a_closed_port_fails_at_once(host: str, over: str, closed_port: ClosedPort) -> None:
    """RFC 3261 §18.4, §8.1.3.1."""
    address = host if over == "IPv4" else "::1"
    caller = Phone()
    open_udp(caller.endpoint, address, 0)
    caller.core._context.timing.t1_s = 30.0  # nothing is said by a timer
    caller.call(address, Flow("UDP", address, closed_port(address)))
    async with asyncio.timeout(WAIT_S):
        while not caller.events:
            await asyncio.sleep(0.001)
    assert [in_words(event) for event in caller.events] == ["RequestFailed INVITE"]
    assert len(caller.core) == 0
    caller.endpoint.close()


async def test_what_came_back_costs_no_other_far_end_its_datagram(rig: Rig, host: str, closed_port: ClosedPort) -> None:
    """The kernel tells it to whoever sends next; that is sent all the same, and the loop comes to rest."""
    transport = open_udp(rig.endpoint, host, 0)
    nobody = [Flow("UDP", host, closed_port(host)) for _ in range(20)]
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        for flow in nobody:
            rig.endpoint.perform([SendMessage(b"lost", flow)])
            rig.endpoint.perform([SendMessage(b"sent", there)])
        for _ in nobody:
            assert await read(peer) == b"sent"
        await rig.core.until(len({flow.port for flow in nobody}))
        assert set(rig.core.calls) == {f"failed {flow!r} lost" for flow in nobody}
        peer.sendto(b"still there", transport.local)
        async with asyncio.timeout(WAIT_S):
            while rig.core.calls[-1] != "receive still there":
                await asyncio.sleep(0.001)
    await loop_rests()
    assert rig.faults == []


async def test_what_comes_back_while_others_are_read_is_told(rig: Rig, host: str, closed_port: ClosedPort) -> None:
    transport = open_udp(rig.endpoint, host, 0)
    nobody = Flow("UDP", host, closed_port(host))
    rig.core.answer = lambda data, flow: [SendMessage(data, nobody)] if data.isdigit() else []
    with raw_socket(host) as peer:
        for number in range(3):
            peer.sendto(b"%d" % number, transport.local)
        await rig.core.until(4)
        async with asyncio.timeout(WAIT_S):
            while "receive 2" not in rig.core.calls or rig.core.calls[-1] != f"failed {nobody!r} 2":
                await asyncio.sleep(0.001)
    await loop_rests()


@pytest.mark.parametrize("octets", [70_000, 65_520])  # refused at once; refused with a word in the error queue
async def test_datagram_that_is_too_long_is_lost_and_the_loop_rests(rig: Rig, host: str, octets: int) -> None:
    open_udp(rig.endpoint, host, 0)
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(bytes(octets), there), SendMessage(b"next", there)])
        assert await read(peer) == b"next"
    await loop_rests()
    assert rig.core.calls == []


# ---------------------------------------------------------------------- how long datagrams wait


async def test_what_nobody_has_read_yet_says_how_long_it_has_been_waiting(host: str, rig: Rig) -> None:
    transport = open_udp(rig.endpoint, host, 0)
    assert rig.endpoint.waiting_s() == 0.0
    with raw_socket(host) as peer:
        waited, sent = 0.0, 0
        while waited < 0.04 and sent < 40:  # the kernel stamps what comes from a moment after it was asked to
            await rig.core.until(sent)
            peer.sendto(b"one", transport.local)
            peer.sendto(b"two", transport.local)
            sent += 2
            time.sleep(0.05)  # the loop reads nothing meanwhile
            waited = rig.endpoint.waiting_s()
        assert 0.04 <= waited < WAIT_S  # by the clock of the wall, which may be put right meanwhile
        time.sleep(0.02)
        assert rig.endpoint.waiting_s() >= waited + 0.01, "looking does not take it"
        await rig.core.until(sent)
    assert rig.core.calls == ["receive one", "receive two"] * (sent // 2)
    assert rig.endpoint.waiting_s() == 0.0
    rig.endpoint.close()
    assert rig.endpoint.waiting_s() == 0.0


async def test_a_clock_that_was_set_makes_nothing_old(host: str, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = open_udp(rig.endpoint, host, 0)
    with raw_socket(host) as peer:
        peer.sendto(b"one", transport.local)
        real = time.time
        for step_s in (3600.0, -3600.0):
            monkeypatch.setattr("sipstack.aio.udp.time.time", lambda step_s=step_s: real() + step_s)
            assert rig.endpoint.waiting_s() == 0.0
        await rig.core.until(1)


async def test_looking_for_what_waits_hides_nothing_that_came_back(
    host: str, rig: Rig, closed_port: ClosedPort
) -> None:
    open_udp(rig.endpoint, host, 0)
    nobody = Flow("UDP", host, closed_port(host))
    rig.endpoint.perform([SendMessage(b"lost", nobody)])
    assert rig.endpoint.waiting_s() == 0.0  # the kernel tells it here, and once
    await rig.core.until(1)
    assert rig.core.calls == [f"failed {nobody!r} lost"]
    await loop_rests()
