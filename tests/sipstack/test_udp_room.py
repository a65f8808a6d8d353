"""Datagrams for which the socket has no room: they wait, in order and not without a bound."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator

import pytest

from sipstack.aio.udp import MAX_UNSENT, PlainDatagrams, UdpSockets, UdpTransport, bind_udp
from sipstack.events import Flow, SendMessage
from tests.sipstack.endpoint_rig import NOWHERE, Rig, loop_rests, opened_rig, raw_socket, read


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async for made in opened_rig():
        yield made


class Full:
    """The datagrams of a socket whose send buffer is full until somebody makes room: on loopback it never is."""

    def __init__(self, bound: socket.socket) -> None:
        self.room = 0
        self._way = PlainDatagrams(bound, lambda host, port: Flow("UDP", host, port))

    def receive(self) -> tuple[bytes, Flow] | None:
        return self._way.receive()

    def send(self, data: bytes, host: str, port: int, /) -> int:
        if not self.room:
            return errno.EAGAIN
        self.room -= 1
        return self._way.send(data, host, port)


def full_socket(rig: Rig, host: str) -> tuple[Full, UdpTransport]:
    bound = bind_udp(host, 0)
    full = Full(bound)
    return full, UdpSockets(rig.endpoint).serve(bound, 0, lambda descriptor, family, flow_of: full)


async def test_what_finds_no_room_waits_for_it_in_order(rig: Rig, host: str) -> None:
    full, _ = full_socket(rig, host)
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(b"%d" % number, there) for number in range(3)])
        for _ in range(3):
            await asyncio.sleep(0)
        full.room = 1
        assert await read(peer) == b"0"
        full.room = 9
        rig.endpoint.perform([SendMessage(b"3", there)])  # there is room now, and it is behind the others all the same
        assert [await read(peer) for _ in range(3)] == [b"1", b"2", b"3"]
        assert full.room == 6
        await loop_rests()
    assert rig.core.calls == []


async def test_what_waits_for_room_is_bounded(rig: Rig, host: str) -> None:
    _, transport = full_socket(rig, host)
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        for number in range(MAX_UNSENT + 5):
            assert transport.send(b"%d" % number, there) is True  # lost is not refused: it is repeated in its time
        assert len(transport._unsent) == MAX_UNSENT
    transport.close()
    await loop_rests()


async def test_what_waits_for_room_and_cannot_go_is_told(rig: Rig, host: str) -> None:
    full, _ = full_socket(rig, host)
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(b"broadcast", NOWHERE), SendMessage(b"next", there)])
        full.room = 9
        assert await read(peer) == b"next"
        await rig.core.until(1)
    assert rig.core.calls == [f"failed {NOWHERE!r} broadcast"]


async def test_what_waits_for_room_is_tried_once_more_before_the_socket_closes(rig: Rig, host: str) -> None:
    full, transport = full_socket(rig, host)
    with raw_socket(host) as peer:
        transport.send(b"goodbye", Flow("UDP", *peer.getsockname()))
        full.room = 1
        transport.close()
        assert await read(peer) == b"goodbye"
