"""TCP on loopback: messages in order, connections opened, kept, lost and refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from sipstack.aio.sockets import FILES_KEPT, allow_connections, bind_stream
from sipstack.aio.stream import StreamLimits
from sipstack.aio.udp import open_udp
from sipstack.events import Disconnect, Flow, SendMessage
from tests.sipstack.endpoint_rig import NEEDS_IPV6, WAIT_S, Note, own_address, raw_socket, read
from tests.sipstack.stream_rig import OPTIONS, StreamRig, answered, connected, ended, reset


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    """The process may open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as gaps:
        while True:  # until the next one would be behind all that are open
            gap = gaps.enter_context(socket.socket())
            if gap.fileno() >= max(int(fd) for fd in os.listdir("/proc/self/fd")) - 1:
                break
        resource.setrlimit(resource.RLIMIT_NOFILE, (gap.fileno() + 1, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


@pytest.fixture
async def rig(host: str) -> AsyncIterator[StreamRig]:
    made = StreamRig(host)
    yield made
    await made.close()


# ---------------------------------------------------------------------- connections that come


@pytest.mark.parametrize("over", ["IPv4", pytest.param("IPv6", marks=NEEDS_IPV6)])
async def test_messages_are_handled_and_answered_in_order(host: str, over: str) -> None:
    address = host if over == "IPv4" else "::1"
    rig = StreamRig(address)
    rig.core.answer = lambda data, flow: [SendMessage(b"answer to " + data, flow)]
    with await connected(rig, address) as peer:
        for number in range(50):
            peer.send(OPTIONS(number))
        expected = b"".join(b"answer to " + OPTIONS(number) for number in range(50))
        assert await answered(peer, len(expected)) == expected
        assert set(rig.core.flows) == {Flow("TCP", address, peer.getsockname()[1])}
    assert rig.faults == []
    await rig.close()


async def test_one_octet_at_a_time(rig: StreamRig, host: str) -> None:
    with await connected(rig, host) as peer:
        for octet in OPTIONS(1) + OPTIONS(2):
            peer.send(bytes([octet]))
        await rig.core.until(2)
    assert rig.core.calls == [f"receive {OPTIONS(number).decode()}" for number in (1, 2)]


async def test_ping_is_answered(rig: StreamRig, host: str) -> None:
    with await connected(rig, host) as peer:
        peer.send(b"\r\n\r\n")
        assert await read(peer) == b"\r\n"
        peer.send(b"\r\n" + OPTIONS(1))
        await rig.core.until(1)
    assert rig.core.calls == [f"receive {OPTIONS(1).decode()}"]


async def test_head_that_loses_the_framing_is_answered_and_nothing_behind_it_is_run(rig: StreamRig, host: str) -> None:
    bad = OPTIONS(1).replace(b"Content-Length: 0", b"Content-Length: 1e3")
    rig.core.answer = lambda data, flow: [SendMessage(b"SIP/2.0 400", flow)]
    with await connected(rig, host) as peer, await connected(rig, host) as other:
        peer.send(OPTIONS(0) + bad + OPTIONS(2))
        assert await ended(peer) == b"SIP/2.0 400" * 2
        other.send(OPTIONS(3))
        await rig.core.until(3)  # that connection only
    assert rig.core.calls == [f"receive {data.decode()}" for data in (OPTIONS(0), bad, OPTIONS(3))]
    assert rig.transport.counters == {"framing_lost": 1}


async def test_core_may_end_a_connection(rig: StreamRig, host: str) -> None:
    rig.core.answer = lambda data, flow: [Disconnect(flow), SendMessage(b"too late", flow)]
    with await connected(rig, host) as peer:
        peer.send(OPTIONS(1) + OPTIONS(2))
        assert await ended(peer) == b""
    assert rig.core.calls[0] == f"receive {OPTIONS(1).decode()}"
    assert f"receive {OPTIONS(2).decode()}" not in rig.core.calls


async def test_each_listener_has_its_index(rig: StreamRig, host: str) -> None:
    second = bind_stream(host, 0)
    rig.transport.serve(second, 3)
    rig.core.answer = lambda data, flow: [SendMessage(data, flow)]
    for address, local in ((rig.address, 0), (second.getsockname(), 3)):
        with await connected(rig, host, address) as peer:
            peer.send(OPTIONS(local))
            assert await read(peer) == OPTIONS(local)
            assert rig.core.flows[-1] == Flow("TCP", host, peer.getsockname()[1], local)


# ---------------------------------------------------------------------- connections that are opened


async def test_one_connection_is_opened_and_kept(rig: StreamRig, host: str) -> None:
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        flow = Flow("TCP", *server.getsockname())
        rig.endpoint.perform([SendMessage(OPTIONS(number), flow) for number in range(3)])
        accepted, source = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            assert await answered(accepted, 3 * len(OPTIONS(0))) == OPTIONS(0) + OPTIONS(1) + OPTIONS(2)
            assert source[0] == host  # the listener's own address
            rig.endpoint.perform([SendMessage(OPTIONS(3), flow)])
            assert await read(accepted) == OPTIONS(3)
            accepted.send(OPTIONS(4))
            await rig.core.until(1)
            assert rig.core.flows == [flow]
        assert rig.transport.connections == 1


async def test_what_finds_nobody_fails_at_once_each_message_by_itself(rig: StreamRig, host: str) -> None:
    with socket.create_server((host, 0)) as server:
        flow = Flow("TCP", *server.getsockname())
    rig.endpoint.perform([SendMessage(b"one", flow), SendMessage(b"two", flow), Note("next")])
    assert (rig.notes, rig.core.calls) == (["next"], [])
    await rig.core.until(2)
    assert rig.core.calls == [f"failed {flow!r} one", f"failed {flow!r} two"]
    assert rig.transport.connections == 0


@pytest.mark.parametrize(
    "flow", [Flow("TCP", "localhost", 9), Flow("TCP", "127.0.0.1", 9, 7)], ids=["name", "listener"]
)
async def test_what_cannot_be_tried_fails(rig: StreamRig, flow: Flow) -> None:
    rig.endpoint.perform([SendMessage(b"one", flow)])
    await rig.core.until(1)
    assert rig.core.calls == [f"failed {flow!r} one"]


async def test_connection_that_nobody_accepts_is_given_up(host: str) -> None:
    rig = StreamRig(host, StreamLimits(connect_s=0.05))
    with socket.socket() as server:
        server.bind((host, 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):  # the queue is full: what follows gets no answer
            flow = Flow("TCP", *server.getsockname())
            rig.endpoint.perform([SendMessage(b"one", flow)])
            await rig.core.until(1)
    assert rig.core.calls == [f"failed {flow!r} one"]
    assert rig.transport.counters == {"timed_out": 1, "connects_failed": 1}
    assert rig.troubles == [f"{flow!r} time-out"]
    await rig.close()


@pytest.mark.parametrize("way", ["end", "reset"])
async def test_lost_connection_is_told_when_a_request_left_by_it(rig: StreamRig, host: str, way: str) -> None:
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        flow = Flow("TCP", *server.getsockname())
        rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        assert await read(accepted) == OPTIONS(1)
        reset(accepted) if way == "reset" else accepted.close()
        await rig.core.until(1)
        assert rig.core.calls == [f"lost {flow!r}"]
        rig.endpoint.perform([SendMessage(OPTIONS(2), flow)])  # goes by a new one
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            assert await read(accepted) == OPTIONS(2)


async def test_connection_that_carried_answers_only_is_lost_in_silence(rig: StreamRig, host: str) -> None:
    rig.core.answer = lambda data, flow: [SendMessage(b"SIP/2.0 200 OK\r\n\r\n", flow)]
    with await connected(rig, host) as peer:
        peer.send(OPTIONS(1))
        await read(peer)
    await rig.until_connections(0)
    assert len(rig.core.calls) == 1


async def test_trouble_is_told_once_and_its_end(rig: StreamRig, host: str) -> None:
    with socket.create_server((host, 0)) as server:
        flow = Flow("TCP", *server.getsockname())
    for count in (1, 2):
        rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
        await rig.core.until(count)
    assert rig.troubles == [f"{flow!r} Connection refused"]
    with socket.create_server((flow.host, flow.port)) as server:
        server.setblocking(False)
        rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            await read(accepted)
    assert rig.troubles == [f"{flow!r} Connection refused", f"{flow!r} "]


# ---------------------------------------------------------------------- answers


async def test_answer_whose_connection_has_gone_goes_to_sent_by(rig: StreamRig, host: str) -> None:
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        with await connected(rig, host) as peer:
            gone = peer.getsockname()[1]
        await rig.until_connections(0)
        flow = Flow("TCP", host, gone, reply_port=server.getsockname()[1])
        rig.endpoint.perform([SendMessage(b"SIP/2.0 180", flow), SendMessage(b"SIP/2.0 200", flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            assert await answered(accepted, 22) == b"SIP/2.0 180SIP/2.0 200"
        assert rig.transport.connections == 1


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("said", [b"", b"OPTIONS sip:a", OPTIONS(1) + b"OPTIONS", OPTIONS(1)[:-4]])
async def test_message_that_does_not_end_ends_its_connection(host: str, said: bytes) -> None:
    rig = StreamRig(host, StreamLimits(message_s=0.08))
    with await connected(rig, host) as peer, await connected(rig, host) as good:
        peer.send(said)
        good.send(OPTIONS(2))
        await ended(peer)
        good.send(OPTIONS(3))
        await rig.core.until(2 + said.startswith(OPTIONS(1)))
        assert rig.core.calls[-1] == f"receive {OPTIONS(3).decode()}"
    assert rig.transport.counters == {"timed_out": 1}
    await rig.close()


async def test_dribble_does_not_prolong_a_message(host: str) -> None:
    rig = StreamRig(host, StreamLimits(message_s=0.1))
    with await connected(rig, host) as peer:
        for octet in OPTIONS(1) * 100:
            if rig.transport.connections == 0:
                break
            peer.send(bytes([octet]))
            await asyncio.sleep(0.005)
        assert rig.transport.connections == 0
    assert rig.core.calls == []
    await rig.close()


async def test_idle_connection_is_closed(host: str) -> None:
    rig = StreamRig(host, StreamLimits(idle_s=0.1))
    with await connected(rig, host) as peer:
        peer.send(OPTIONS(1))
        assert await ended(peer) == b""
    assert rig.transport.counters == {"idle": 1}
    await rig.close()


async def test_one_host_has_its_share_only(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_per_host=2))
    first, second = await connected(rig, host), await connected(rig, host)
    with await connected(rig, host, waits=False) as third:
        assert await ended(third) == b""
    with await connected(rig, "127.0.0.1") as other:
        other.send(OPTIONS(1))
        await rig.core.until(1)
    first.close()
    await rig.until_connections(1)
    with second, await connected(rig, host) as again:
        again.send(OPTIONS(2))
        await rig.core.until(2)
    assert rig.transport.counters == {"connections_refused": 1}
    await rig.close()


async def test_there_is_room_for_so_many(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_connections=1))
    with await connected(rig, host):
        with await connected(rig, "127.0.0.1", waits=False) as second:
            assert await ended(second) == b""
        flow = Flow("TCP", *rig.address)
        rig.endpoint.perform([SendMessage(b"one", flow)])
        await rig.core.until(1)
        assert rig.core.calls == [f"failed {flow!r} one"]
    await rig.close()


async def test_far_end_that_does_not_read_loses_its_connection(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_unsent_bytes=100_000))
    rig.core.answer = lambda data, flow: [SendMessage(b"SIP/2.0 " + b"x" * 50_000, flow)] * 200 if len(data) > 6 else []
    with await connected(rig, host) as peer:
        peer.send(OPTIONS(1))
        await rig.until_connections(0)
        assert rig.transport.counters["slow_readers"] == 1
        assert rig.core.calls[1].startswith("failed tcp")
    await rig.close()


async def test_too_much_for_a_connection_that_is_being_opened(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_unsent_bytes=10))
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        flow = Flow("TCP", *server.getsockname())
        rig.endpoint.perform([SendMessage(b"eight..", flow), SendMessage(b"more", flow)])
        await rig.core.until(1)
        assert rig.core.calls == [f"failed {flow!r} more"]
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            assert await read(accepted) == b"eight.."
    await rig.close()


async def test_no_descriptor_left_pauses_what_comes_and_nothing_else(host: str) -> None:
    rig = StreamRig(host)
    rig.core.answer = lambda data, flow: [SendMessage(data, flow)]
    datagrams = await open_udp(rig.endpoint, host, 0)
    with await connected(rig, host) as early, raw_socket(host) as peer, contextlib.ExitStack() as late:
        waiting = [late.enter_context(socket.create_connection(rig.address)) for _ in range(3)]  # the loop has no turn
        with no_more_descriptors():
            async with asyncio.timeout(WAIT_S):
                while not rig.transport.counters.get("accept_pauses"):
                    await asyncio.sleep(0.002)
            for number in range(50):
                early.send(OPTIONS(number))
                assert await read(early) == OPTIONS(number)
                peer.sendto(OPTIONS(number), datagrams.local)
                assert await read(peer) == OPTIONS(number)
            assert rig.transport.counters == {"accept_pauses": 1}  # not once for every turn of the loop
            flow = Flow("TCP", *rig.address)
            before = len(rig.core.calls)
            rig.endpoint.perform([SendMessage(b"none left", flow)])
            await rig.core.until(before + 1)
            assert rig.core.calls[-1] == f"failed {flow!r} none left"
        for one in waiting:
            one.setblocking(False)
            one.send(OPTIONS(1))
            assert await read(one) == OPTIONS(1)
    await rig.close()


async def test_many_resets_at_once_leave_nothing(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_per_host=500))
    rig.core.answer = lambda data, flow: [SendMessage(OPTIONS(1), flow), SendMessage(b"SIP/2.0 200", flow)]
    before = set(os.listdir("/proc/self/fd"))
    peers = [await connected(rig, host) for _ in range(300)]
    for peer in peers:
        peer.send(OPTIONS(1) * 3)
        reset(peer)
    rig.core.answer = lambda data, flow: []
    await rig.until_connections(0)
    assert rig.faults == []
    assert set(os.listdir("/proc/self/fd")) == before
    await rig.close()


# ---------------------------------------------------------------------- sockets

TOLD: Final = {"NODELAY": 1, "KEEPIDLE": 30, "KEEPINTVL": 10, "KEEPCNT": 3, "USER_TIMEOUT": 10_000}


@pytest.mark.parametrize("over", ["IPv4", pytest.param("IPv6", marks=NEEDS_IPV6)])
async def test_both_ways_a_dead_far_end_is_noticed_and_what_is_sent_is_marked(host: str, over: str) -> None:
    address = host if over == "IPv4" else "::1"
    rig = StreamRig(address, dscp=24)
    rig.endpoint.perform([SendMessage(OPTIONS(1), Flow("TCP", *rig.address))])  # to itself: one of each kind
    await rig.core.until(1)
    ends = [one._transport.get_extra_info("socket") for one in rig.transport._all if one._transport is not None]
    assert len(ends) == 2
    for end in ends:
        told = {name: end.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}")) for name in TOLD}
        assert told == TOLD
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if over == "IPv4":
            assert end.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 24 << 2
        else:
            assert end.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 24 << 2
    await rig.close()


def test_busy_port_is_an_error_that_leaves_no_socket(host: str) -> None:
    with bind_stream(host, 0) as taken, pytest.raises(OSError, match="in use"):
        bind_stream(host, taken.getsockname()[1])


def test_limit_of_files_is_raised_as_far_as_it_goes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
        assert allow_connections(500) == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1000, hard)
        assert allow_connections(1500) == 1500
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1500 + FILES_KEPT, hard)
        assert allow_connections(hard) == hard - FILES_KEPT
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---------------------------------------------------------------------- the end


async def test_closing_closes_everything_and_says_nothing(host: str) -> None:
    rig = StreamRig(host)
    with await connected(rig, host) as peer, socket.create_server((host, 0)) as server:
        rig.endpoint.perform([SendMessage(OPTIONS(1), Flow("TCP", *server.getsockname()))])
        await rig.until_connections(2)
        await rig.close()
        assert await ended(peer) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(rig.address)
    assert rig.core.calls == []
