"""Networks that are named for charging (orig-ioi, term-ioi): between S-CSCFs of one IMS, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.settings import CoreSettings, Profile
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLEE2, CALLEE_SIDE, CALLER, SETTINGS, A, B, CoreNode, target
from tests.core.parties import B_SDP, answer, invite, message, refused, start

IMS = replace(SETTINGS, peers=tuple(replace(peer, profile=Profile.ISC) for peer in SETTINGS.peers))
ICID = "icid-value=AyretyU0dm"
CAME = f"P-Charging-Vector: {ICID};icid-generated-at=192.0.2.7;orig-ioi=home.example;term-ioi=b.example;x=1"
NETWORKS = ";orig-ioi=home.example;term-ioi=b.example"


class ImsNode(CoreNode):
    """Both sides are charged together."""

    shares = ("icid-value",)


def mixed(name: str, **changes: object) -> CoreSettings:
    """One IMS, but for one trunk."""
    peers = [replace(peer, **changes) if peer.name == name else peer for peer in IMS.peers]  # type: ignore[arg-type]
    return replace(IMS, peers=tuple(peers))


def asked(vector: str, settings: CoreSettings = IMS) -> str | None:
    """What the callee's side is told in an INVITE."""
    return start(ImsNode(settings), invite(extra=vector)).value(h.P_CHARGING_VECTOR)


def answered(vector: str, status: int = 200, settings: CoreSettings = IMS, own: str = CAME) -> Message:
    """What the caller's side, which has itself sent the vector `own`, is answered."""
    node = ImsNode(settings)
    sent = start(node, invite(extra=own))
    node.book.wire_in(answer(sent, status, extra=vector, sdp=B_SDP), CALLEE)
    return node.book.wire_out(f"SIP/2.0 {status}", CALLER)


def test_networks_stay_as_they_came_within_one_ims() -> None:
    assert asked(CAME) == ICID + NETWORKS
    for status in (183, 200):
        assert answered(CAME.replace("AyretyU0dm", "Another"), status).value(h.P_CHARGING_VECTOR) == ICID + NETWORKS


def test_a_message_names_its_networks() -> None:
    node = ImsNode(IMS)
    node.book.wire_in(message(rows=CAME), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    assert sent.value(h.P_CHARGING_VECTOR) == ICID + NETWORKS
    node.book.wire_in(answer(sent, 200, extra=CAME), CALLEE)
    assert node.book.wire_out("SIP/2.0 200", CALLER).value(h.P_CHARGING_VECTOR) is None


@pytest.mark.parametrize("changes", [{"profile": Profile.TRUNK}, {"trusted": False}])
@pytest.mark.parametrize("name", ["caller-side", "callee-side"])
def test_networks_are_named_to_nobody_else(name: str, changes: dict[str, object]) -> None:
    settings = mixed(name, **changes)
    assert "ioi" not in (asked(CAME, settings) or "")
    for status in (183, 200):
        assert answered(CAME, status, settings).value(h.P_CHARGING_VECTOR) is None


@pytest.mark.parametrize(
    ("came", "told"),
    [
        ("orig-ioi=home.example", ";orig-ioi=home.example"),
        ('ORIG-IOI = "Type 3home1.example" ; term-ioi="b"', ';orig-ioi="Type 3home1.example";term-ioi=b'),
        ("orig-ioi=ims.mnc000.mcc460.3gppnetwork.org", ";orig-ioi=ims.mnc000.mcc460.3gppnetwork.org"),
        (f"orig-ioi=n{A}.example;term-ioi=b", ";term-ioi=b"),
        (f"orig-ioi=home;term-ioi={B}", ";orig-ioi=home"),
        ('orig-ioi="a@b";term-ioi="x;y"', ""),
        ('orig-ioi="home\\"x"', ""),
        ("orig-ioi;term-ioi=", ""),
        (f"orig-ioi={'n' * 129}", ""),
        ("transit-ioi=t.example.1;related-icid=other", ""),
    ],
)
def test_only_names_of_networks_cross(came: str, told: str) -> None:
    vector = f"P-Charging-Vector: {ICID};{came}"
    assert asked(vector) == ICID + told
    assert answered(vector).value(h.P_CHARGING_VECTOR) == (ICID + told if told else None)


def test_a_number_in_the_name_of_a_network_is_stopped() -> None:
    node = ImsNode(IMS)
    node.book.wire_in(invite(extra=f"P-Charging-Vector: {ICID};orig-ioi={A[:3]}-{A[3:7]}-{A[7:]}"), CALLER)
    assert node.record["release_cause"] == "LEAK_STOPPED"
    node = ImsNode(IMS)
    sent = start(node, invite(extra=CAME))
    node.book.wire_in(answer(sent, 200, extra=f"P-Charging-Vector: {ICID};term-ioi={B[:3]}-{B[3:7]}-{B[7:]}"), CALLEE)
    assert node.record["release_cause"] == "LEAK_STOPPED"
    assert not any(b"term-ioi" in data for data in node.sent_to(CALLER))


def test_the_receivers_own_identifier_tells_it_nothing() -> None:
    """Its guess at the callee's number comes back whether it is right or not (decision 7)."""
    guess = f"{B[:3]}-{B[3:7]}-{B[7:]}"
    for text in (guess, guess.replace("9", "7")):
        own = f"P-Charging-Vector: icid-value={text}"
        assert answered(CAME, 200, own=own).value(h.P_CHARGING_VECTOR) == f"icid-value={text}{NETWORKS}"


@pytest.mark.parametrize("own", ["", "P-Charging-Vector: orig-ioi=home.example", 'P-Charging-Vector: icid-value="a b"'])
def test_who_has_written_no_identifier_is_answered_none(own: str) -> None:
    assert answered(CAME, 200, own=own).value(h.P_CHARGING_VECTOR) is None
    assert answered("", 200).value(h.P_CHARGING_VECTOR) is None


def test_the_record_has_no_identifier_for_a_trunk_that_was_told_none() -> None:
    """The trunk before it, which could not serve, is trusted and was told one."""
    other = replace(CALLEE_SIDE, name="other", targets=(target(CALLEE2),), match=("127.0.0.14",), trusted=False)
    routes = (*SETTINGS.routes[:1], replace(SETTINGS.routes[1], peers=("callee-side", "other")))
    node = CoreNode(replace(SETTINGS, peers=(*SETTINGS.peers, other), routes=routes))
    first = start(node, invite(extra=CAME))
    node.book.wire_in(answer(first, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    second = node.book.wire_out("INVITE ", CALLEE2)
    assert first.value(h.P_CHARGING_VECTOR) and second.value(h.P_CHARGING_VECTOR) is None
    node.book.wire_in(answer(second, 486), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 486, 17)
    node.assert_recorded(egress_peer="other", icid_in="AyretyU0dm", icid_out="")
