"""What phones, browsers and switches say of their media crosses, in every message that may carry it, both ways."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, A, CoreNode
from tests.core.devices import DEVICES, crossed, written
from tests.core.parties import B_SDP, Talk, answer, invite, start, talking

A_CONTACT = f"<sip:{A}@127.0.0.12:5060>"
RELIABLE = "Require: 100rel\nRSeq: {}"
EACH = pytest.mark.parametrize("device", DEVICES)


def lines(message: Message) -> list[str]:
    """The lines behind t=; the body is as long as its header says, and each line is ended."""
    assert message.value(h.CONTENT_TYPE) == "application/sdp"
    assert message.value(h.CONTENT_LENGTH) == str(len(message.body))
    body = message.body.decode()
    assert body.endswith("\r\n")
    head, *rest = body[:-2].split("\r\nt=0 0\r\n")
    assert head.startswith("v=0\r\no=- ") and head.endswith("\r\ns=-") and len(rest) == 1
    return rest[0].split("\r\n")


def version(message: Message) -> tuple[int, int]:
    """Session id and version of the origin."""
    _, session, number, *_ = message.body.decode().split("\r\n")[1].split(" ")
    return int(session), int(number)


def answered_by(device: str, carrier: Message) -> None:
    """What an answer of the same make must say; a configuration that both have crosses with the offer (decision 12)."""
    assert lines(carrier) == [line.replace("config=400024203fc0;", "") for line in crossed(device, other=True)]


@EACH
def test_offer_of_the_caller_and_answer_of_the_callee(device: str) -> None:
    """Two devices of one make: what they have in common is not left out of the answer."""
    node = CoreNode()
    sent = start(node, invite(sdp=written(device)))
    assert lines(sent) == crossed(device)
    node.book.wire_in(answer(sent, 183, sdp=written(device, other=True)), CALLEE)
    early = node.book.wire_out("SIP/2.0 183", CALLER)
    answered_by(device, early)
    node.book.wire_in(answer(sent, 200, sdp=written(device, other=True)), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert ok.body == early.body  # RFC 3264 §8: nothing has changed, so neither has the version
    talk = Talk(node, sent, ok)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@EACH
def test_late_offer_of_the_callee_and_answer_in_the_ack(device: str) -> None:
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    assert not sent.body and sent.value(h.CONTENT_TYPE) is None
    node.book.wire_in(answer(sent, 200, sdp=written(device)), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    assert lines(talk.ok) == crossed(device)
    talk.from_caller("ACK", sdp=written(device, other=True))
    answered_by(device, node.book.wire_out("ACK ", CALLEE))
    talk.hang_up()


@EACH
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_offer_of_the_callee_within_the_call(device: str, method: str) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_callee(method, sdp=written(device))
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", CALLEE)
    sent = node.book.wire_out(f"{method} ", CALLER)
    assert lines(sent) == crossed(device)
    node.book.wire_in(answer(sent, 200, sdp=written(device, other=True), who=A, contact=A_CONTACT), CALLER)
    answered_by(device, node.book.wire_out("SIP/2.0 200", CALLEE))
    if method == "INVITE":
        talk.from_callee("ACK", cseq=talk.callee_seq)
        node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_refresh_hold_and_resume_count_their_versions() -> None:
    """RFC 3264 §8: the version is as it was when a refresh repeats the description, and one higher when it changed."""
    node = CoreNode()
    talk = talking(node, invite(sdp=written("switch")))
    session, first = version(talk.invite)
    held = written("switch").replace("a=sendonly", "a=inactive").replace("phone 4711 1 ", "phone 4711 2 ")
    back = written("switch").replace("phone 4711 1 ", "phone 4711 3 ")
    for sdp, rises, direction in ((written("switch"), 0, "sendonly"), (held, 1, "inactive"), (back, 2, "sendonly")):
        talk.from_caller("INVITE", sdp=sdp)
        node.book.wire_out("SIP/2.0 100", CALLER)
        sent = node.book.wire_out("INVITE ", CALLEE)
        assert version(sent) == (session, first + rises)
        assert lines(sent) == [line.replace("sendonly", direction) for line in crossed("switch")]
        node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
        assert version(node.book.wire_out("SIP/2.0 200", CALLER)) == version(talk.ok)
        talk.from_caller("ACK", cseq=talk.caller_seq)
        node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


# What a phone on VoLTE says in its first request; of all this only the words of our lists mean anything to the callee.
IMS = """Supported: 100rel, precondition, timer, norefersub, 199
Require: precondition
P-Early-Media: supported
P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel
P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=4600012345678901
Accept-Contact: *;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"
Session-Expires: 1800
Min-SE: 90
Accept: application/sdp, application/3gpp-ims+xml"""
MMTEL = '+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"'
INSTANCE = ';+sip.instance="<urn:gsma:imei:35782411-123456-0>"'


def met(sdp: str) -> str:
    """The same with resources reserved (RFC 3312 §5)."""
    return sdp.replace("curr:qos local none", "curr:qos local sendrecv").replace("phone 4711 1 ", "phone 4711 2 ")


def test_voice_over_lte_with_preconditions() -> None:
    """INVITE, 183 and PRACK, UPDATE when the bearer stands, 180 and PRACK, 200, ACK (TS 24.229 annex A)."""
    node = CoreNode()
    own = f"Contact: {A_CONTACT}"
    message = invite(extra=IMS, sdp=written("volte")).replace(b"Supported: 100rel, timer, replaces, histinfo\r\n", b"")
    sent = start(node, message.replace(own.encode(), f"{own};{MMTEL};audio;video{INSTANCE}".encode()))
    assert sent.values(h.SUPPORTED) == ["100rel, timer, precondition"] and sent.values(h.REQUIRE) == ["precondition"]
    assert (sent.value(h.CONTACT) or "").endswith(f">;{MMTEL}")
    assert sent.value(h.ACCEPT_CONTACT) == f"*;{MMTEL}" and sent.value(h.P_EARLY_MEDIA) == "supported"
    assert (sent.value(h.SESSION_EXPIRES), sent.value(h.MIN_SE)) == ("1800", "90")
    rows = f"{RELIABLE.format(9021)}\nP-Early-Media: sendrecv".replace("100rel", "100rel, precondition")
    node.book.wire_in(answer(sent, 183, extra=rows, sdp=written("volte", other=True)), CALLEE)
    progress = node.book.wire_out("SIP/2.0 183", CALLER)
    assert (progress.value(h.RSEQ), progress.value(h.P_EARLY_MEDIA)) == ("9021", "sendrecv")
    assert progress.values(h.REQUIRE) == ["100rel, precondition"]
    answered_by("volte", progress)
    talk = Talk(node, sent, progress)
    agree(talk, "PRACK", "RAck: 9021 1 INVITE", "")
    changed = agree(talk, "UPDATE", "Require: precondition", met(written("volte")))
    assert "a=curr:qos local sendrecv" in lines(changed) and version(changed)[1] == version(sent)[1] + 1
    node.book.wire_in(answer(sent, 180, extra=RELIABLE.format(9022)), CALLEE)
    assert node.book.wire_out("SIP/2.0 180", CALLER).value(h.RSEQ) == "9022"
    agree(talk, "PRACK", "RAck: 9022 1 INVITE", "")
    node.book.wire_in(answer(sent, 200, extra="Require: timer\nSession-Expires: 1800;refresher=uac"), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert ok.values(h.REQUIRE) == ["timer"] and ok.value(h.SESSION_EXPIRES) == "1800;refresher=uac"
    assert not ok.body and ok.to_tag == progress.to_tag
    talk.from_caller("ACK")
    assert not node.book.wire_out("ACK ", CALLEE).body
    agree(talk, "UPDATE", "Supported: timer\nSession-Expires: 1800;refresher=uac", "")
    talk.hang_up()


def agree(talk: Talk, method: str, extra: str, sdp: str) -> Message:
    """A request of the caller and the callee's 200, with a description where there was one; what the callee got."""
    node = talk.node
    talk.from_caller(method, extra=extra, sdp=sdp, branch=f"z9hG4bK-a{method}{talk.caller_seq}")
    sent = node.book.wire_out(f"{method} ", CALLEE)
    rows = "Session-Expires: 1800;refresher=uac" if "Session-Expires" in extra else ""
    node.book.wire_in(answer(sent, 200, extra=rows, sdp=met(written("volte", other=True)) if sdp else ""), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert ok.method == method and bool(ok.body) == bool(sdp)
    assert (ok.value(h.SESSION_EXPIRES) or "") == rows.removeprefix("Session-Expires: ")
    node.book.silence()
    return sent
