"""Peers that are known by their certificate: `tls_names` (A27: the certificate of another peer is not that peer's)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.routing import Routing
from engine.core.settings import CoreSettings, ListenerSettings, PeerSettings, PolicySettings
from sipstack.events import Disconnect, Flow
from sipstack.message import render
from tests.core.corenode import CALLEE, NODE, SETTINGS, CoreNode
from tests.core.parties import answer, invite, target_of

LISTENERS = (ListenerSettings("UDP", "127.0.0.11", 5060, NODE), ListenerSettings("TLS", "127.0.0.11", 5061, NODE))
PEERS = (
    PeerSettings("one", (), (), tls_names=("one.example", "one.example.net")),
    PeerSettings("two", ("10.2.0.0/16",), (), tls_names=("two.example",)),
    PeerSettings("plain", ("10.0.0.0/8",), ()),
    PeerSettings("port", ("10.0.0.9:5060",), ()),
)
ROUTING = Routing(CoreSettings("n", "veil.example", LISTENERS, PEERS, (), PolicySettings()))
PROVEN = ("trunk.example",)


@pytest.mark.parametrize(
    ("transport", "host", "names", "expected"),
    [
        ("TLS", "192.0.2.1", ("one.example",), "one"),
        ("TLS", "192.0.2.1", ("x.example", "one.example.net", "one.example"), "one"),
        ("TLS", "10.1.0.1", ("one.example",), "one"),  # whoever else's address it is
        ("TLS", "10.2.0.1", ("two.example",), "two"),
        ("TLS", "10.3.0.1", ("two.example",), ""),  # at an address that is not in its match
        ("TLS", "192.0.2.1", ("two.example",), ""),
        ("TLS", "10.2.0.1", ("one.example", "two.example"), ""),  # one certificate for two: in doubt
        ("TLS", "10.2.0.1", (), ""),
        ("TLS", "10.2.0.1", ("plain.example",), ""),  # another peer's certificate
        ("TLS", "192.0.2.1", ("x.example",), ""),
        ("TLS", "192.0.2.1", (), ""),
        ("UDP", "10.2.0.1", (), ""),  # without TLS nobody is this peer
        ("TCP", "10.2.0.1", (), ""),
        ("TLS", "10.1.0.1", (), "plain"),
        ("TLS", "10.1.0.1", ("x.example",), "plain"),
        ("UDP", "10.1.0.1", (), "plain"),
        ("UDP", "10.0.0.9", (), "port"),
        ("TCP", "10.0.0.9", (), "plain"),
    ],
)
def test_whose_request_it_is(transport: str, host: str, names: tuple[str, ...], expected: str) -> None:
    for _ in range(2):  # what is remembered of an address is not what its certificate says
        found = ROUTING.peer_of(Flow(transport, host, 5060, 0, names))
        assert (found.name if found is not None else "") == expected


def settings() -> CoreSettings:
    peers = (replace(SETTINGS.peers[0], tls_names=PROVEN), *SETTINGS.peers[1:])
    return replace(SETTINGS, peers=peers, listeners=LISTENERS)


def tls(*names: str, host: str = "127.0.0.12") -> Flow:
    return Flow("TLS", host, 40000, 1, names)


def over_tls(data: bytes) -> bytes:
    return data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS")


def receive(node: CoreNode, data: bytes, flow: Flow) -> list[object]:
    """What the node says to it beside messages."""
    outputs = node.service.receive(data, flow, node.book.now)
    other = [one for one in outputs if isinstance(one, Disconnect)]
    node.book.perform([one for one in outputs if not isinstance(one, Disconnect)])
    return list(other)


@pytest.mark.parametrize("flow", [tls(), tls("other.example"), Flow("UDP", "127.0.0.12", 5060)])
def test_a27_without_its_certificate_the_address_is_nobodys(flow: Flow) -> None:
    node = CoreNode(settings())
    data = invite() if flow.transport == "UDP" else over_tls(invite())
    ended = receive(node, data, flow)
    node.book.silence()
    assert node.counters["unknown_source"] == 1
    assert len(ended) == (flow.transport == "TLS")


def test_a27_within_a_call_too() -> None:
    """Its dialog and its host are not enough: a BYE over another connection ends nothing."""
    node = CoreNode(settings())
    receive(node, over_tls(invite()), tls(*PROVEN))
    node.book.wire_out("SIP/2.0 100")
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200")
    dialog = [f"From: <sip:x@core.example>;tag={ok.from_tag}", f"To: <sip:y@veil.example>;tag={ok.to_tag}"]

    def says(method: str, cseq: int, flow: Flow) -> None:
        via = f"Via: SIP/2.0/{flow.transport} 127.0.0.12:5060;branch=z9hG4bK-{method}{cseq}"
        rows = [via, *dialog, f"Call-ID: {ok.call_id}", f"CSeq: {cseq} {method}"]
        receive(node, render(f"{method} {target_of(ok)} SIP/2.0", rows), flow)

    says("ACK", 1, tls(*PROVEN))
    node.book.wire_out("ACK ", CALLEE)
    for number, flow in enumerate((tls(), tls("other.example"), Flow("UDP", "127.0.0.12", 5060)), 2):
        says("BYE", number, flow)
        node.book.silence()
    assert node.counters["unknown_source"] == 3
    says("BYE", 9, tls(*PROVEN))
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200")
    node.assert_recorded(release_cause="NORMAL", ingress_peer="caller-side")
