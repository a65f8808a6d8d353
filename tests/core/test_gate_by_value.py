"""Fields of which known values cross, the charging identifier, and what privacy a caller may insist on."""

from __future__ import annotations

import pytest

from engine.core.settings import CoreSettings, Profile
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, SETTINGS, A, B, CoreNode, X, with_trunk
from tests.core.parties import B_SDP, Talk, answer, invite, message, start, talking

MMTEL = '+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"'
SMSIP = "+g.3gpp.smsip"


def untrusted(name: str) -> CoreSettings:
    return with_trunk(name, trusted=False)


def sent_for(extra: str, settings: CoreSettings = SETTINGS) -> Message:
    """The callee's INVITE for one of the caller with more rows."""
    return start(CoreNode(settings), invite(extra=extra))


def after_answer(extra: str, status: int, settings: CoreSettings = SETTINGS, contact: str = "") -> Message:
    """What the caller gets for an answer of the callee with more rows."""
    node = CoreNode(settings)
    sent = start(node)
    node.book.wire_in(answer(sent, status, extra=extra, sdp=B_SDP, contact=contact), CALLEE)
    return node.book.wire_out(f"SIP/2.0 {status}", CALLER)


# -- P-Early-Media -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("supported", "supported"),
        ("SendRecv , inactive", "sendrecv, inactive"),
        ("sendonly, recvonly, gated", "sendonly, recvonly, gated"),
        ("supported;x=13800138000", None),
        ("sendrecv, 13800138000, secret", "sendrecv"),
        ("secret", None),
        ("", None),
        (", ".join(["sendrecv"] * 40), ", ".join(["sendrecv"] * 16)),
    ],
)
def test_early_media_crosses_as_words_that_we_know(value: str, expected: str | None) -> None:
    row = f"P-Early-Media: {value}"
    assert sent_for(row).value(h.P_EARLY_MEDIA) == expected
    assert after_answer(row, 183).value(h.P_EARLY_MEDIA) == expected


def test_early_media_is_of_no_use_in_the_2xx() -> None:
    assert after_answer("P-Early-Media: sendrecv", 200).value(h.P_EARLY_MEDIA) is None


@pytest.mark.parametrize("name", ["caller-side", "callee-side"])
def test_early_media_stays_within_the_trust_domain(name: str) -> None:
    """RFC 5009 §6: neither taken from outside nor sent there."""
    settings = untrusted(name)
    assert sent_for("P-Early-Media: supported", settings).value(h.P_EARLY_MEDIA) is None
    assert after_answer("P-Early-Media: sendrecv", 183, settings).value(h.P_EARLY_MEDIA) is None


# -- Accept-Contact and feature tags -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"*;{SMSIP}", f"*;{SMSIP}"),
        (f"* ; {SMSIP} ; Require;EXPLICIT", f"*;{SMSIP};require;explicit"),
        (f"*;{MMTEL.upper()}", f"*;{MMTEL}"),
        (f"*;{MMTEL};{SMSIP};explicit", f"*;{MMTEL};{SMSIP};explicit"),
        (f"*;{SMSIP}, *;{MMTEL}, *;{SMSIP}", f"*;{SMSIP}, *;{MMTEL}"),
        (f"*;{SMSIP};secret", None),
        (f"*;{SMSIP};secret, *;{MMTEL}", f"*;{MMTEL}"),
        (f"secret;{SMSIP}", None),
        ("*;require;explicit", None),
        ('*;+sip.instance="<urn:uuid:secret>"', None),
        (f"*;{SMSIP}=secret", None),
        (MMTEL.replace("mmtel", "mmtel,secret").join(["*;", ""]), None),
        ("*", None),
        ("", None),
    ],
)
def test_accept_contact_crosses_where_all_of_it_is_known(value: str, expected: str | None) -> None:
    for name in ("Accept-Contact", "a"):
        assert sent_for(f"{name}: {value}").value(h.ACCEPT_CONTACT) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("", ""),
        (f";{SMSIP}", f";{SMSIP}"),
        (f" ; {MMTEL.upper()};audio;{SMSIP};video", f";{MMTEL};{SMSIP}"),
        (';+sip.instance="<urn:uuid:secret>";expires=60;q=0.5', ""),
        (f';{MMTEL};{SMSIP};+sip.instance="<urn:gsma:imei:secret>"', f";{MMTEL};{SMSIP}"),
        (f';+sip.instance="<urn:gsma:imei:secret>";{MMTEL};audio, <sip:x@y>;{SMSIP}', f";{MMTEL}"),
        (f';+sip.instance="<a>;{SMSIP}"', ""),
        (f";{SMSIP}=secret", ""),
        (';+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.secret"', ""),
    ],
)
def test_feature_tags_of_our_list_stand_in_our_contact(params: str, expected: str) -> None:
    contact = f"<sip:+86{B}@127.0.0.13:5060>{params}"
    for status in (180, 200):
        got = after_answer("", status, contact=contact).value(h.CONTACT)
        assert got == f"<sip:{X}@127.0.0.11:5060>{expected}"


def test_a_parameter_of_the_uri_is_no_feature_tag() -> None:
    got = after_answer("", 200, contact=f"<sip:{B}@127.0.0.13:5060;{SMSIP};x=1>").value(h.CONTACT)
    assert got == f"<sip:{X}@127.0.0.11:5060>"


def test_feature_tags_cross_in_requests_both_ways() -> None:
    node = CoreNode()
    own = f"Contact: <sip:{A}@127.0.0.12:5060>"
    sent = start(node, invite().replace(own.encode(), f"{own};{MMTEL};+x.secret".encode()))
    assert sent.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>;{MMTEL}"
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    assert talk.ok.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>"
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.from_callee("UPDATE", f"Contact: <sip:{B}@127.0.0.13:5060>;{SMSIP}", sdp=B_SDP)
    update = node.book.wire_out("UPDATE ", CALLER)
    assert update.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>;{SMSIP}"
    node.book.wire_in(answer(update, 200, who=A, contact=f"{own};{SMSIP}".removeprefix("Contact: ")), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLEE).value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>;{SMSIP}"
    talk.hang_up()


# -- P-Charging-Vector -------------------------------------------------------------------------------------------------

VECTOR = "P-Charging-Vector: icid-value=AyretyU0dm;icid-generated-at=192.0.2.7;orig-ioi=home.example;term-ioi=b.example"
ISC = with_trunk("callee-side", profile=Profile.ISC)


def icids(vector: str, settings: CoreSettings = SETTINGS) -> tuple[str | None, object, object]:
    """What the callee gets, and what stands in the record of the call when it has ended."""
    node = CoreNode(settings)
    talk = talking(node, invite(extra=vector))
    talk.hang_up()
    return talk.invite.value(h.P_CHARGING_VECTOR), node.record["icid_in"], node.record["icid_out"]


def test_a_fresh_icid_crosses_and_both_are_recorded() -> None:
    sent, came, went = icids(VECTOR)
    assert (sent, came) == (f"icid-value={went}", "AyretyU0dm")
    assert isinstance(went, str) and len(went) == 20 and went.isalpha() and went.isascii()


def test_each_call_has_an_icid_of_its_own_and_none_where_none_came() -> None:
    node = CoreNode()
    for branch, tag in (("z9hG4bK-a1", "a-tag"), ("z9hG4bK-a2", "a-tag2")):
        data = invite(branch=branch, tag=tag, extra=VECTOR).replace(b"Call-ID: 1", f"Call-ID: {tag}".encode())
        sent = start(node, data)
        node.book.wire_in(answer(sent, 486), CALLEE)
        node.book.wire_out("ACK ", CALLEE)
        node.book.wire_out("SIP/2.0 486", CALLER)
    first, second = (record["icid_out"] for record in node.records)
    assert first and second and first != second
    assert icids("") == (None, "", "")


@pytest.mark.parametrize(
    ("vector", "sent"),
    [
        (VECTOR, "icid-value=AyretyU0dm"),
        (VECTOR.replace("AyretyU0dm", '"0a:1b@c/d=e"'), 'icid-value="0a:1b@c/d=e"'),
        (VECTOR.replace("icid-value=", "ICID-Value = "), "icid-value=AyretyU0dm"),
    ],
)
def test_a_peer_of_the_same_ims_keeps_the_icid_and_nothing_else(vector: str, sent: str) -> None:
    assert icids(vector, ISC)[0] == sent
    assert icids(vector, ISC)[1] == icids(vector, ISC)[2] == sent.partition("=")[2].strip('"')


@pytest.mark.parametrize("text", [A, f"x-{A}-1", f"+86{A}", B, '"two words"', "x" * 129, "ä", '"a\\"b"'])
def test_an_icid_that_may_not_be_repeated_is_replaced(text: str) -> None:
    """One with a real number in it, or one that could not be written again as it came."""
    sent, came, went = icids(f"P-Charging-Vector: icid-value={text}", ISC)
    assert sent == f"icid-value={went}" and isinstance(went, str) and went.isalpha() and len(went) == 20
    assert A not in str(came) and B not in str(came)


def test_charging_stays_within_the_trust_domain() -> None:
    assert icids(VECTOR, untrusted("callee-side")) == (None, "AyretyU0dm", "")
    assert icids(VECTOR, untrusted("caller-side")) == (None, "", "")


def test_the_vector_of_a_response_does_not_cross() -> None:
    for status in (183, 200):
        assert after_answer(VECTOR, status, ISC).value(h.P_CHARGING_VECTOR) is None


def test_a_refused_call_has_no_icid_of_ours() -> None:
    node = CoreNode(bindings=())
    node.book.wire_in(invite(extra=VECTOR), CALLER)
    assert (node.record["icid_in"], node.record["icid_out"]) == ("AyretyU0dm", "")


def test_a_call_that_the_gate_has_stopped_has_no_icid_of_ours() -> None:
    """Its INVITE had been drafted, and never left."""
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Order",)))
    node.book.wire_in(invite(extra=VECTOR), CALLER)
    assert node.record["release_cause"] == "LEAK_STOPPED"
    assert (node.record["icid_in"], node.record["icid_out"]) == ("AyretyU0dm", "")


def test_a_message_has_its_icid_and_what_it_asks_of_the_phone() -> None:
    node = CoreNode()
    node.book.wire_in(message(rows=f"{VECTOR}\nAccept-Contact: *;{SMSIP};require;explicit\nMax-Breadth: 30"), CALLER)
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    assert sent.value(h.P_CHARGING_VECTOR) == f"icid-value={node.record['icid_out']}"
    assert sent.value(h.ACCEPT_CONTACT) == f"*;{SMSIP};require;explicit"
    assert sent.value(h.MAX_BREADTH) == "30"


# -- Max-Forwards and Max-Breadth (conformance 43, 44) -----------------------------------------------------------------


@pytest.mark.parametrize(("came", "sent"), [("1", "0"), ("255", "254"), ("070", "69"), (None, "70")])
def test_max_forwards_is_one_less(came: str | None, sent: str) -> None:
    row = b"" if came is None else f"Max-Forwards: {came}\r\n".encode()
    assert start(CoreNode(), invite().replace(b"Max-Forwards: 70\r\n", row)).value(h.MAX_FORWARDS) == sent


@pytest.mark.parametrize(("came", "sent"), [("60", "60"), ("007", "7"), ("4000000000", "60"), ("0", "0"), (None, None)])
def test_max_breadth_is_kept_and_bounded(came: str | None, sent: str | None) -> None:
    """One target is tried at a time, so no breadth is used up here; without it a loop of forks would start anew."""
    assert sent_for("" if came is None else f"Max-Breadth: {came}").value(h.MAX_BREADTH) == sent


# -- Privacy (conformance 48) ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["id", "id;critical", "header;user ; ID;Critical", "history", "none", "session", "x"])
def test_privacy_that_is_given_or_not_insisted_on(value: str) -> None:
    """The row itself stays here: what it asks for has been done."""
    for settings in (SETTINGS, untrusted("callee-side")):
        sent = sent_for(f"Privacy: {value}", settings)
        assert sent.named("Privacy") == [] and sent.value(h.PRIVACY) is None
        asserted = sent.value(h.P_ASSERTED_IDENTITY)
        assert asserted == (f"<sip:{X}@veil.example>" if settings is SETTINGS else None)


@pytest.mark.parametrize("value", ["session;critical", "critical;none", "id;critical;new-kind", "SESSION,critical"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_privacy_that_cannot_be_given_is_500(method: str, value: str) -> None:
    node = CoreNode()
    row = f"Privacy: {value}"
    node.book.wire_in(invite(extra=row) if method == "INVITE" else message(rows=row), CALLER)
    node.book.wire_out("SIP/2.0 500", CALLER)
    node.book.silence()
    assert node.sent_to(CALLEE) == [] and node.records == []


def test_privacy_in_two_rows_and_within_a_call() -> None:
    node = CoreNode()
    node.book.wire_in(invite(extra="Privacy: session\nPrivacy: critical"), CALLER)
    node.book.wire_out("SIP/2.0 500", CALLER)
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("UPDATE", "Privacy: session;critical", sdp=B_SDP)
    node.book.wire_out("SIP/2.0 500", CALLER)
    talk.hang_up()


@pytest.mark.parametrize("value", ["id", "none", "session;critical"])
def test_privacy_that_the_callee_asks_for_in_its_answer_changes_nothing(value: str) -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 180, extra=f"Privacy: {value}"), CALLEE)
    response = node.book.wire_out("SIP/2.0 180", CALLER)
    assert response.first[h.PRIVACY] is None and response.first[h.P_ASSERTED_IDENTITY] is None


def test_identity_asserted_from_outside_of_the_trust_domain_is_not_believed() -> None:
    """The caller is then who From says; with caller = "pai" nobody."""
    genuine, forged = (f"P-Asserted-Identity: <sip:+86{number}@".encode() for number in (A, B))
    node = CoreNode(untrusted("caller-side"))
    assert start(node, invite().replace(genuine, forged)).value(h.P_ASSERTED_IDENTITY) == f"<sip:{X}@veil.example>"
