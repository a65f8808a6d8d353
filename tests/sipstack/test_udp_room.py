"""Datagrams for which the socket has no room: they wait, in order and not without a bound."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from sipstack.aio.udp import MAX_UNSENT, serve_udp
from sipstack.events import Flow, SendMessage
from tests.sipstack.endpoint_rig import NOWHERE, Rig, loop_rests, opened_rig, raw_socket, read


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async for made in opened_rig():
        yield made


class Full(socket.socket):
    """A socket whose send buffer is full until somebody makes room: on loopback it never is."""

    room = 0

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:  # type: ignore[override]
        if not self.room:
            raise BlockingIOError
        self.room -= 1
        return super().sendto(data, address)


def full_socket(host: str) -> Full:
    made = Full(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((host, 0))
    return made


async def test_what_finds_no_room_waits_for_it_in_order(rig: Rig, host: str) -> None:
    bound = full_socket(host)
    serve_udp(rig.endpoint, bound)
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(b"%d" % number, there) for number in range(3)])
        for _ in range(3):
            await asyncio.sleep(0)
        bound.room = 1
        assert await read(peer) == b"0"
        bound.room = 9
        rig.endpoint.perform([SendMessage(b"3", there)])  # there is room now, and it is behind the others all the same
        assert [await read(peer) for _ in range(3)] == [b"1", b"2", b"3"]
        assert bound.room == 6
        await loop_rests()
    assert rig.core.calls == []


async def test_what_waits_for_room_is_bounded(rig: Rig, host: str) -> None:
    bound = full_socket(host)
    transport = serve_udp(rig.endpoint, bound)
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        for number in range(MAX_UNSENT + 5):
            assert transport.send(b"%d" % number, there) is True  # lost is not refused: it is repeated in its time
        assert len(transport._unsent) == MAX_UNSENT
    transport.close()
    await loop_rests()


async def test_what_waits_for_room_and_cannot_go_is_told(rig: Rig, host: str) -> None:
    bound = full_socket(host)
    serve_udp(rig.endpoint, bound)
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(b"broadcast", NOWHERE), SendMessage(b"next", there)])
        bound.room = 9
        assert await read(peer) == b"next"
        await rig.core.until(1)
    assert rig.core.calls == [f"failed {NOWHERE!r} broadcast"]


async def test_what_waits_for_room_is_tried_once_more_before_the_socket_closes(rig: Rig, host: str) -> None:
    bound = full_socket(host)
    transport = serve_udp(rig.endpoint, bound)
    with raw_socket(host) as peer:
        transport.send(b"goodbye", Flow("UDP", *peer.getsockname()))
        bound.room = 1
        transport.close()
        assert await read(peer) == b"goodbye"
