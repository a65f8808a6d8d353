"""The socket of a player: what comes too fast is shed, and what one send comes to is no other's business."""

from __future__ import annotations

import asyncio

import pytest

from sipstack.scenario.udp import DatagramEnd
from tests.sipstack.endpoint_rig import own_address, raw_socket

WAIT_S = 10.0


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


async def test_a_full_queue_sheds_and_counts(host: str) -> None:
    end = DatagramEnd(max_waiting=3)
    await end.open(host, 0)
    with raw_socket(host) as peer:
        for number in range(10):
            peer.sendto(b"%d" % number, end.local)
        while end.waiting + end.shed < 10:
            await asyncio.sleep(0)
        assert [(await end.receive(WAIT_S) or (b"",))[0] for _ in range(3)] == [b"0", b"1", b"2"]
    assert (end.shed, await end.receive(0.0)) == (7, None)
    await end.close()


async def test_an_error_of_a_send_comes_up_nowhere_else(host: str) -> None:
    end = DatagramEnd()
    await end.open(host, 0)
    waiting = asyncio.ensure_future(end.receive(WAIT_S))
    with raw_socket(host) as peer:
        await end.send(b"x" * 70_000, peer.getsockname())  # EMSGSIZE
        await end.send(b"too big as well" * 7000, peer.getsockname())
        await end.send(b"fine", peer.getsockname())
        peer.settimeout(WAIT_S)
        assert peer.recv(100) == b"fine"
        peer.sendto(b"back", end.local)
        assert await waiting == (b"back", peer.getsockname())
    assert end.send_errors == 2
    await end.close()


async def test_waiting_can_be_ended(host: str) -> None:
    end = DatagramEnd()
    await end.open(host, 0)
    waiting = asyncio.ensure_future(end.receive(None))
    await asyncio.sleep(0)
    end.wake()
    assert await asyncio.wait_for(waiting, WAIT_S) is None
    await end.close()
    await end.send(b"into the void", ("127.0.0.1", 9))


async def test_the_buffer_of_the_kernel_holds_a_burst(host: str) -> None:
    end = DatagramEnd()
    await end.open(host, 0)
    with raw_socket(host) as peer:
        for _ in range(100):
            peer.sendto(b"x" * 1000, end.local)
        for _ in range(100):
            assert await end.receive(WAIT_S) is not None
    await end.close()
