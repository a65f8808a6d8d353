"""Whoever is no peer is told nothing, and loses the connection by what a peer would be answered (contract §4)."""

from __future__ import annotations

import pytest

from sipstack.events import Disconnect
from sipstack.testing.playbook import flow_of
from tests.core.corenode import CALLER, CoreNode
from tests.core.parties import invite
from tests.sipstack.transaction_bench import request

STRANGER = "192.0.2.66:4711"

REQUESTS = {
    "INVITE": invite(),
    "OPTIONS": request("OPTIONS"),
    "in a dialog": request("BYE", to_tag=";tag=x"),
    "ACK": request("ACK", to_tag=";tag=x"),
    "CANCEL": request("CANCEL"),
    "no SIP": b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_stranger_loses_the_connection(what: str, transport: str) -> None:
    node = CoreNode()
    flow = flow_of(f"{transport}:{STRANGER}")
    [output] = node.service.receive(REQUESTS[what], flow, node.book.now)
    assert isinstance(output, Disconnect)
    assert output.flow == flow
    assert node.counters["unknown_source"] == 1


@pytest.mark.parametrize("what", REQUESTS)
def test_stranger_on_udp_has_none(what: str) -> None:
    node = CoreNode()
    assert node.service.receive(REQUESTS[what], flow_of(STRANGER), node.book.now) == []


@pytest.mark.parametrize("what", [what for what in REQUESTS if what != "INVITE"])
def test_peer_keeps_it(what: str) -> None:
    node = CoreNode()
    outputs = node.service.receive(REQUESTS[what], flow_of(f"tcp:{CALLER}"), node.book.now)
    assert not any(isinstance(output, Disconnect) for output in outputs)
