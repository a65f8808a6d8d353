"""Messages that come to another worker than their owner: over real sockets, with the answers on their way back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.steering import group
from engine.steering.parcel import CAME, SEND, packed
from sipstack.events import Disconnect, Flow, SendMessage
from tests.sipstack.endpoint_rig import WAIT_S, raw_socket, read
from tests.steering.messages import number, of_ours, request, response
from tests.steering.workers_rig import TCP, UDP, Workers, flow_to, workers

COUNT = 3


@pytest.fixture
async def made(tmp_path: Path, host: str) -> AsyncIterator[Workers]:
    async with workers(tmp_path, host, COUNT) as found:
        yield found


async def connected(made: Workers, host: str) -> tuple[socket.socket, Flow]:
    """A connection to whichever worker accepts it, and its flow."""
    peer = socket.socket()
    peer.setblocking(False)
    peer.bind((host, 0))
    await asyncio.get_running_loop().sock_connect(peer, made.address)
    return peer, flow_to(peer.getsockname(), TCP)


async def accepted_by(made: Workers) -> int:
    """The only worker that has a connection."""
    async with asyncio.timeout(WAIT_S):
        while not (found := [place for place, one in enumerate(made.all) if one.counter("tcp_connections")]):
            await asyncio.sleep(0.002)
    assert len(found) == 1
    return found[0]


def another(worker: int) -> int:
    return (worker + 1) % COUNT


# ---------------------------------------------------------------------- datagrams


async def test_every_datagram_comes_to_its_owner_once_and_is_answered_from_the_address_it_was_sent_to(
    made: Workers, host: str
) -> None:
    for one in made.all:
        one.core.answer = lambda data, flow: [SendMessage(data.partition(b" SIP/2.0")[0], flow)]
    with raw_socket(host) as peer:
        wanted = {}
        for worker in range(COUNT):
            called = number(worker, COUNT)
            for uri in (f"sip:{called}@h", f"sips:{called}@h", f"tel:{called}", f"sip:{called};x=y@h"):
                wanted[f"INVITE {uri}"] = worker
                peer.sendto(request(uri), made.address)
        for line, worker in wanted.items():
            data, source = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(peer, 65_536), WAIT_S)
            assert source == made.address and data.decode() in wanted
            assert made.receivers(line) == [worker]
    assert sum(one.counter("handed_on") for one in made.all) > COUNT * (COUNT - 1)  # and those that they have begun
    assert all(one.counter("handed_dropped") == 0 for one in made.all)
    for place, one in enumerate(made.all):
        assert {flow.local for flow in one.core.flows} == {UDP}
        assert sorted(one.tapped) == sorted(
            entry
            for line, worker in wanted.items()
            if worker == place
            for entry in ((False, request(line.partition(" ")[2])), (True, line.encode()))
        )


async def test_a_dialog_stays_with_who_began_it_whatever_its_requests_name(made: Workers, host: str) -> None:
    with raw_socket(host) as peer:
        for worker, one in enumerate(made.all):
            peer.sendto(request(f"sip:{number(another(worker), COUNT)}@h", one.tokens.tag(), "BYE"), made.address)
            peer.sendto(response(f"Server: x\r\n{made.via_start}{one.tokens.branch()}", f"of {worker}"), made.address)
        await made.until(2 * COUNT)
    for worker in range(COUNT):
        assert made.receivers(f"SIP/2.0 200 of {worker}") == [worker]
        assert made.receivers(f"BYE sip:{number(another(worker), COUNT)}@h") == [worker]


async def test_what_was_handed_over_is_never_handed_on(made: Workers) -> None:
    """Should two workers ever differ about an owner, a message must not wander between them."""
    inbox = made.shared._mail[1][0]
    inbox.send(packed(CAME, 2, flow_to(("127.0.0.1", 5)), request(f"sip:{number(2, COUNT)}@h")))
    await made.until(1)
    assert made.receivers("INVITE") == [1]


async def test_where_there_is_no_room_it_is_dropped_and_counted_and_nobody_waits(made: Workers) -> None:
    first, owner = made.all[0], made.all[2]
    asyncio.get_running_loop().remove_reader(owner.sockets._handing._inbox)  # type: ignore[union-attr]
    data = request(f"sips:{number(2, COUNT)}@h", more=50_000)
    before = first.counter("handed_on")
    for _ in range(400):  # 20 MB
        first.sockets._handing.received(data, flow_to(("127.0.0.1", 5)))  # type: ignore[union-attr]
    dropped = first.counter("handed_dropped")
    assert dropped > 100 and dropped + first.counter("handed_on") - before == 400
    assert first.endpoint.dropped == dropped
    owner.sockets._handing._read()  # type: ignore[union-attr]
    assert owner.core.calls


async def test_what_comes_back_is_told_to_who_sent_it(made: Workers, host: str) -> None:
    """The kernel brings what ICMP says to any socket of the group."""
    for worker, one in enumerate(made.all):
        for _ in range(4):
            with raw_socket(host) as closed:
                nowhere = closed.getsockname()
            one.endpoint.perform([SendMessage(of_ours(one.tokens, f"M{worker}"), flow_to(nowhere))])
    await made.until(4 * COUNT)
    for worker, one in enumerate(made.all):
        assert len(one.starts) == 4
        assert all(line.startswith("failed udp:") and f" M{worker} " in line for line in one.starts)


@pytest.mark.parametrize("octets", [1, 60_000])
async def test_large_datagrams_are_handed_over_whole(made: Workers, host: str, octets: int) -> None:
    data = request(f"sips:{number(2, COUNT)}@h", more=octets)
    with raw_socket(host) as peer:
        peer.sendto(data, made.address)
        await made.until(1)
    assert made.all[2].core.calls == [f"receive {data.decode()}"]


# ---------------------------------------------------------------------- connections


async def test_every_message_of_a_connection_comes_to_its_owner_who_answers_on_it(made: Workers, host: str) -> None:
    for one in made.all:
        one.core.answer = lambda data, flow: [SendMessage(data.partition(b" SIP/2.0")[0] + b"\n", flow)]
    peer, flow = await connected(made, host)
    with peer:
        for worker in range(COUNT):
            line = f"INVITE sip:{number(worker, COUNT)}@h"
            await asyncio.get_running_loop().sock_sendall(peer, request(line.partition(" ")[2], more=64_000))
            assert await read(peer) == line.encode() + b"\n"
            assert made.receivers(line) == [worker]
            assert made.all[worker].core.flows == [flow]
        assert sum(one.counter("tcp_connections") for one in made.all) == 1


async def test_an_owner_elsewhere_ends_a_connection(made: Workers, host: str) -> None:
    peer, _ = await connected(made, host)
    with peer:
        owner = another(await accepted_by(made))
        made.all[owner].core.answer = lambda data, flow: [Disconnect(flow)]
        await asyncio.get_running_loop().sock_sendall(peer, request(f"sip:{number(owner, COUNT)}@h"))
        assert await read(peer) == b""


async def test_a_connection_that_goes_is_told_to_all_who_have_sent_requests_by_it(made: Workers, host: str) -> None:
    peer, flow = await connected(made, host)
    with peer:
        holder = await accepted_by(made)
        owner = made.all[another(holder)]
        await asyncio.get_running_loop().sock_sendall(peer, request(f"sip:{number(another(holder), COUNT)}@h"))
        await made.until(1)
        owner.endpoint.perform([SendMessage(of_ours(owner.tokens), flow)])
        assert (await read(peer)).startswith(b"BYE ")
    await owner.core.until(2)
    assert owner.starts[1] == f"lost {flow!r}"


async def test_who_cannot_be_reached_any_more_is_told_to_who_wanted_to(made: Workers, host: str) -> None:
    """Nobody had asked by it, so its end was told to nobody; the next request finds nobody there."""
    peer, flow = await connected(made, host)
    with peer:
        holder = await accepted_by(made)
        owner = made.all[another(holder)]
        await asyncio.get_running_loop().sock_sendall(peer, request(f"sip:{number(another(holder), COUNT)}@h"))
        await made.until(1)
    async with asyncio.timeout(WAIT_S):
        while made.all[holder].counter("tcp_connections"):
            await asyncio.sleep(0.002)
    owner.endpoint.perform([SendMessage(of_ours(owner.tokens), flow)])
    await owner.core.until(2)
    assert owner.starts[1].startswith(f"failed {flow!r} BYE ")


async def test_what_fails_at_once_is_told_to_who_wanted_to_send_it(made: Workers) -> None:
    """To a name no connection is opened."""
    owner, flow = made.all[1], flow_to(("name.invalid", 5060), TCP)
    owner.sockets._handing.hand(2, SEND, flow, of_ours(owner.tokens))  # type: ignore[union-attr]
    await owner.core.until(1)
    assert owner.starts[0].startswith(f"failed {flow!r} BYE ")


async def test_a_worker_that_begins_again_has_no_connection_left(made: Workers, host: str) -> None:
    peer, flow = await connected(made, host)
    with peer:
        holder = await accepted_by(made)
        owner = made.all[another(holder)]
        await asyncio.get_running_loop().sock_sendall(peer, request(f"sip:{number(another(holder), COUNT)}@h"))
        await made.until(1)
        made.all[holder].endpoint.close()
        made.all[holder] = made.born(holder)
        await owner.core.until(2)
        assert owner.starts[1] == f"lost {flow!r}"
        line = f"BYE sip:{number(holder, COUNT)}@h"
        with raw_socket(host) as other:
            other.sendto(request(line.partition(" ")[2], method="BYE"), made.address)
            await made.all[holder].core.until(1)
        assert made.receivers(line) == [holder]


async def test_a_far_end_that_comes_again_by_the_same_port_is_answered_on_its_new_connection(
    made: Workers, host: str
) -> None:
    peer, flow = await connected(made, host)
    with peer:
        holder = await accepted_by(made)
        owner = made.all[another(holder)]
        data = request(f"sip:{number(another(holder), COUNT)}@h")
        await asyncio.get_running_loop().sock_sendall(peer, data)
        await made.until(1)
    owner.sockets._handing.received(data, flow)  # type: ignore[union-attr]
    assert owner.sockets._handing.holder_of(flow) is None  # type: ignore[union-attr]


async def test_where_the_kernel_cannot_steer_messages_are_handed_over(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older kernel, or another system: it goes by the addresses, which is one worker for all of a peer."""
    monkeypatch.setattr(group, "_SO_ATTACH_REUSEPORT_CBPF", 9999)  # "Protocol not available"
    async with workers(tmp_path, host, COUNT) as made:
        assert made.warnings == ["the kernel does not steer: workers hand messages on"]
        with raw_socket(host) as peer:
            for worker in range(COUNT):
                peer.sendto(request(f"sip:{number(worker, COUNT)}@h"), made.address)
            await made.until(COUNT)
        for worker in range(COUNT):
            assert made.receivers(f"INVITE sip:{number(worker, COUNT)}@h") == [worker]


async def test_nothing_is_warned_of_where_the_kernel_steers(made: Workers) -> None:
    assert made.warnings == []
