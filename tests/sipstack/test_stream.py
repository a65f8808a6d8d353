"""TCP on loopback: messages in order, connections opened, kept, lost and refused."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import AsyncIterator
from typing import Final

import pytest

from sipstack.aio.sockets import bind_stream
from sipstack.aio.stream import StreamLimits
from sipstack.events import Disconnect, Flow, SendMessage
from tests.sipstack.endpoint_rig import NEEDS_IPV6, WAIT_S, Note, read
from tests.sipstack.stream_rig import OPTIONS, StreamRig, answered, connected, ended, nobody, reset

SO_ATTACH_FILTER: Final = 26  # of Linux; Python has no name for it


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
    with nobody(host) as gone:
        flow = Flow("TCP", *gone.getsockname())
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
    assert rig.transport.counters == {}  # a name was not even looked up


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


def turn_deaf(peer: socket.socket) -> None:
    """From now on nothing reaches it, as if the way had been cut: a BPF program that drops all."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET, 0 octets
    pointer = struct.pack("HL", 1, ctypes.addressof(program))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)


@pytest.mark.parametrize(
    ("is_idle", "within_s"),
    [(False, WAIT_S), pytest.param(False, 14, marks=pytest.mark.long), pytest.param(True, 45, marks=pytest.mark.long)],
    ids=["made short", "as it is", "idle"],
)
async def test_far_end_that_has_gone_without_a_word(rig: StreamRig, host: str, is_idle: bool, within_s: float) -> None:
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        flow = Flow("TCP", *server.getsockname())
        rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            await read(accepted)
            if within_s == WAIT_S:
                [connection] = rig.transport._all
                assert connection._transport is not None
                end = connection._transport.get_extra_info("socket")
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
            turn_deaf(accepted)
            if not is_idle:
                rig.endpoint.perform([SendMessage(OPTIONS(2), flow)])
            async with asyncio.timeout(within_s):
                while not rig.core.calls:
                    rig.core.changed.clear()
                    await rig.core.changed.wait()
            assert rig.core.calls == [f"lost {flow!r}"]
            rig.endpoint.perform([SendMessage(OPTIONS(3), flow)])
            again, _ = await asyncio.get_running_loop().sock_accept(server)
            with again:
                assert await read(again) == OPTIONS(3)


async def test_connection_that_carried_answers_only_is_lost_in_silence(rig: StreamRig, host: str) -> None:
    rig.core.answer = lambda data, flow: [SendMessage(b"SIP/2.0 200 OK\r\n\r\n", flow)]
    with await connected(rig, host) as peer:
        peer.send(OPTIONS(1))
        await read(peer)
    await rig.until_connections(0)
    assert len(rig.core.calls) == 1


async def test_trouble_is_told_once_and_its_end(rig: StreamRig, host: str) -> None:
    with nobody(host) as server:
        flow = Flow("TCP", *server.getsockname())
        for count in (1, 2):
            rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
            await rig.core.until(count)
        assert rig.troubles == [f"{flow!r} Connection refused"]
        server.listen()
        server.setblocking(False)
        rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            await read(accepted)
    assert rig.troubles == [f"{flow!r} Connection refused", f"{flow!r} "]


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize("way", ["refused", "lost"])
async def test_request_that_went_by_the_second_way_fails_under_its_own_flow(
    rig: StreamRig, host: str, way: str
) -> None:
    """Transactions know no other flow than the one that they were sent to."""
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        flow = Flow("TCP", host, 9, reply_port=server.getsockname()[1])
        if way == "refused":
            server.close()
        rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
        if way == "lost":
            accepted, _ = await asyncio.get_running_loop().sock_accept(server)
            accepted.close()
    await rig.core.until(1)
    assert rig.core.calls == [f"lost {flow!r}" if way == "lost" else f"failed {flow!r} {OPTIONS(1).decode()}".rstrip()]


async def test_answer_that_finds_nobody_is_no_trouble_of_ours(rig: StreamRig, host: str) -> None:
    """The port is whatever the sender of the request has written."""
    with nobody(host) as gone:
        port = gone.getsockname()[1]
        rig.endpoint.perform([SendMessage(b"SIP/2.0 200", Flow("TCP", host, 9, reply_port=port))])
        await rig.core.until(1)
    assert (rig.core.calls, rig.troubles) == ([f"failed tcp:{host}:9 SIP/2.0 200"], [])


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
