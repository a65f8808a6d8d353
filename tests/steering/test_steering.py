"""The kernel's verdict on real sockets: each datagram comes to its owner, or to the first worker who hands it on."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from engine.core.ownership import MAX_WORKERS, owner_letter, owner_of
from engine.core.tokens import TokenSource
from engine.steering.group import bind_group, steer
from engine.steering.program import steering_program
from tests.sipstack.endpoint_rig import NEEDS_IPV6
from tests.steering import messages

METHODS = ("INVITE", "CANCEL", "ACK", "BYE", "MESSAGE", "OPTIONS", "UPDATE", "PRACK", "INFO", "REFER", "SUBSCRIBE")
ROUNDS = 1500
DRAW = random.Random(700)


class Group:
    """Sockets of so many workers, and one that sends to them."""

    def __init__(self, host: str, workers: int, held: ExitStack) -> None:
        self.sockets = [held.enter_context(one) for one in bind_group(host, 0, 0, workers)]
        self.address = self.sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.via_start = f"Via: SIP/2.0/UDP {shown}:{self.address[1]};branch="
        self.sender = held.enter_context(socket.socket(self.sockets[0].family, socket.SOCK_DGRAM))

    def who_gets(self, data: bytes) -> int:
        """The worker to whose socket a datagram comes; nobody else has got anything."""
        self.sender.sendto(data, self.address)
        ready, _, _ = select.select(self.sockets, [], [], 60.0)
        assert len(ready) == 1
        assert ready[0].recv(65_536) == data
        return self.sockets.index(ready[0])


@contextmanager
def group(host: str, workers: int) -> Iterator[Group]:
    with ExitStack() as held:
        made = Group(host, workers, held)
        steer(made.sockets, made.via_start)
        yield made


def number() -> str:
    return "700" + "".join(DRAW.choice("0123456789") for _ in range(12))


def request(uri: str) -> bytes:
    return messages.request(uri, method=DRAW.choice(METHODS))


def tokens() -> TokenSource:
    """Those of any worker, of one too that is no more."""
    return TokenSource(DRAW.randbytes, owner_letter(DRAW.randrange(MAX_WORKERS)))


def response(via: str) -> bytes:
    return messages.response(via, DRAW.choice(("OK", "Trying", "", "Temporarily Unavailable", "x" * 50, "\xe9\xe9")))


USUAL: tuple[Callable[[str], bytes], ...] = (
    lambda _: request(f"sip:{number()}@veil.example"),
    lambda _: request(f"sip:{number()}@192.0.2.9:5060;user=phone"),
    lambda _: request(f"sip:+86{number()}@veil.example;user=phone"),
    lambda _: request(f"SIP:{number()}@veil.example"),
    lambda _: request("sip:veil.example"),
    lambda via_start: response(f"{via_start}{tokens().branch()}"),
    lambda via_start: response(f"{via_start}{tokens().branch()};rport=5060;received=192.0.2.1"),
    lambda via_start: response(f"{via_start[:-7]}rport=5060;received=192.0.2.1;branch={tokens().branch()}"),
    lambda via_start: response(f"{via_start}{tokens().branch()}a"),  # asked again with a password
    lambda via_start: response(f"{via_start}{TokenSource(DRAW.randbytes).branch()};rport"),  # of a run with one worker
)

ODD: tuple[Callable[[str], bytes], ...] = (
    lambda _: request(f"sips:{number()}@veil.example"),
    lambda _: request(f"tel:+86{number()}"),
    lambda _: request(f"sip:{number()};phone-context=+86@veil.example"),
    lambda _: request(f"sip:%37{number()[1:]}@veil.example"),
    lambda _: request(f"sip:{number()};isub=abcd@veil.example"),
    lambda _: request(f"sip:{number()}:abcd@veil.example"),
    lambda _: request(f"sip:{number()}-ext@veil.example"),
    lambda _: request("sip:" + "1" * 40 + "@veil.example"),
    lambda _: request("sip:119@veil.example"),
    lambda _: b"\r\n" + request(f"sip:{number()}@veil.example"),
    lambda via_start: response(f"Server: x\r\n{via_start}{tokens().branch()}"),
    lambda via_start: response(f"{via_start.replace('Via: ', 'v: ')}{tokens().branch()}"),
    lambda via_start: response(f"{via_start.replace('Via: ', 'VIA: ')}{tokens().branch()}"),
    lambda via_start: response(f"{via_start.replace('UDP ', 'UDP  ')}{tokens().branch()}"),
    lambda via_start: response(f"{via_start[:-7]}maddr={'h' * 60};branch={tokens().branch()}"),
    lambda via_start: response(f"{via_start[:-7]}x=y, SIP/2.0/UDP h;branch={tokens().branch()}"),
    lambda via_start: response(f"{via_start[:-7]}BRANCH={tokens().branch()}"),
    lambda _: DRAW.randbytes(DRAW.randrange(1, 1400)),
    lambda _: b"",
    lambda _: b"\r\n\r\n",
    lambda via_start: response(f"{via_start}{tokens().branch()}")[: DRAW.randrange(20, 60)],
    lambda _: request(f"sip:{number()}@veil.example")[: DRAW.randrange(1, 22)],
)


@pytest.mark.parametrize("over", ["IPv4", pytest.param("IPv6", marks=NEEDS_IPV6)])
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_what_is_spelled_as_usual_comes_to_its_owner(host: str, over: str, workers: int) -> None:
    with group(host if over == "IPv4" else "::1", workers) as made:
        got = [0] * workers
        for turn in range(ROUNDS):
            data = USUAL[turn % len(USUAL)](made.via_start)
            worker = made.who_gets(data)
            assert worker == owner_of(data, workers), data
            got[worker] += 1
        assert min(got) > ROUNDS / workers / 3


@pytest.mark.parametrize("workers", [2, 8])
def test_what_is_spelled_otherwise_comes_to_its_owner_or_to_the_first(host: str, workers: int) -> None:
    with group(host, workers) as made:
        handed_on = 0
        for turn in range(ROUNDS):
            data = ODD[turn % len(ODD)](made.via_start)
            worker, owner = made.who_gets(data), owner_of(data, workers)
            assert worker in (0, owner), data
            handed_on += worker != owner
        assert handed_on > ROUNDS / 4


def test_large_datagrams_are_steered_by_their_beginning(host: str) -> None:
    with group(host, 3) as made:
        for _ in range(30):
            data = request(f"sip:{number()}@veil.example") + bytes(60_000)
            assert made.who_gets(data) == owner_of(data, 3)


def test_another_node_cannot_have_the_address(host: str) -> None:
    with group(host, 2) as made:
        for workers in (1, 2):
            with pytest.raises(OSError, match="in use"):
                bind_group(host, made.address[1], 0, workers)
    for one in bind_group(host, made.address[1], 0, 2):
        one.close()


def test_every_socket_keeps_its_place_when_its_worker_is_gone(host: str) -> None:
    """The supervisor has it open as well: what comes meanwhile waits for the next worker."""
    with group(host, 3) as made:
        kept = [one.dup() for one in made.sockets]
        made.sockets[1].close()
        waiting = [data for _ in range(200) if owner_of(data := request(f"sip:{number()}@h"), 3) == 1]
        for data in waiting:
            made.sender.sendto(data, made.address)
        assert [kept[1].recv(65_536) for _ in waiting] == waiting
        for one in kept:
            one.close()


def test_without_the_option_the_sockets_serve_all_the_same(host: str) -> None:
    """The kernel goes by the addresses then, and each datagram comes to somebody."""
    with ExitStack() as held:
        made = Group(host, 3, held)
        assert {made.who_gets(request(f"sip:{number()}@h")) for _ in range(50)} == {made.who_gets(b"x")}


def test_a_program_is_small() -> None:
    """The kernel takes no more than 4,096 instructions, and charges eight octets each to a limit of 20,480."""
    assert len(steering_program(MAX_WORKERS, "Via: SIP/2.0/UDP veil.example:5060;branch=")) < 8 * 1000
