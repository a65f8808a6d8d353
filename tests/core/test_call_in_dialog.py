"""UPDATE, INFO, PRACK, OPTIONS within a conversation, and requests that belong to none."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, STRANGER, A, B, CoreNode, X
from tests.core.parties import B_SDP, SDP, Talk, answer, answered, invite, ring, sdp_of, start, talking

DTMF = "Content-Type: application/dtmf-relay\n\nSignal=5\nDuration=160"
RELIABLE = "Require: 100rel\nRSeq: {rseq}"
A_CONTACT = f"<sip:{A}@127.0.0.12:5060>"


def early(node: CoreNode, extra: str = "") -> Talk:
    sent = start(node)
    return Talk(node, sent, ring(node, sent, 183, extra=extra))


def busy(node: CoreNode, talk: Talk) -> None:
    node.book.wire_in(answer(talk.invite, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.book.silence()


@pytest.mark.parametrize("stage", ["early", "answered", "talking"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_update_is_carried_and_answered_as_the_far_end_answers(side: str, stage: str) -> None:
    node = CoreNode()
    talk = {"early": early, "answered": answered, "talking": talking}[stage](node)
    near, far = (CALLER, CALLEE) if side == "caller" else (CALLEE, CALLER)
    rows = "Session-Expires: 1800;refresher=uac\nSupported: timer, gruu\nX-Secret: yes"
    (talk.from_caller if side == "caller" else talk.from_callee)(
        "UPDATE", extra=rows, sdp=SDP if side == "caller" else B_SDP
    )
    update = node.book.wire_out("UPDATE ", far)
    assert update.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>"
    assert update.value(h.SESSION_EXPIRES) == "1800;refresher=uac"
    assert update.value(h.SUPPORTED) == "timer"
    assert update.named("X-Secret") == [] and sdp_of(update)["s"] == "-"
    contact = "" if side == "caller" else A_CONTACT
    node.book.wire_in(answer(update, 200, sdp=B_SDP if side == "caller" else SDP, contact=contact), far)
    ok = node.book.wire_out("SIP/2.0 200", near)
    assert ok.method == "UPDATE" and ok.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>" and ok.body
    node.book.silence()
    if stage == "early":
        busy(node, talk)
        return
    if stage == "answered":
        talk.from_caller("ACK")
        node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize(
    ("status", "crosses_as"), [(491, 491), (500, 500), (504, 504), (503, 500), (408, 481), (481, 481)]
)
def test_refused_update(status: int, crosses_as: int) -> None:
    """A 408 never answers what is no INVITE (RFC 4320 §4.2)."""
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("UPDATE", sdp=SDP)
    update = node.book.wire_out("UPDATE ", CALLEE)
    node.book.wire_in(answer(update, status, extra="Retry-After: 3"), CALLEE)
    assert node.book.wire_out(f"SIP/2.0 {crosses_as} ", CALLER).value(h.RETRY_AFTER) == "3"
    node.book.silence()
    talk.hang_up()


def test_update_moves_the_target_of_an_early_dialog() -> None:
    node = CoreNode()
    talk = early(node)
    talk.from_callee("UPDATE", extra=f"Contact: <sip:{B}@127.0.0.13:5098>", sdp=B_SDP)
    update = node.book.wire_out("UPDATE ", CALLER)
    node.book.wire_in(answer(update, 200, sdp=SDP, contact=A_CONTACT), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.from_caller("UPDATE", sdp=SDP)
    node.book.wire_out(f"UPDATE sip:{B}@127.0.0.13:5098 SIP/2.0", "127.0.0.13:5098")
    busy(node, talk)


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_key_presses_cross_byte_for_byte(side: str) -> None:
    node = CoreNode()
    talk = talking(node)
    (talk.from_caller if side == "caller" else talk.from_callee)("INFO", extra=DTMF)
    info = node.book.wire_out("INFO ", CALLEE if side == "caller" else CALLER)
    assert info.body == b"Signal=5\r\nDuration=160\r\n"
    assert info.value(h.CONTENT_TYPE) == "application/dtmf-relay" and info.value(h.CONTACT) is None
    node.book.wire_in(answer(info, 200, contact="<sip:x@10.1.1.1>"), CALLEE if side == "caller" else CALLER)
    ok = node.book.wire_out("SIP/2.0 200", CALLER if side == "caller" else CALLEE)
    assert ok.method == "INFO" and ok.value(h.CONTACT) is None and not ok.body
    talk.hang_up()


@pytest.mark.parametrize("kind", ["application/vnd.nokia-xml", "text/plain", "application/isup"])
def test_other_info_is_415(kind: str) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INFO", extra=f"Content-Type: {kind}\n\n{A}")
    node.book.wire_out("SIP/2.0 415", CALLER)
    node.book.silence()
    talk.hang_up()


def test_body_in_the_answer_to_an_info_stays_behind_but_the_answer_crosses() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INFO")
    info = node.book.wire_out("INFO ", CALLEE)
    node.book.wire_in(answer(info, 200, extra=f"Content-Type: text/plain\n\n{B}"), CALLEE)
    assert not node.book.wire_out("SIP/2.0 200", CALLER).body
    talk.hang_up()


def test_silence_to_an_info_is_silence() -> None:
    """Its sender gives up at the same time as we do (RFC 4320 §4.2)."""
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INFO", extra=DTMF)
    node.book.wire_out("INFO ", CALLEE)
    node.wait(33)
    while node.book.sent:
        node.book.wire_out("INFO ", CALLEE)  # Timer E
    talk.hang_up()


def test_transport_error_to_an_info_is_500_at_once() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INFO", extra=DTMF)
    node.book.wire_out("INFO ", CALLEE)
    node.transport_fails(CALLEE)
    node.book.wire_out("SIP/2.0 500", CALLER)
    talk.hang_up()


def test_prack_of_the_caller_is_in_the_numbers_of_the_callees_dialog() -> None:
    node = CoreNode()
    talk = early(node, RELIABLE.format(rseq=776))
    assert (talk.ok.value(h.RSEQ), talk.ok.value(h.REQUIRE)) == ("776", "100rel")
    node.book.wire_in(answer(talk.invite, 183, extra=RELIABLE.format(rseq=776)), CALLEE)  # until the PRACK comes
    assert node.book.wire_out("SIP/2.0 183", CALLER) == talk.ok
    talk.from_caller("PRACK", extra="RAck: 776 1 INVITE")
    prack = node.book.wire_out("PRACK ", CALLEE)
    assert prack.value(h.RACK) == f"776 {talk.invite.cseq} INVITE"
    assert (prack.cseq, prack.to_tag) == (talk.invite.cseq + 1, "b-tag")
    node.book.wire_in(answer(prack, 200), CALLEE)
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "PRACK"
    busy(node, talk)


def test_prack_of_the_callee_for_a_reinvite_of_its_own() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_callee("INVITE", sdp=B_SDP)
    node.book.wire_out("SIP/2.0 100", CALLEE)
    again = node.book.wire_out("INVITE ", CALLER)
    node.book.wire_in(answer(again, 183, extra=RELIABLE.format(rseq=5), contact=A_CONTACT), CALLER)
    assert node.book.wire_out("SIP/2.0 183", CALLEE).value(h.RSEQ) == "5"
    talk.from_callee("PRACK", extra=f"RAck: 5 {talk.callee_seq} INVITE")
    prack = node.book.wire_out("PRACK ", CALLER)
    assert prack.value(h.RACK) == f"5 {again.cseq} INVITE"
    node.book.wire_in(answer(prack, 200, contact=A_CONTACT), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.book.wire_in(answer(again, 488, contact=A_CONTACT), CALLER)
    node.book.wire_out("ACK ", CALLER)
    node.book.wire_out("SIP/2.0 488", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize(
    ("row", "status"), [("RAck: 776 99 INVITE", 481), ("", 400), ("RAck: 776", 400), ("RAck: 1 1 INVITE", 481)]
)
def test_prack_that_matches_nothing(row: str, status: int) -> None:
    node = CoreNode()
    talk = early(node, RELIABLE.format(rseq=776))
    talk.from_caller("PRACK", extra=row)
    node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    busy(node, talk)


def test_options_in_the_dialog_is_answered_here() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_callee("OPTIONS")
    ok = node.book.wire_out("SIP/2.0 200", CALLEE)
    assert ok.value(h.ALLOW) == "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, PRACK, UPDATE, INFO"
    node.book.silence()
    talk.hang_up()


@pytest.mark.parametrize("method", ["REFER", "NOTIFY", "SUBSCRIBE", "PUBLISH", "FOO"])
def test_methods_that_are_not_carried_are_405(method: str) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_callee(method, extra=f"Refer-To: <sip:{A}@127.0.0.12>\nEvent: refer")
    assert node.book.wire_out("SIP/2.0 405", CALLEE).value(h.ALLOW)
    node.book.silence()
    talk.hang_up()


@pytest.mark.parametrize("row", ["Require: replaces", "Proxy-Require: sec-agree"])
def test_required_extension_in_the_dialog_is_420(row: str) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("UPDATE", extra=row, sdp=SDP)
    assert node.book.wire_out("SIP/2.0 420", CALLER).named("Unsupported") == [row.split(": ")[1]]
    node.book.silence()
    talk.hang_up()


def test_hops_that_are_used_up_are_483() -> None:
    node = CoreNode()
    talk = talking(node)
    node.book.wire_in(in_bytes(talk, "INFO").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"), CALLER)
    node.book.wire_out("SIP/2.0 483", CALLER)
    talk.caller_seq += 1
    talk.from_caller("INFO", extra=DTMF)
    assert node.book.wire_out("INFO ", CALLEE).max_forwards() == 69
    talk.hang_up()


def in_bytes(talk: Talk, method: str) -> bytes:
    """What `from_caller` would send, in another node's ear."""
    heard: list[bytes] = []
    ear = Talk(CoreNodeEar(heard), talk.invite, talk.ok, talk.tag, talk.caller_seq, talk.callee_seq)  # type: ignore[arg-type]
    ear.from_caller(method)
    return heard[0]


class CoreNodeEar:
    """Takes a message down instead of answering it."""

    def __init__(self, heard: list[bytes]) -> None:
        self.book = self
        self._heard = heard

    def wire_in(self, message: bytes, source: str) -> None:
        self._heard.append(message)


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "INVITE", "OPTIONS", "PRACK"])
def test_number_that_is_not_higher_is_500(method: str) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INFO", extra=DTMF, cseq=10)
    info = node.book.wire_out("INFO ", CALLEE)
    node.book.wire_in(answer(info, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    for number in (9, 10):
        talk.from_caller(method, cseq=number, branch=f"z9hG4bK-alow{number}")
        node.book.wire_out("SIP/2.0 500", CALLER)  # §12.2.2
        node.book.silence()
    talk.caller_seq = 10
    talk.hang_up()


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "INVITE", "PRACK", "OPTIONS", "REFER"])
@pytest.mark.parametrize("wrong", ["To", "From", "Call-ID"])
def test_request_of_no_dialog_is_481(method: str, wrong: str) -> None:
    node = CoreNode()
    talk = talking(node)
    message = in_bytes(talk, method)
    swaps = {
        "To": (f"tag={talk.ok.to_tag}", "tag=nobody"),
        "From": ("tag=a-tag", "tag=a-tag2"),
        "Call-ID": ("1-4711", "2-4711"),
    }
    old, new = swaps[wrong]
    node.book.wire_in(message.replace(old.encode(), new.encode()).replace(b"z9hG4bK-a", b"z9hG4bK-a-wrong"), CALLER)
    node.book.wire_out("SIP/2.0 481", CALLER)
    node.book.silence()
    talk.hang_up()
    assert len(node.records) == 1


def test_stray_acks_are_answered_nothing() -> None:
    node = CoreNode()
    talk = talking(node)
    ack = in_bytes(talk, "ACK")
    node.book.wire_in(ack.replace(talk.ok.to_tag.encode(), b"nobody").replace(b"-aACK1", b"-aACK9"), CALLER)
    node.book.wire_in(ack.replace(b"CSeq: 1 ", b"CSeq: 9 ").replace(b"-aACK1", b"-aACK8"), CALLER)
    node.book.wire_in(ack, STRANGER)
    node.book.silence()
    assert node.counters["stray_acks"] == 3
    talk.hang_up()


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "UPDATE"])
@pytest.mark.parametrize(("source", "status"), [(STRANGER, 0), (CALLEE, 481)])
def test_right_identifiers_from_the_wrong_place(method: str, source: str, status: int) -> None:
    """A sniffed dialog is worth nothing from elsewhere (A20): the other trunk gets 481, who is nobody gets nothing."""
    node = CoreNode()
    talk = talking(node)
    talk.from_caller(method, cseq=2_000_000, branch="z9hG4bK-aforged", source=source)
    assert [sent.data[:11] for sent in node.book.sent] == ([b"SIP/2.0 481"] if status else [])
    node.echoes.update(sent.data for sent in node.book.sent)
    node.book.sent.clear()
    assert node.context.attempts
    talk.hang_up()  # the number was not taken note of either


def test_requests_come_from_the_host_of_the_contact_too() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP, contact=f"<sip:{B}@10.5.5.5:5070>"), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", "10.5.5.5:5070")
    talk.from_callee("INFO", extra=DTMF, source="10.5.5.5:5070")
    info = node.book.wire_out("INFO ", CALLER)
    node.book.wire_in(answer(info, 200, contact=A_CONTACT), CALLER)
    node.book.wire_out("SIP/2.0 200", "10.5.5.5:5070")
    talk.from_callee("BYE", source="10.5.5.5:5070")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, contact=A_CONTACT), CALLER)
    node.book.wire_out("SIP/2.0 200", "10.5.5.5:5070")


@pytest.mark.parametrize("contact", ["224.0.0.1", "255.255.255.255", "0.0.0.0", "phone.example"])
def test_contact_that_is_no_address_of_a_host_is_not_sent_to(contact: str) -> None:
    """A22: our requests stay with the host that the dialog came from."""
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP, contact=f"<sip:{B}@{contact}>"), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out(f"ACK sip:{B}@{contact} SIP/2.0", CALLEE)
    talk.hang_up()


def test_requests_after_the_end_was_decided_are_481() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    talk = talking(node)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    talk.from_callee("UPDATE", sdp=B_SDP)
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    talk.from_callee("OPTIONS")
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_callee("INFO", extra=DTMF)
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.book.silence()


def test_required_extensions_that_cross() -> None:
    node = CoreNode()
    sent = start(node, invite(extra="Require: 100rel\nSession-Expires: 90\nMin-SE: 90"))
    assert (sent.value(h.REQUIRE), sent.value(h.SESSION_EXPIRES), sent.value(h.MIN_SE)) == ("100rel", "90", "90")
    busy(node, Talk(node, sent, sent))
