"""A running node behind an S-CSCF, and between two trunks that call each other's numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from sipstack import headers as h
from tests.e2e.conftest import NodeFactory
from tests.e2e.ends import Party, UdpEnd, call
from tests.e2e.stories import A, B

X = f"{BLOCK}0072"
OF_CALLER, OF_CALLEE = 21, 22  # last octets of the S-CSCF's two ports to us
EXTRA = """
[[peer]]
name = "scscf"
match = ["{caller_side}", "{callee_side}"]
targets = ["sip:{callee_side}:5060"]
profile = "isc"
served_side = "orig"

[[route]]
name = "through"
called = "^13[89]"
peers = ["callee-side"]
transit = true
"""


@pytest.fixture
def node(make_node: NodeFactory, place: Place) -> Node:
    made = make_node(extra=EXTRA.format(caller_side=place.host(OF_CALLER), callee_side=place.host(OF_CALLEE)))
    made.bind(Bound(X, A, B))
    made.start()
    return made


@pytest.fixture
def parties(place: Place) -> Iterator[dict[str, Party]]:
    hosts = {"from": place.host(OF_CALLER), "to": place.host(OF_CALLEE), "caller": place.caller, "callee": place.callee}
    ends = {name: UdpEnd(host, place.node) for name, host in hosts.items()}
    yield {name: Party(A if name in ("from", "caller") else B, end) for name, end in ends.items()}
    for end in ends.values():
        end.close()


def test_a_call_with_the_route_of_the_s_cscf_leaves_through_it(
    node: Node, place: Place, parties: dict[str, Party]
) -> None:
    caller, callee = parties["from"], parties["to"]
    token = f"<sip:odi-7f3Q@{place.host(OF_CALLEE)}:5060;lr;orig-dialog-id=x1>"
    rows = [f"Route: <sip:orig@{place.node}:5060;lr>, {token}", f"From: <sip:{A}@ims.example>;tag=a-tag"]
    rows += [f"To: <sip:{X}@ims.example>", "P-Charging-Vector: icid-value=Qx7f3a;orig-ioi=ims.example"]
    rows += ["Call-ID: isc-1", "CSeq: 1 INVITE"]
    caller.ask("INVITE", f"sip:{X}@ims.example", rows)
    invite = callee.take(f"INVITE sip:{B}@")
    assert invite.values(h.ROUTE) == [token]
    assert invite.value(h.P_CHARGING_VECTOR) == "icid-value=Qx7f3a;orig-ioi=ims.example"
    assert A.encode() not in invite.to_bytes()
    callee.answer(invite, 486)
    callee.take("ACK ")
    assert caller.take("SIP/2.0 486").cseq == 1
    [record] = node.records()
    assert (record["mode"], record["egress_peer"], record["release_cause"]) == ("AXB", "scscf", "BUSY")
    assert record["icid_in"] == record["icid_out"] == "Qx7f3a"


def test_a_route_to_a_stranger_is_refused(node: Node, place: Place, parties: dict[str, Party]) -> None:
    rows = [f"Route: <sip:{place.node};lr>, <sip:odi@{place.callee}:5060;lr>", f"From: <sip:{A}@ims.example>;tag=a-tag"]
    rows += [f"To: <sip:{X}@ims.example>", "Call-ID: isc-2", "CSeq: 1 INVITE"]
    parties["from"].ask("INVITE", f"sip:{X}@ims.example", rows)
    parties["from"].take("SIP/2.0 403")
    [record] = node.records()
    assert (record["release_cause"], record["decided_by"]) == ("NO_ROUTE", "service_route")


def test_a_call_and_a_message_in_transit(node: Node, parties: dict[str, Party]) -> None:
    caller, callee = parties["caller"], parties["callee"]
    invite, ok = call(caller, callee, B, "transit-1")
    assert (invite.value(h.FROM) or "").startswith(f"<sip:{A}@{caller.address}>;tag=")
    assert invite.value(h.TO) == f"<sip:{B}@veil.example>" and invite.call_id != "transit-1"
    assert "sip:transit@" in (ok.value(h.CONTACT) or "")
    rows = [f"From: Zhang <sip:{A}@one.example>;tag=m-tag", f"To: <sip:{B}@two.example>", "Call-ID: transit-2"]
    caller.ask("MESSAGE", f"sip:{B}@two.example", [*rows, "CSeq: 2 MESSAGE"], "any body at all")
    message = callee.take(f"MESSAGE sip:{B}@")
    assert message.body == b"any body at all" and message.value(h.CONTENT_TYPE) == "application/sdp"
    assert (message.value(h.FROM) or "").startswith(f"Zhang <sip:{A}@one.example>;tag=")
    callee.answer(message, 200)
    caller.take("SIP/2.0 200")
    records = node.records()
    assert [(one["kind"], one["mode"], one["release_cause"]) for one in records] == [
        ("voice", "transit", "NORMAL"),
        ("message", "transit", "NORMAL"),
    ]
    assert {(one["caller"], one["callee"], one["tel_x"]) for one in records} == {(A, B, "")}
    assert unsound(node.status()["counters"]) == {} and node.verify().is_clean
