"""Requests from the S-CSCF of a peer with profile `isc`: its Route is followed, and nobody else's (RFC 3261 §16.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.settings import CoreSettings, Profile, ServedSide, TargetSettings
from sipstack import headers as h
from sipstack.location import Address, Place
from sipstack.message import Message
from tests.core.corenode import (
    CALLEE,
    CALLER,
    CALLER_SIDE,
    NODE,
    SETTINGS,
    A,
    CoreNode,
    target,
    with_trunk,
)
from tests.core.parties import B_SDP, Talk, answer, invite, message, of_invite, refused, start
from tests.core.restart import restarted

SCSCF = "127.0.0.15:6060"  # of the same peer as the caller's side, and none of its targets
TOKEN = f"<sip:odi-Qx7f@{SCSCF};lr;orig-dialog-id=Gd9s>"
OWN = f"<sip:{NODE};lr>"


def core(**changes: object) -> CoreSettings:
    """One S-CSCF, which both parties are behind."""
    peer = replace(CALLER_SIDE, match=("127.0.0.12", "127.0.0.13", "127.0.0.15"), profile=Profile.ISC)
    routes = tuple(replace(route, peers=(peer.name,)) for route in SETTINGS.routes)
    return replace(SETTINGS, peers=(replace(peer, **changes),), routes=routes)  # type: ignore[arg-type]


def routed(*entries: str, extra: str = "") -> bytes:
    return invite(extra=f"Route: {', '.join(entries)}\n{extra}")


def called(node: CoreNode, *entries: str) -> Message:
    return start(node, routed(*entries), SCSCF)


@pytest.mark.parametrize(
    "own",
    [
        OWN,
        "<sip:veil.example;lr>",
        f"<sip:orig@{NODE};lr>",
        f"<sip:{NODE};lr;term>",
        "<sip:127.0.0.11;lr>",
        f'"AS" <sip:{NODE};lr>;x=y',
    ],
)
def test_a_call_with_the_route_of_the_s_cscf_leaves_through_it(own: str) -> None:
    node = CoreNode(core())
    sent = called(node, own, TOKEN)
    assert sent.values(h.ROUTE) == [TOKEN]
    assert sent.uri_text == "sip:13900139000@127.0.0.15:6060"
    assert (sent.value(h.FROM) or "").startswith("<sip:700123456780001@veil.example>")
    node.book.wire_in(answer(sent, 486), SCSCF)
    assert node.book.wire_out("ACK ", SCSCF).values(h.ROUTE) == [TOKEN]  # RFC 3261 §17.1.1.3
    refused(node, 486, 17)
    node.assert_recorded(
        egress_peer="caller-side",
        attempts=(("caller-side", "sip:127.0.0.15:6060", 486, 0, None, "udp:127.0.0.15:6060"),),
    )


def test_its_cancel_takes_the_same_way() -> None:
    node = CoreNode(core())
    sent = called(node, OWN, TOKEN)
    node.book.wire_in(answer(sent, 180), SCSCF)
    node.book.wire_out("SIP/2.0 180", CALLER)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", SCSCF)
    assert cancel.values(h.ROUTE) == [TOKEN]
    refused(node, 487, 16)
    node.book.wire_in(answer(cancel, 200), SCSCF)
    node.book.wire_in(answer(sent, 487), SCSCF)
    node.book.wire_out("ACK ", SCSCF)


def test_another_run_takes_its_invite_back_where_it_has_gone() -> None:
    first = CoreNode(core())
    sent = called(first, OWN, TOKEN)
    node = restarted(first, core())
    cancel = node.book.wire_out("CANCEL ", SCSCF)
    assert cancel.values(h.VIA) == sent.values(h.VIA) and cancel.uri_text == sent.uri_text
    node.book.silence()  # the target of the route never had it
    node.book.wire_in(answer(cancel, 481), SCSCF)


def test_a_message_with_the_route_of_the_s_cscf_leaves_through_it() -> None:
    node = CoreNode(core())
    node.book.wire_in(message(rows=f"Route: {OWN}\n        Route: {TOKEN}"), CALLER)
    sent = node.book.wire_out("MESSAGE ", SCSCF)
    assert sent.values(h.ROUTE) == [TOKEN]
    node.book.wire_in(answer(sent, 200), SCSCF)
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_several_entries_of_the_peer_stay_in_order() -> None:
    node = CoreNode(core())
    second = "<sip:127.0.0.13:5060;lr>"
    sent = called(node, OWN, TOKEN, second)
    assert sent.values(h.ROUTE) == [TOKEN, second]
    node.book.wire_in(answer(sent, 486), SCSCF)
    node.book.wire_out("ACK ", SCSCF)
    refused(node, 486, 17)


def test_without_an_entry_behind_ours_the_targets_count() -> None:
    node = CoreNode(replace(core(), peers=(replace(core().peers[0], targets=(target(CALLEE),)),)))
    sent = start(node, routed(OWN))
    assert sent.values(h.ROUTE) == []
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


@pytest.mark.parametrize(
    "entries",
    [
        [TOKEN],  # not ours on top
        [f"<sip:127.0.0.77:{NODE[-4:]};lr>", TOKEN],
        [OWN, "<sip:127.0.0.99:5060;lr>"],  # no address of the peer (A23)
        [OWN, "<sip:10.0.0.1:5060;lr>"],
        [OWN, "<sip:169.254.169.254:80;lr>"],
        [OWN, "<sip:224.0.0.1;lr>"],
        [OWN, "<sip:255.255.255.255;lr>"],
        [OWN, "<sip:elsewhere.example;lr>"],
        [OWN, OWN],  # a loop
        [OWN, f"<sip:odi@{SCSCF}>"],  # a strict router
        [OWN, f"<tel:{A}>"],
        [OWN, TOKEN, "<sip:127.0.0.99:5060;lr>"],
        [OWN, f"<sip:odi@{SCSCF};lr;transport=tcp>"],  # nothing listens for its answers
        [OWN, "<sip:[::1]:5060;lr>"],
        [OWN, *[TOKEN] * 8],
        [OWN, f"<sip:odi@{SCSCF};lr;lr>"],  # malformed
    ],
)
def test_a_route_that_leads_elsewhere_is_not_followed(entries: list[str]) -> None:
    node = CoreNode(core())
    node.book.wire_in(routed(*entries), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="NO_ROUTE", decided_by="service_route")


CORE = Place("scscf.example")


@pytest.mark.parametrize(
    ("entry", "goes"),
    [
        ("<sip:odi@scscf.example;lr>", ["127.0.0.15:6060", "127.0.0.13:5060"]),
        ("<sip:odi@SCSCF.example:6060;lr;transport=UDP>", ["127.0.0.15:6060"]),
        ("<sip:odi@scscf.example:5060;lr>", ["127.0.0.13:5060"]),
        ("<sip:odi@scscf.example:7070;lr>", []),
        ("<sip:odi@scscf.example;lr;transport=tcp>", []),
        ("<sips:odi@scscf.example;lr>", []),
    ],
)
def test_a_name_leads_to_its_places_with_that_port_and_transport(entry: str, goes: list[str]) -> None:
    by_name = TargetSettings("sip:scscf.example", "scscf.example", 0, "", place=CORE)
    node = CoreNode(core(targets=(by_name,)))
    node.service.trunks.resolved(
        CORE, (Address("UDP", "127.0.0.15", 6060, 0, 1.0), Address("UDP", "127.0.0.13", 5060, 1, 1.0))
    )
    node.book.wire_in(routed(OWN, entry), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    for place in goes:
        sent = node.book.wire_out("INVITE ", place)
        assert sent.values(h.ROUTE) == [entry]
        node.book.wire_in(answer(sent, 503), place)
        node.book.wire_out("ACK ", place)
    refused(node, *((480, 31) if goes else (403, 21)))


def test_a_trunk_has_no_say_in_where_a_call_goes() -> None:
    node = CoreNode(core(profile=Profile.TRUNK, targets=(target(CALLEE),)))
    sent = start(node, routed(OWN, TOKEN))
    assert sent.values(h.ROUTE) == []
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def test_a_token_with_the_number_of_the_caller_is_stopped() -> None:
    node = CoreNode(core())
    node.book.wire_in(routed(OWN, f"<sip:odi-{A}@{SCSCF};lr>"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED")


SERVED = "P-Served-User: <sip:someone@core.example>;sescase=term;regstate=reg"


@pytest.mark.parametrize(
    ("side", "own", "extra"),
    [
        (ServedSide.ORIG, f"<sip:{NODE};lr;term>", ""),
        (ServedSide.ORIG, f"<sip:TERM@{NODE};lr>", ""),
        (ServedSide.TERM, f"<sip:{NODE};lr;orig>", ""),
        (ServedSide.ORIG, OWN, SERVED),
        (ServedSide.ANY, f"<sip:orig@{NODE};lr>", SERVED),
        (ServedSide.ANY, f"<sip:orig@{NODE};lr;term>", ""),
        (ServedSide.TERM, OWN, SERVED.replace("term", "other")),
    ],
)
def test_the_side_that_is_not_served_is_refused(side: ServedSide, own: str, extra: str) -> None:
    node = CoreNode(core(served_side=side))
    node.book.wire_in(routed(own, TOKEN, extra=extra), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="NO_ROUTE", decided_by="served_side")


@pytest.mark.parametrize(
    ("side", "own", "extra"),
    [
        (ServedSide.TERM, f"<sip:{NODE};lr;term>", SERVED),
        (ServedSide.ORIG, f"<sip:orig@{NODE};lr>", ""),
        (ServedSide.ORIG, OWN, ""),
    ],
)
def test_the_side_that_is_served_is_taken(side: ServedSide, own: str, extra: str) -> None:
    node = CoreNode(core(served_side=side))
    sent = start(node, routed(own, TOKEN, extra=extra), SCSCF)
    node.book.wire_in(answer(sent, 486), SCSCF)
    node.book.wire_out("ACK ", SCSCF)
    refused(node, 486, 17)


def test_the_dialog_goes_on_along_the_route_set_of_each_side() -> None:
    node = CoreNode(core())
    sent = called(node, OWN, TOKEN)
    node.book.wire_in(answer(sent, 200, extra="Record-Route: <sip:rr7@127.0.0.15:6060;lr>", sdp=B_SDP), SCSCF)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    assert node.book.wire_out("ACK ", SCSCF).values(h.ROUTE) == ["<sip:rr7@127.0.0.15:6060;lr>"]
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", SCSCF)
    assert bye.values(h.ROUTE) == ["<sip:rr7@127.0.0.15:6060;lr>"]
    node.book.wire_in(answer(bye, 200), SCSCF)
    node.book.wire_out("SIP/2.0 200", CALLER)


def fields(extra: str, settings: CoreSettings) -> dict[str, list[str]]:
    """What of two fields reaches the callee, in an INVITE and in a MESSAGE alike."""
    node = CoreNode(settings)
    sent = start(node, invite(extra=extra))
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)
    node.book.wire_in(message(rows=extra.replace("\n", "\n        ")), CALLER)
    text = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(text, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    found = {}
    for name in (h.P_ASSERTED_SERVICE, h.REQUEST_DISPOSITION):
        assert sent.values(name) == text.values(name)
        if sent.values(name):
            found[h.CANONICAL[name]] = sent.values(name)
    return found


MMTEL = "urn:urn-7:3gpp-service.ims.icsi.mmtel"
ASKED = f"P-Asserted-Service: URN:urn-7:3gpp-service.ims.icsi.mmtel, urn:x:{A}\nd: No-Fork, parallel, {A}"


def test_service_and_disposition_cross_in_our_words() -> None:
    assert fields(ASKED, SETTINGS) == {"P-Asserted-Service": [MMTEL], "Request-Disposition": ["no-fork, parallel"]}


@pytest.mark.parametrize("name", ["caller-side", "callee-side"])
def test_service_and_disposition_stay_within_the_trust_domain(name: str) -> None:
    assert fields(ASKED, with_trunk(name, trusted=False)) == {}


def test_what_is_not_in_our_lists_does_not_cross() -> None:
    assert fields("P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.other\nd: x", SETTINGS) == {}
