"""The sockets of a player: what comes too fast is shed, and what one send comes to is no other's business."""

from __future__ import annotations

import asyncio

import pytest

from sipstack.scenario.inbox import Arrived, Inbox
from sipstack.scenario.udp import DatagramEnd
from tests.sipstack.endpoint_rig import own_address, raw_socket

WAIT_S = 30.0  # for a machine that is busy with other tests


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


def taken(inbox: Inbox) -> bytes:
    event = inbox.take()
    assert isinstance(event, Arrived)
    return event.data


async def filled(inbox: Inbox, count: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while inbox.waiting < count:
            await inbox.wait(WAIT_S)


async def test_a_full_inbox_sheds_and_counts(host: str) -> None:
    inbox = Inbox(max_waiting=3)
    end = DatagramEnd(inbox)
    await end.open(host, 0)
    with raw_socket(host) as peer:
        for number in range(10):
            peer.sendto(b"%d" % number, end.local)
        while inbox.waiting + inbox.shed < 10:
            await asyncio.sleep(0)
    assert [taken(inbox) for _ in range(3)] == [b"0", b"1", b"2"]
    assert (inbox.shed, inbox.take()) == (7, None)
    await end.close()


async def test_an_error_of_a_send_comes_up_nowhere_else(host: str) -> None:
    inbox = Inbox()
    end = DatagramEnd(inbox)
    await end.open(host, 0)
    with raw_socket(host) as peer:
        await end.send(b"x" * 70_000, peer.getsockname())  # EMSGSIZE
        await end.send(b"too big as well" * 7000, peer.getsockname())
        await end.send(b"fine", peer.getsockname())
        peer.settimeout(WAIT_S)
        assert peer.recv(100) == b"fine"
        peer.sendto(b"back", end.local)
        await filled(inbox, 1)
        assert inbox.take() == Arrived(b"back", peer.getsockname(), end)
    assert end.send_errors == 2
    await end.close()


async def test_waiting_can_be_ended(host: str) -> None:
    inbox = Inbox()
    waiting = asyncio.ensure_future(inbox.wait(None))
    await asyncio.sleep(0)
    inbox.wake()
    await asyncio.wait_for(waiting, WAIT_S)
    inbox.wake()  # before anybody waits
    await asyncio.wait_for(inbox.wait(None), WAIT_S)
    end = DatagramEnd(inbox)
    await end.open(host, 0)
    await end.close()
    await end.send(b"into the void", ("127.0.0.1", 9))


async def test_waiting_ends_in_time() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await Inbox().wait(0.03)
    assert loop.time() - began >= 0.029


async def test_the_buffer_of_the_kernel_holds_a_burst(host: str) -> None:
    inbox = Inbox()
    end = DatagramEnd(inbox)
    await end.open(host, 0)
    with raw_socket(host) as peer:
        for _ in range(100):
            peer.sendto(b"x" * 1000, end.local)
        await filled(inbox, 100)
    await end.close()
