"""Any bytes on the port: answered as the RFC says where an answer can be addressed, and the node goes on working."""

from __future__ import annotations

import random
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

import pytest

from scenarios.rig.check import ended_wrong
from scenarios.rig.node import Node, unsound
from scenarios.rig.place import PORT, Place
from tests.conformance.torture import EXPECTED, NAMES, octets, reply_ports
from tests.e2e.datagrams import ANSWER_S, answer_to_options, drain, request, udp_socket
from tests.e2e.stories import ANSWERED, BINDING, A, B, X, put_away, tell

# Hosts of one place: from 128 on they belong to a peer, those below are unknown. Each message has one of both kinds.
TRUSTED: Final = 130
UNKNOWN: Final = 20
TESTERS: Final = '[[peer]]\nname = "testers"\nmatch = ["{0}.128/25"]\n'

# A quick T1, so that transactions of rubbish are over soon.
QUICK_T1_MS: Final = 20
QUICK: Final = (
    f"[sip]\nt1_ms = {QUICK_T1_MS}\n[policy]\nfirst_response_ms = 1000\nring_timeout_s = 5\nmessage_timeout_s = 0.5\n"
)

QUICK_CALL: Final = replace(ANSWERED, settings=f"[sip]\nt1_ms = {QUICK_T1_MS}")


def rounds() -> dict[str, int]:
    """Which of several nodes gets a message: those of one branch would be repeats of each other to a single node."""
    found: dict[str, int] = {}
    taken: set[tuple[int, bytes]] = set()
    for name in NAMES:
        branch = re.search(rb"(?i)branch\s*=\s*([^;,\s]+)", octets(name))
        key = branch[1] if branch is not None else name.encode()
        found[name] = next(number for number in range(len(NAMES)) if (number, key) not in taken)
        taken.add((found[name], key))
    return found


ROUND: Final = rounds()


@pytest.fixture(scope="module")
def nodes(module_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Node]]:
    """The node of a round, on the same address as that of the round before, which ends well."""
    current: dict[int, Node] = {}

    def end() -> None:
        for node in current.values():
            end_well(node)
        current.clear()

    def node_of(number: int) -> Node:
        if number not in current:
            end()
            folder = tmp_path_factory.mktemp("bad")
            current[number] = node = Node(module_place, folder, TESTERS.format(module_place.prefix))
            node.bind(BINDING)
            node.start()
        return current[number]

    yield node_of
    end()


def end_well(node: Node) -> None:
    """Nothing of all that it was sent has hurt it."""
    try:
        counters = node.status()["counters"]
        assert node.stop() == 0
        assert unsound(counters) == {}
        assert node.verify().is_clean
    finally:
        put_away(node)


@pytest.fixture
def probe(module_place: Place) -> Iterator[socket.socket]:
    """A peer's socket beside those of the messages."""
    with udp_socket(module_place.caller) as opened:
        yield opened


@pytest.mark.parametrize("name", sorted(NAMES, key=lambda name: (ROUND[str(name)], name)))
def test_torture_message(nodes: Callable[[int], Node], probe: socket.socket, name: str) -> None:
    """From nobody it is met with silence; from a peer it gets the answer that the index expects."""
    node, data, number = nodes(ROUND[name]), octets(name), NAMES.index(name)
    with ExitStack() as opened:
        ends = open_ends(opened, node.place.host(UNKNOWN + number), data)
        before = unknown_sources(node)
        ends[0].sendto(data, (node.place.node, PORT))
        assert_alive(node, probe, f"nobody-{name}")
        assert [answer for end in ends for answer in drain(end)] == []
        assert unknown_sources(node) - before == 1 or not EXPECTED[name]  # a stray response is counted elsewhere

        ends = open_ends(opened, node.place.host(TRUSTED + number), data)
        ends[0].sendto(data, (node.place.node, PORT))
        final = first_final(ends) if EXPECTED[name] else 0
        assert_alive(node, probe, f"peer-{name}")
        if EXPECTED[name]:
            assert final in EXPECTED[name]
        else:
            assert [answer for end in ends for answer in drain(end)] == []


def unknown_sources(node: Node) -> int:
    """Messages so far that came from a host that no peer matches."""
    return int(node.status()["counters"].get("unknown_source", 0))


def open_ends(opened: ExitStack, host: str, data: bytes) -> list[socket.socket]:
    """A socket for every port on which the answer may come; the first sends."""
    return [opened.enter_context(udp_socket(host, port)) for port in sorted(reply_ports(data), key=lambda p: p != PORT)]


def first_final(ends: list[socket.socket]) -> int:
    """The status of the first final response; 0 when none has come in the time for an answer."""
    deadline = time.monotonic() + ANSWER_S
    while readable := select.select(ends, [], [], max(0.0, deadline - time.monotonic()))[0]:
        for end in readable:
            status = int(end.recv(65_536)[8:11])
            if status >= 200:
                return status
    return 0


def assert_alive(node: Node, probe: socket.socket, about: str) -> None:
    """An OPTIONS is answered, and nothing has been raised."""
    assert answer_to_options(probe, node.place.node, about.replace("/", "-")).startswith(b"SIP/2.0 200 ")
    assert unsound(node.status()["counters"]) == {}


KEEP_ALIVES: Final = {
    "empty": b"",
    "NUL": b"\0",
    "four-NUL": b"\0\0\0\0",
    "CRLF": b"\r\n",
    "ping": b"\r\n\r\n",
    "three-CRLF": b"\r\n\r\n\r\n",
    "LF": b"\n",
    "SP": b" ",
    "FF": b"\xff" * 20,
    "STUN": b"\0\1\0\0!\x12\xa4B" + bytes(12),
}


def test_keep_alives_are_not_answered(nodes: Callable[[int], Node], probe: socket.socket) -> None:
    node = nodes(0)
    with udp_socket(node.place.host(250)) as peer, udp_socket(node.place.stranger) as nobody:
        for name, data in KEEP_ALIVES.items():
            for end in (peer, nobody):
                end.sendto(data, (node.place.node, PORT))
            assert_alive(node, probe, f"keep-alive-{name}")
            assert drain(peer) + drain(nobody) == [], name


@pytest.mark.parametrize("change", [("", ""), ("z9hG4bKecho", "z9hG4bKother"), ("INVITE", "CANCEL")])
def test_nobody_learns_of_a_request_in_progress(nodes: Callable[[int], Node], change: tuple[str, str]) -> None:
    """Its repeat, the same by another way (RFC 3261 §8.2.2.2), or a CANCEL: from nobody, met with silence."""
    node = nodes(0)
    host, target = node.place.host(251), (node.place.node, PORT)
    with udp_socket(host) as peer, udp_socket(node.place.stranger) as nobody, udp_socket(node.place.callee) as callee:
        call_id = f"echo{node.status()['attempts']}"
        invite = request("INVITE", f"sip:{X}@{node.place.node}", host, call_id)
        peer.sendto(invite, target)
        assert callee.recv(65_536).startswith(b"INVITE ")
        old, new = (text.replace("echo", call_id).encode() for text in change)
        nobody.sendto(invite.replace(old, new) if old else invite, target)
        assert answer_to_options(peer, node.place.node, f"options-{call_id}")
        assert drain(nobody) == []
        peer.sendto(invite.replace(b"INVITE", b"CANCEL"), target)
        assert first_final([peer]) in (200, 487)


LARGEST: Final = 65_507  # payload of a UDP datagram over IPv4


def padded(data: bytes) -> bytes:
    """As long as a datagram can be."""
    return data + b"a" * (LARGEST - len(data))


def test_huge_datagrams(nodes: Callable[[int], Node], probe: socket.socket) -> None:
    node = nodes(0)
    host, target = node.place.host(250), (node.place.node, PORT)
    uri = f"sip:{node.place.node}"
    with udp_socket(host) as end:
        end.sendto(b"a" * LARGEST, target)
        end.sendto(b"\r\n" * (LARGEST // 2), target)
        end.sendto(padded(b"SIP/2.0 200 OK\r\nX: "), target)
        assert_alive(node, probe, "huge-rubbish")
        assert drain(end) == []
        end.settimeout(ANSWER_S)
        end.sendto(padded(request("OPTIONS", uri, host, "huge-body")), target)
        assert end.recv(65_536).startswith(b"SIP/2.0 200 ")
        end.sendto(padded(request("OPTIONS", uri, host, "huge-head")[:-4] + b"\r\nX: "), target)
        assert end.recv(65_536).startswith(b"SIP/2.0 513 ")
        end.sendto(request("OPTIONS", uri, host, "many-lines", "X: 1\r\n" * 5000), target)
        assert end.recv(65_536).startswith(b"SIP/2.0 513 ")
    assert_alive(node, probe, "huge-end")


def test_text_that_fits_in_but_not_out(make_node: Any) -> None:
    """What is added on the way makes the datagram too long for UDP: the sender gets an answer, the node lives."""
    node = make_node(extra=QUICK)
    node.bind(BINDING)
    node.start()
    place = node.place
    with udp_socket(place.caller) as caller, udp_socket(place.callee) as callee:
        x, kind = f"sip:{X}@{place.node}", "Content-Type: text/plain\r\n"
        room = LARGEST - len(request("MESSAGE", x, place.caller, "fits", kind)) - len("65000")
        caller.sendto(request("MESSAGE", x, place.caller, "fits", kind, b"a" * room), (place.node, PORT))
        assert first_final([caller]) == 480
        assert drain(callee) == []
        caller.settimeout(ANSWER_S)
        caller.sendto(request("MESSAGE", x, place.caller, "smaller", kind, b"a" * (room - 500)), (place.node, PORT))
        callee.settimeout(ANSWER_S)
        assert callee.recv(65_536).endswith(b"a" * (room - 500))
        assert first_final([caller]) == 480
        until_quiet(callee)
    tell(node, QUICK_CALL)
    assert ended_wrong(node) == []
    assert [record["release_cause"] for record in node.records()] == ["UNREACHABLE", "UNREACHABLE", "NORMAL"]


MUTATIONS: Final = 3000
BARRIER: Final = 50  # datagrams between two looks whether the node follows: its socket holds more than that


def seed_of(host: str, node: str, call_id: str, chance: random.Random) -> bytes:
    """A message whose mutation may reach far: a request of any kind from A to X, an answer, or a torture message."""
    sdp = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n".encode()
    kind, x = chance.randrange(10), f"sip:{X}@{node}"
    if kind < 3:
        return request("INVITE", x, host, call_id, "Content-Type: application/sdp\r\nSupported: timer\r\n", sdp)
    if kind < 4:
        return request("INVITE", x, host, call_id, f"P-Asserted-Identity: <tel:+86{A}>\r\nRequire: 100rel\r\n")
    if kind < 6:
        return request("MESSAGE", x, host, call_id, "Content-Type: text/plain\r\n", f"Call {A}".encode())
    if kind < 7:
        return request(chance.choice(("OPTIONS", "ACK", "CANCEL", "BYE", "UPDATE", "PRACK", "INFO")), x, host, call_id)
    if kind < 8:
        return b"SIP/2.0 200 OK\r\n" + request("INVITE", x, host, call_id).partition(b"\r\n")[2]
    return octets(chance.choice(NAMES))


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four small accidents."""
    now = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(now) + 1)
        end = min(len(now), at + chance.choice((1, 2, 8, 60)))
        accident = chance.randrange(8)
        if accident == 0:
            del now[at:end]
        elif accident == 1:
            now[at:at] = now[at:end]
        elif accident == 2:
            now[at:end] = chance.randbytes(end - at)
        elif accident < 5:
            now[at : at + 1] = chance.choice(b"09aZ =;:<>@%\x00\xff").to_bytes()
        elif accident == 5:
            now[at:at] = chance.choice((b"\r\n", b";", b",", b":", b"@", b"%", b'"', b"<", b">", b"\0", b"9" * 30))
        elif accident == 6:
            now = now[: max(at, len(now) // 2)]
        else:
            lines = bytes(now).split(b"\r\n")
            lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
            now = bytearray(b"\r\n".join(lines))
    return bytes(now)


@pytest.mark.parametrize("seed", [1, 2])
def test_mutations(make_node: Any, place: Place, seed: int) -> None:
    """Damaged messages from a peer and from nobody; calls that come of them are let ring out at a silent callee."""
    node = make_node(extra=QUICK + TESTERS.format(place.prefix))
    node.bind(BINDING)
    node.start()
    sender, target = place.host(TRUSTED), (place.node, PORT)
    chance = random.Random(seed)
    received: dict[str, list[bytes]] = {sender: [], place.callee: [], place.stranger: []}
    with ExitStack() as opened:
        ends = {host: opened.enter_context(udp_socket(host)) for host in received}
        probe = opened.enter_context(udp_socket(place.caller))
        for count in range(MUTATIONS):
            data = mutated(seed_of(sender, place.node, f"m{count}", chance), chance)
            if count % 20 == 0:
                data = chance.randbytes(chance.randrange(1500))
            ends[place.stranger if count % 10 == 5 else sender].sendto(data, target)
            if count % BARRIER == 0:
                assert answer_to_options(probe, place.node, f"m{count}")
                take(ends, received)
        assert answer_to_options(probe, place.node, "mutations-end")
        received[place.callee] += until_quiet(ends[place.callee])
        take(ends, received)
        assert node.calls() == []
    counters = node.status()["counters"]
    print(f"{MUTATIONS} mutations:", counters)
    assert received[place.stranger] == []
    assert [data for data in received[place.callee] if A.encode() in data] == []
    assert [data for data in received[sender] if B.encode() in data] == []
    assert any(data.startswith(b"INVITE ") for data in received[place.callee]), "no mutation reached the callee"
    assert MUTATIONS * 0.2 < counters["malformed"] < MUTATIONS * 0.8
    tell(node, QUICK_CALL)
    assert ended_wrong(node) == []
    report = node.verify()
    assert report.is_clean, report
    assert report.records == counters["attempts_voice"] + counters["attempts_message"] + 1


def take(ends: dict[str, socket.socket], received: dict[str, list[bytes]]) -> None:
    """Empties the sockets."""
    for host, end in ends.items():
        received[host] += drain(end)


def until_quiet(end: socket.socket) -> list[bytes]:
    """All that comes until nothing has come for 64*T1: what our side began is over then."""
    end.settimeout(64 * QUICK_T1_MS / 1000)
    datagrams = []
    try:
        while True:
            datagrams.append(end.recv(65_536))
    except TimeoutError:
        return datagrams
