"""Datagrams in and out in C, held against Python's socket: the same bytes, far ends and errors."""

from __future__ import annotations

import errno
import gc
import socket
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import pytest

from sipstack.aio import udp
from sipstack.aio.udp import (
    IN_C,
    MAX_DATAGRAM_BYTES,
    NO_ADDRESS,
    Datagrams,
    MakeDatagrams,
    PlainDatagrams,
    UdpSockets,
    bind_udp,
)
from sipstack.events import Flow, Output, SendMessage
from tests.sipstack.endpoint_rig import NEEDS_IPV6, Rig, loop_rests, opened_rig, raw_socket, read
from tests.sipstack.scans import compile_c

ADDRESSES: Final = ["IPv4", pytest.param("IPv6", marks=NEEDS_IPV6)]


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> MakeDatagrams:
    """The one that transports use, or would use."""
    if IN_C is not None:
        return IN_C
    made: MakeDatagrams = compile_c("sipstack.aio.datagrams", tmp_path_factory.mktemp("c")).Datagrams
    return made


def flow_of(host: str, port: int) -> Flow:
    return Flow("UDP", host, port, 7)


class Ends:
    """A socket, both ways to use it, and a far end."""

    def __init__(self, address: str, make: MakeDatagrams) -> None:
        self.bound = bind_udp(address, 0)
        self.far = raw_socket(address)
        self.there: tuple[str, int] = self.far.getsockname()[:2]
        self.plain: Datagrams = PlainDatagrams(self.bound, flow_of)
        self.in_c = make(self.bound.fileno(), self.bound.family, flow_of)
        self.both = (self.plain, self.in_c)

    def come(self, data: bytes) -> None:
        self.far.sendto(data, self.bound.getsockname())

    def close(self) -> None:
        self.bound.close()
        self.far.close()


@pytest.fixture
def ends(host: str, in_c: MakeDatagrams) -> Iterator[Ends]:
    made = Ends(host, in_c)
    yield made
    made.close()


@pytest.fixture(params=ADDRESSES)
def either(request: pytest.FixtureRequest, host: str, in_c: MakeDatagrams) -> Iterator[Ends]:
    made = Ends(host if request.param == "IPv4" else "::1", in_c)
    yield made
    made.close()


def test_what_is_compiled_is_used() -> None:
    assert (IN_C is None) == str(udp.__file__).endswith(".py")


@pytest.mark.parametrize("data", [b"", b"x", b"\x00\xff" * 700, bytes(60_000)], ids=len)
def test_what_comes_is_the_same_and_from_the_same(either: Ends, data: bytes) -> None:
    for way in either.both:
        assert way.receive() is None
        either.come(data)
        either.come(b"next")
        for expected in (data, b"next"):
            assert way.receive() == (expected, flow_of(*either.there))
        assert way.receive() is None


def test_the_longest_datagram_comes_whole(ends: Ends) -> None:
    longest = bytes(range(256)) * 255 + bytes(65_507 - 256 * 255)
    assert len(longest) < MAX_DATAGRAM_BYTES
    ends.come(longest)
    assert ends.in_c.receive() == (longest, flow_of(*ends.there))
    assert ends.in_c.send(longest, *ends.there) == 0
    assert ends.far.recv(65_536) == longest


def test_what_was_received_stays_as_it_was(ends: Ends) -> None:
    ends.come(b"first")
    first = ends.in_c.receive()
    ends.come(b"other")
    assert (first, ends.in_c.receive()) == ((b"first", flow_of(*ends.there)), (b"other", flow_of(*ends.there)))


def test_one_far_end_has_one_flow_however_many_there_are(host: str, in_c: MakeDatagrams) -> None:
    made: list[tuple[str, int]] = []

    def counted(host: str, port: int) -> Flow:
        made.append((host, port))
        return flow_of(host, port)

    far = [raw_socket(host) for _ in range(400)]  # more than are remembered
    with bind_udp(host, 0) as bound:
        way = in_c(bound.fileno(), bound.family, counted)
        for peer in far:
            for number in (b"1", b"2"):
                peer.sendto(number, bound.getsockname())
                assert way.receive() == (number, flow_of(*peer.getsockname()))
        assert made == [peer.getsockname() for peer in far]
        for peer in far:
            peer.sendto(b"3", bound.getsockname())
            assert way.receive() == (b"3", flow_of(*peer.getsockname()))
            assert way.send(b"4", *peer.getsockname()) == way.send(b"5", *peer.getsockname()) == 0
            assert [peer.recv(9), peer.recv(9)] == [b"4", b"5"]
    for peer in far:
        peer.close()


def test_of_flows_that_are_remembered_none_is_kept_for_ever(host: str, in_c: MakeDatagrams) -> None:
    made: list[Flow] = []

    def kept(host: str, port: int) -> Flow:
        made.append(flow_of(host, port))
        return made[-1]

    far = [raw_socket(host) for _ in range(400)]  # some take the place of others
    with bind_udp(host, 0) as bound:
        way = in_c(bound.fileno(), bound.family, kept)
        for peer in far:
            peer.sendto(b"x", bound.getsockname())
            assert way.receive() is not None
            peer.close()
        del way
    assert len(made) == len(far)
    assert {sys.getrefcount(made[place]) for place in range(len(made))} == {2}  # the list, and the argument


def test_what_is_sent_arrives(either: Ends) -> None:
    for way in either.both:
        for data in (b"", b"one", b"one", b"\x00" * 1400):
            assert way.send(data, *either.there) == 0
            assert either.far.recvfrom(65_536)[:1] == (data,)


def test_each_datagram_goes_to_its_own_host(ends: Ends) -> None:
    """Also of far ends that want one place of the memory; of three hosts they do so at one port in a hundred."""
    net = ends.there[0].rpartition(".")[0]
    for _ in range(1500):
        with raw_socket(f"{net}.100") as first:
            port = first.getsockname()[1]
            for host in (f"{net}.234", f"{net}.10"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.setblocking(False)
                    other.bind((host, port))
                    for far in (first, other):
                        assert ends.in_c.send(b"x", *far.getsockname()) == 0
                        assert far.recv(9) == b"x"


@pytest.mark.parametrize("name", ["localhost", "", "<broadcast>", "127.1", "127.0.0.01", "127.0.0.\u0661", "x" * 300])
def test_no_name_is_looked_up(ends: Ends, name: str) -> None:
    for way in ends.both:
        assert way.send(b"x", name, 9) == NO_ADDRESS


@pytest.mark.parametrize("far", ["127.0.0.1\0", "127.0.0.1\0x", "127.0.0.1%lo", "::1", "::1%lo"])
def test_what_is_spelled_oddly_is_left_to_python(ends: Ends, far: str) -> None:
    assert ends.in_c.send(b"x", far, 9) == NO_ADDRESS
    assert ends.plain.send(b"x", far, 9) != 0


@pytest.mark.parametrize("port", [-1, 65_536, 1 << 70])
def test_a_port_that_is_none_is_left_to_python(ends: Ends, port: int) -> None:
    assert ends.in_c.send(b"x", ends.there[0], port) == NO_ADDRESS
    with pytest.raises(OverflowError):
        ends.plain.send(b"x", ends.there[0], port)


@NEEDS_IPV6
def test_an_address_with_a_scope_is_served_all_the_same(in_c: MakeDatagrams) -> None:
    with bind_udp("::1", 0) as bound:
        assert in_c(bound.fileno(), bound.family, flow_of).send(b"x", "fe80::1%lo", 9) == NO_ADDRESS
        assert PlainDatagrams(bound, flow_of).send(b"x", "fe80::1%lo", 9) == 0


def test_what_the_kernel_refuses_has_its_errno(ends: Ends) -> None:
    for way in ends.both:
        assert way.send(b"x", "255.255.255.255", 9) == errno.EACCES
        assert way.send(bytes(70_000), *ends.there) == errno.EMSGSIZE
        assert way.send(b"x", ends.there[0], 0) == errno.EINVAL


def test_what_came_back_is_raised_once(ends: Ends) -> None:
    ends.bound.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
    for way in ends.both:
        with raw_socket(ends.there[0]) as gone:
            nobody = gone.getsockname()
        assert way.send(b"x", *nobody) == 0
        with pytest.raises(ConnectionRefusedError):
            way.receive()
        assert way.receive() is None
        assert way.send(b"x", *nobody) == 0
        assert way.send(b"x", *ends.there) == errno.ECONNREFUSED
        assert way.send(b"x", *ends.there) == 0


def test_a_closed_descriptor_is_an_error(ends: Ends) -> None:
    ends.bound.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        ends.in_c.receive()
    assert ends.in_c.send(b"x", *ends.there) == errno.EBADF


def test_a_flow_that_cannot_be_made_is_no_flow(ends: Ends, in_c: MakeDatagrams) -> None:
    def failing(host: str, port: int) -> Flow:
        raise ZeroDivisionError

    way = in_c(ends.bound.fileno(), ends.bound.family, failing)
    for _ in range(2):
        ends.come(b"x")
        with pytest.raises(ZeroDivisionError):
            way.receive()
    assert way.receive() is None


@pytest.mark.parametrize(
    "arguments", [(), (1,), ("x", 2, flow_of), (1, socket.AF_UNIX, flow_of), (1, 2, flow_of, 4)], ids=len
)
def test_it_is_made_of_a_descriptor_a_family_and_flows(
    in_c: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    with pytest.raises((TypeError, ValueError)):
        in_c(*arguments)


@pytest.mark.parametrize("arguments", [(), (b"x", "h"), ("x", "h", 9), (b"x", b"h", 9), (b"x", "h", "9")], ids=repr)
def test_it_sends_bytes_to_a_host_and_a_port(ends: Ends, arguments: tuple[object, ...]) -> None:
    send: Callable[..., object] = ends.in_c.send
    with pytest.raises(TypeError):
        send(*arguments)


def test_nothing_is_left_behind(ends: Ends, in_c: MakeDatagrams) -> None:
    def used() -> None:
        way = in_c(ends.bound.fileno(), ends.bound.family, flow_of)
        for _ in range(50):
            ends.come(b"x" * 1000)
            assert way.receive() is not None
            way.receive()
            way.send(b"y", *ends.there)
            way.send(b"y", "no.address", 9)
            ends.far.recv(9)

    def grown() -> int:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            used()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    used()
    gc.collect()
    tracemalloc.start()
    used()
    gc.collect()
    least = min(
        grown() for _ in range(3)
    )  # what is left behind is so each time; other threads keep something now and then
    tracemalloc.stop()
    assert least < 2000


# ---------------------------------------------------------------------- in a transport


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async for made in opened_rig():
        yield made


@pytest.mark.parametrize("over", ADDRESSES)
async def test_a_transport_answers_by_it(rig: Rig, host: str, in_c: MakeDatagrams, over: str) -> None:
    address = host if over == "IPv4" else "::1"
    transport = UdpSockets(rig.endpoint).serve(bind_udp(address, 0), 0, in_c)

    def echoed(data: bytes, flow: Flow) -> list[Output]:
        return [SendMessage(data, flow)]

    rig.core.answer = echoed
    with raw_socket(address) as peer:
        for number in range(100):
            peer.sendto(b"%d" % number, transport.local)
        await rig.core.until(100)
        assert rig.core.calls == [f"receive {number}" for number in range(100)]
        assert set(rig.core.flows) == {Flow("UDP", address, peer.getsockname()[1])}
        assert [await read(peer) for _ in range(100)] == [b"%d" % number for number in range(100)]
    await loop_rests()
    assert rig.faults == []


async def test_a_transport_hears_what_came_back(rig: Rig, host: str, in_c: MakeDatagrams) -> None:
    UdpSockets(rig.endpoint).serve(bind_udp(host, 0), 0, in_c)
    with raw_socket(host) as gone:
        nobody = Flow("UDP", *gone.getsockname())
    with raw_socket(host) as peer:
        there = Flow("UDP", *peer.getsockname())
        rig.endpoint.perform([SendMessage(b"lost", nobody), SendMessage(b"sent", there)])
        assert await read(peer) == b"sent"
        await rig.core.until(1)
    assert rig.core.calls == [f"failed {nobody!r} lost"]
    await loop_rests()


async def test_a_transport_sends_to_a_scope_and_to_no_name(rig: Rig, host: str, in_c: MakeDatagrams) -> None:
    transport = UdpSockets(rig.endpoint).serve(bind_udp(host, 0), 0, in_c)
    assert transport.send(b"x", Flow("UDP", "localhost", 9)) is False
    assert transport.send(b"x", Flow("UDP", "::1", 9)) is False
    assert transport.send(bytes(70_000), Flow("UDP", host, 9)) is True  # lost
    transport.close()
    assert transport.send(b"x", Flow("UDP", host, 9)) is False
