"""A name that the DNS leads to TCP or TLS: the transport is taken, and over TLS the name must be proven."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.e2e.ends import SDP, Party, StreamEnd, UdpEnd, call
from tests.e2e.stories import A
from tests.e2e.waiting import wait_for
from tests.sipstack.certificates import Authority
from tests.sipstack.dns_stub import DnsStub

PLAIN = Bound(f"{BLOCK}0081", A, "13100131000")
SECURE = Bound(f"{BLOCK}0082", A, "13200132000")

# NAPTR of the name: TLS is what the zone likes best, TCP next.
NAPTR = [
    '10 10 "s" "SIPS+D2T" "" _sips._tcp.core.example',
    '10 20 "s" "SIP+D2T" "" _sip._tcp.core.example',
    '20 10 "s" "SIP+D2U" "" _sip._udp.core.example',
]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def stub(place: Place) -> Iterator[DnsStub]:
    made = DnsStub(place.host(20))
    made.zone |= {
        "NAPTR core.example": NAPTR,
        "SRV _sips._tcp.core.example": ["0 0 5071 one.hosting.example"],
        "SRV _sip._tcp.core.example": ["0 0 5070 one.hosting.example"],
        "A one.hosting.example": [place.callee],
    }
    yield made
    made.close()


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place, authority: Authority, stub: DnsStub) -> Node:
    certificate, key = authority.issue("node", f"ip:{place.node}")
    made = make_node(
        extra=(
            f'[[listen]]\ntransport = "tcp"\naddress = "{place.node}:5060"\n'
            f'[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\ncertificate = "{certificate}"\n'
            f'private_key = "{key}"\nserver_ca = "{authority.file}"\n'
            '[[peer]]\nname = "plain"\ntargets = ["sip:core.example;transport=tcp"]\n'
            '[[peer]]\nname = "secure"\ntargets = ["sips:core.example"]\n'
            '[[route]]\nname = "to-plain"\ncalled = "^131"\npeers = ["plain"]\n'
            '[[route]]\nname = "to-secure"\ncalled = "^132"\npeers = ["secure"]\n'
            f'[dns]\nservers = ["{stub.shown}"]\ntimeout_ms = 10_000\n'
        )
    )
    made.bind(PLAIN, SECURE)
    return made


def tls_end(authority: Authority, place: Place, subject: str) -> StreamEnd:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue("callee", subject))
    client = ssl.create_default_context(cafile=authority.file)
    return StreamEnd(place.callee, place.node, 5071, 5061, client, server)


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_a_call_goes_where_srv_records_lead(
    node: Node, place: Place, authority: Authority, stub: DnsStub, transport: str
) -> None:
    """Requirement 75. The certificate is the domain's own, not that of the host which serves it (RFC 5922 §7)."""
    node.start()
    bound = PLAIN if transport == "TCP" else SECURE
    if transport == "TCP":
        callee = StreamEnd(place.callee, place.node, 5070)
    else:
        callee = tls_end(authority, place, "dns:core.example")
    caller = UdpEnd(place.caller, place.node)
    try:
        invite, _ = call(Party(A, caller), Party(bound.b, callee), bound.x)
    finally:
        caller.close()
        callee.close()
    assert invite.uri_text == f"{'sip' if transport == 'TCP' else 'sips'}:{bound.b}@core.example"
    (record,) = node.records()
    (tried,) = record["attempts"]
    target, port = ("sip:core.example;transport=tcp", 5070) if transport == "TCP" else ("sips:core.example", 5071)
    assert (tried["target"], tried["address"]) == (target, f"{transport.lower()}:{place.callee}:{port}")
    assert stub.asked["NAPTR core.example"] == 1  # of the target that names no transport
    assert stub.asked["SRV _sip._udp.core.example"] == 0


def test_a_host_that_has_not_the_name_sees_nothing(node: Node, place: Place, authority: Authority) -> None:
    """Whoever forges the DNS leads to his host, which has a good certificate of its own."""
    node.start()
    callee = tls_end(authority, place, "dns:one.hosting.example")
    caller = Party(A, UdpEnd(place.caller, place.node))
    with ThreadPoolExecutor() as threads:
        seen = threads.submit(seen_by, callee)
        rows = [f"From: <sip:{A}@{caller.address}>;tag=t", f"To: <sip:{SECURE.x}@veil.example>", "Call-ID: forged"]
        caller.ask("INVITE", f"sip:{SECURE.x}@veil.example", [*rows, "CSeq: 1 INVITE"], SDP)
        caller.take("SIP/2.0 480")
        assert seen.result() == b""
    caller.end.close()
    callee.close()
    wait_for(lambda: "its certificate is not for core.example" in node.stderr)


def seen_by(end: StreamEnd) -> bytes:
    """What the node sends on the connection that it opens, once it is TLS."""
    try:
        end.accept()
        assert end.connection is not None
        return end.connection.recv(100)
    except OSError:  # the handshake has failed
        return b""
