"""TCP on loopback: who takes too long or too much, no descriptors, many resets, what the sockets are told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from typing import Final

import pytest

from sipstack.aio.sockets import FILES_KEPT, allow_connections, bind_stream
from sipstack.aio.stream import ACCEPT_PAUSE_S, StreamLimits
from sipstack.aio.udp import open_udp
from sipstack.events import Disconnect, Flow, SendMessage
from tests.sipstack.endpoint_rig import NEEDS_IPV6, WAIT_S, later, raw_socket, read
from tests.sipstack.stream_rig import OPTIONS, StreamRig, connected, ended, reset


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


# ---------------------------------------------------------------------- limits


SAID: Final = {
    "nothing": b"",
    "the beginning of a message": b"OPTIONS sip:a",
    "a message, and the beginning of another": OPTIONS(1) + b"OPTIONS",
    "a message without its end": OPTIONS(1)[:-4],
    "pings": b"\r\n" * 20,
    "an answer": b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an answer, and the beginning of another": b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\nSIP/2.0",
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
async def test_message_that_does_not_end_ends_its_connection(host: str, said: bytes) -> None:
    rig = StreamRig(host, StreamLimits(message_s=60.0))
    with await connected(rig, host) as peer, await connected(rig, host) as good:
        peer.send(said)
        good.send(OPTIONS(2))
        messages = said.count(b"\r\n\r\n") * (b"Length" in said)
        await rig.core.until(1 + messages)
        await later(61.0, rig.transport)
        await ended(peer)
        good.send(OPTIONS(3))
        await rig.core.until(2 + messages)
        assert rig.core.calls[-1] == f"receive {OPTIONS(3).decode()}"
    assert rig.transport.counters == {"timed_out": 1}
    await rig.close()


async def test_each_message_has_its_own_time(host: str) -> None:
    """One that begins in the same segment as another ends does not inherit what the other has used up."""
    rig = StreamRig(host, StreamLimits(message_s=60.0))
    first, second = OPTIONS(1), OPTIONS(2)
    with await connected(rig, host) as peer:
        peer.send(first[:10])
        await rig.until_held(10)
        await later(40.0, rig.transport)
        peer.send(first[10:] + second[:10])
        await rig.core.until(1)
        await later(40.0, rig.transport)
        peer.send(second[10:])
        await rig.core.until(2)
    assert rig.transport.counters == {}
    await rig.close()


async def test_request_beside_an_answer_keeps_the_connection(host: str) -> None:
    rig = StreamRig(host, StreamLimits(message_s=60.0))
    with await connected(rig, host) as peer, await connected(rig, host) as silent:
        peer.send(SAID["an answer"] + OPTIONS(1))
        await rig.core.until(2)
        await later(61.0, rig.transport)
        await ended(silent)
        peer.send(OPTIONS(2))
        await rig.core.until(3)
    assert rig.transport.counters == {"timed_out": 1}
    await rig.close()


async def test_answer_on_a_connection_of_ours_has_its_time_too(host: str) -> None:
    rig = StreamRig(host, StreamLimits(message_s=60.0))
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        flow = Flow("TCP", *server.getsockname())
        rig.endpoint.perform([SendMessage(OPTIONS(1), flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted, await connected(rig, host) as silent:
            accepted.send(SAID["an answer"])
            await rig.core.until(1)
            await later(61.0, rig.transport)
            await ended(silent)  # longer than a message may take
            assert rig.transport.connections == 1
            accepted.send(SAID["an answer, and the beginning of another"])
            await rig.core.until(2)
            await later(61.0, rig.transport)
            await rig.core.until(3)
    assert rig.core.calls[2] == f"lost {flow!r}"
    assert rig.transport.counters == {"timed_out": 2}
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


async def test_who_holds_a_message_for_longest_makes_room(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_held_bytes=3000))
    head = OPTIONS(1).replace(b"Length: 0", b"Length: 5000")
    with (
        await connected(rig, host) as first,
        await connected(rig, host) as second,
        await connected(rig, host) as third,
    ):
        first.send(head + b"x" * 1000)
        await rig.until_held(len(head) + 1000)
        second.send(head + b"x" * 1000)
        await rig.until_held(2 * len(head) + 2000)
        first.send(b"x")  # it does not become the newest by that
        await rig.until_held(2 * len(head) + 2001)
        third.send(head + b"x" * 1000)
        assert await ended(first) == b""
        await rig.until_held(2 * len(head) + 2000)
        second.send(b"x" * 4000)
        await rig.core.until(1)
        await rig.until_held(len(head) + 1000)
    await rig.until_held(0)
    assert rig.transport.counters == {"crowded_out": 1}
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
    """Whoever has nothing to say makes room for one more; who has said something does not."""
    rig = StreamRig(host, StreamLimits(max_connections=2))
    silent, good = await connected(rig, host), await connected(rig, host)
    good.send(OPTIONS(1))
    await rig.core.until(1)
    late = await connected(rig, "127.0.0.1", waits=False)
    assert await ended(silent) == b""
    late.send(OPTIONS(2))
    await rig.core.until(2)
    with silent, good, late, await connected(rig, "127.0.0.1", waits=False) as too_many:
        assert await ended(too_many) == b""
        flow = Flow("TCP", *rig.address)
        rig.endpoint.perform([SendMessage(b"one", flow)])
        await rig.core.until(3)
        assert rig.core.calls[2] == f"failed {flow!r} one"
        good.send(OPTIONS(3))
        late.send(OPTIONS(4))
        await rig.core.until(5)
    assert rig.transport.counters == {"crowded_out": 1, "connections_refused": 1}
    await rig.close()


async def test_each_newcomer_takes_another_place(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_connections=2))
    silent = [await connected(rig, host) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        for _ in range(2):  # both are accepted in one turn of the loop
            late = stack.enter_context(socket.create_connection(rig.address))
            late.send(OPTIONS(1))
        await rig.core.until(2)
        for one in silent:
            with one:
                assert await ended(one) == b""
        assert rig.transport.connections == 2
    assert rig.transport.counters == {"crowded_out": 2}
    await rig.close()


async def test_who_begins_again_is_behind_those_who_wait(host: str) -> None:
    rig = StreamRig(host, StreamLimits(max_connections=2))
    with await connected(rig, host) as first, await connected(rig, host) as second:
        first.send(OPTIONS(1) + b"OPTIONS")
        await rig.core.until(1)
        with await connected(rig, host, waits=False):
            assert await ended(second) == b""
        first.send(OPTIONS(2)[7:])
        await rig.core.until(2)
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


@pytest.mark.parametrize("ends", ["far end", "node"])
async def test_connection_that_is_ending_takes_no_answers_and_ends_in_time(host: str, ends: str) -> None:
    """What was said on it before is still being sent, to somebody who does not read it."""
    rig = StreamRig(host, StreamLimits(max_unsent_bytes=100_000_000, message_s=60.0))
    rig.core.answer = lambda data, flow: [SendMessage(b"SIP/2.0 " + b"x" * 50_000, flow)] * 400
    with await connected(rig, host) as peer, socket.create_server((host, 0)) as sent_by:
        sent_by.setblocking(False)
        peer.send(OPTIONS(1))
        await rig.core.until(1)
        flow = Flow("TCP", *peer.getsockname(), reply_port=sent_by.getsockname()[1])
        if ends == "node":
            rig.endpoint.perform([Disconnect(flow)])
        else:
            peer.shutdown(socket.SHUT_WR)
            await rig.until_messages_find(0)
        rig.endpoint.perform([SendMessage(b"SIP/2.0 200", flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(sent_by)
        with accepted:
            assert await read(accepted) == b"SIP/2.0 200"
            await later(61.0, rig.transport)
        await rig.until_connections(0)
    assert rig.transport.counters == {"timed_out": 1}
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
    datagrams = open_udp(rig.endpoint, host, 0)
    with await connected(rig, host) as early, raw_socket(host) as peer, contextlib.ExitStack() as late:
        waiting = [late.enter_context(socket.create_connection(rig.address)) for _ in range(3)]  # the loop has no turn
        began_s = asyncio.get_running_loop().time()
        with no_more_descriptors():
            async with asyncio.timeout(WAIT_S):
                while not rig.transport.counters.get("accept_pauses"):
                    await asyncio.sleep(0.002)
            for number in range(50):
                early.send(OPTIONS(number))
                assert await read(early) == OPTIONS(number)
                peer.sendto(OPTIONS(number), datagrams.local)
                assert await read(peer) == OPTIONS(number)
            pauses = 1 + (asyncio.get_running_loop().time() - began_s) // ACCEPT_PAUSE_S
            assert list(rig.transport.counters) == ["accept_pauses"]
            assert rig.transport.counters["accept_pauses"] <= pauses  # not once for every turn of the loop
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


async def test_closing_while_nothing_is_accepted(host: str) -> None:
    rig = StreamRig(host)
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised.append(context))
    with socket.create_connection(rig.address), no_more_descriptors():
        async with asyncio.timeout(WAIT_S):
            while not rig.transport.counters.get("accept_pauses"):
                await asyncio.sleep(0.002)
        await rig.close()
    await asyncio.sleep(ACCEPT_PAUSE_S + 0.1)  # nothing is to come
    assert raised == []


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

TOLD: Final = {"NODELAY": 1, "KEEPIDLE": 15, "KEEPINTVL": 2, "USER_TIMEOUT": 20_000}


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


def test_one_lost_packet_ends_no_idle_connection() -> None:
    """Once TCP_USER_TIMEOUT has passed, a single question without an answer is enough for the kernel."""
    asked_at_s = range(TOLD["KEEPIDLE"], TOLD["USER_TIMEOUT"] // 1000, TOLD["KEEPINTVL"])
    assert len(asked_at_s) >= 3


def test_busy_port_is_an_error_that_leaves_no_socket(host: str) -> None:
    with bind_stream(host, 0) as taken, pytest.raises(OSError, match="in use"):
        bind_stream(host, taken.getsockname()[1])


async def test_node_that_starts_again_gets_its_port(host: str) -> None:
    rig = StreamRig(host)
    with await connected(rig, host) as peer:
        await rig.close()  # the node closes first: the kernel remembers the connection for a minute
        await ended(peer)
    bind_stream(*rig.address).close()


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
