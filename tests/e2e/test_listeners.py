"""A node with several listeners: each side talks to its own, and hears of no other."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from sipstack import headers as h
from sipstack.message import Message
from sipstack.parser import parse
from tests.e2e.datagrams import request, udp_socket
from tests.e2e.ends import Party, StreamEnd, UdpEnd, ask, call
from tests.e2e.stopwatch import stopwatch
from tests.e2e.stories import BINDING, A, B, X
from tests.sipstack.certificates import Authority

INSIDE = 22  # last octet of the second listener
SECOND = Bound(f"{BLOCK}0067", A, "13700137000")  # tried first where nobody is
SIX = Bound(f"{BLOCK}0066", A, "13300133000")


def ports_of(place: Place) -> range:
    """Four of ::1, which all places share, that only this one uses: the system gives none of them to anybody."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    _, second, third = map(int, place.prefix.split("."))
    first = 11_000 + 4 * (second % 8 * 250 + third)
    return range(first, first + 4)


@pytest.fixture
def ports6(place: Place) -> tuple[int, int]:
    """The node's, and that of a party."""
    node, party, *_ = ports_of(place)
    return node, party


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place, ports6: tuple[int, int]) -> Node:
    listeners = (
        f'[[listen]]\naddress = "{place.host(INSIDE)}:5062"\n[[listen]]\naddress = "[::1]:{ports6[0]}"\n'
        f'[[peer]]\nname = "six"\nmatch = ["::1"]\ntargets = ["sip:[::1]:{ports6[1]}"]\n'
        '[[route]]\nname = "to-six"\ncalled = "^133"\npeers = ["six"]\n'
    )
    made = make_node(extra=listeners)
    made.bind(BINDING, SECOND, SIX)
    made.start()
    return made


@pytest.fixture
def ends() -> Iterator[list[UdpEnd]]:
    opened: list[UdpEnd] = []
    yield opened
    for end in opened:
        end.close()


def hosts_in(message: Message) -> str:
    """Where it says that the node is: Via of a request, Contact, o=."""
    via = message.line(h.VIA) if message.is_request else ""
    origin = next(line for line in message.body.decode().split("\r\n") if line.startswith("o="))
    return f"{via} {message.value(h.CONTACT)} {origin}"


def test_call_between_two_listeners(node: Node, place: Place, ports6: tuple[int, int], ends: list[UdpEnd]) -> None:
    inside = place.host(INSIDE)
    assert node.stdout == f"veil700 ready sip=udp:{place.node}:5060,udp:{inside}:5062,udp:[::1]:{ports6[0]}\n"
    ends += [UdpEnd(place.caller, inside, node_port=5062), UdpEnd(place.callee, place.node)]
    invite, ok = call(Party(A, ends[0]), Party(B, ends[1]), X)
    assert inside in hosts_in(ok) and place.node not in hosts_in(ok) and "::1" not in hosts_in(ok)
    assert place.node in hosts_in(invite) and inside not in hosts_in(invite) and "::1" not in hosts_in(invite)
    assert [record["release_cause"] for record in node.records()] == ["NORMAL"]


def test_call_from_ipv4_to_ipv6(node: Node, place: Place, ports6: tuple[int, int], ends: list[UdpEnd]) -> None:
    ends += [UdpEnd(place.caller, place.node), UdpEnd("::1", "::1", ports6[1], ports6[0])]
    invite, ok = call(Party(A, ends[0]), Party(SIX.b, ends[1]), SIX.x)
    assert invite.line(h.VIA).startswith(f"Via: SIP/2.0/UDP [::1]:{ports6[0]};branch=")
    assert invite.value(h.CONTACT) == f"<sip:{SIX.x}@[::1]:{ports6[0]}>"
    assert " IN IP6 ::1\r\n" in invite.body.decode()
    assert place.node in hosts_in(ok) and "::1" not in hosts_in(ok)
    assert [record["release_cause"] for record in node.records()] == ["NORMAL"]


def test_same_answer_from_every_listener(node: Node, place: Place) -> None:
    """RFC 3581 §4: from the address that was asked, whatever port of the asker."""
    answers = set()
    for number, address in enumerate(((place.node, 5060), (place.host(INSIDE), 5062))):
        with udp_socket(place.caller, 0) as probe:
            sent = request("OPTIONS", "sip:veil.example", "192.0.2.9:9;rport", f"same-{number}")
            probe.sendto(sent, address)
            data, source = probe.recvfrom(65_536)
            port = probe.getsockname()[1]
        assert source == address
        to_tag = parse(data).to_tag.encode()
        answers.add(data.replace(b"rport=%d" % port, b"rport=P").replace(b"same-%d" % number, b"").replace(to_tag, b""))
    assert len(answers) == 1


@pytest.mark.parametrize(("caller_by", "callee_by"), [("TCP", "TLS"), ("TLS", "TCP")])
def test_call_over_ipv6_and_streams(
    make_node: Callable[..., Node], place: Place, tmp_path: Path, caller_by: str, callee_by: str
) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("loopback", "ip:::1")
    client = ssl.create_default_context(cafile=authority.file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files)
    ports = dict(zip(("TCP", "TLS", "caller", "callee"), ports_of(place), strict=True))
    over = f";transport={callee_by.lower()}"
    node = make_node(
        extra=f'[[listen]]\ntransport = "tcp"\naddress = "[::1]:{ports["TCP"]}"\n'
        f'[[listen]]\ntransport = "tls"\naddress = "[::1]:{ports["TLS"]}"\n'
        f'certificate = "{files[0]}"\nprivate_key = "{files[1]}"\nserver_ca = "{authority.file}"\n'
        f'[[peer]]\nname = "six"\nmatch = ["::1"]\ntargets = ["sip:[::1]:{ports["callee"]}{over}"]\n'
        '[[route]]\nname = "to-six"\ncalled = "^133"\npeers = ["six"]\n'
    )
    node.bind(SIX)
    node.start()
    ends = [
        StreamEnd("::1", "::1", ports[who], ports[by], *((client, server) if by == "TLS" else ()))
        for who, by in (("caller", caller_by), ("callee", callee_by))
    ]
    try:
        invite, ok = call(Party(A, ends[0]), Party(SIX.b, ends[1]), SIX.x)
    finally:
        for end in ends:
            end.close()
    assert invite.line(h.VIA).startswith(f"Via: SIP/2.0/{callee_by} [::1]:{ports[callee_by]};branch=")
    assert ok.value(h.CONTACT) == f"<sip:{SIX.x}@[::1]:{ports[caller_by]};transport={caller_by.lower()}>"
    assert [record["release_cause"] for record in node.records()] == ["NORMAL"]


# -- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [BINDING.x, SECOND.x])
def test_closed_port_is_told_at_once(node: Node, place: Place, ends: list[UdpEnd], x: str) -> None:
    """RFC 3261 §18.4: nobody waits for Timer B, nor for the first response: the next target, or the end of the call."""
    ends += [UdpEnd(place.caller, place.node)]
    caller = Party(A, ends[0])
    took = stopwatch(node)
    if x == SECOND.x:
        ends += [UdpEnd(place.callee, place.node)]
        call(caller, Party(SECOND.b, ends[1]), x)
    else:
        ask(caller, x)
        caller.take("SIP/2.0 480")
    assert took() < 1.0
    (record,) = node.records()
    assert record["release_cause"] == ("NORMAL" if x == SECOND.x else "ALL_TARGETS_FAILED")
    assert len(record["attempts"]) == (2 if x == SECOND.x else 1)
    assert record["attempts"][0]["ms"] < 1000
