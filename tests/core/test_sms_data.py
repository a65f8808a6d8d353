"""An RP-DATA both ways: read, decided like any message, written anew for the other side, confirmed with 202."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.binding import Binding
from engine.core.records import Step
from engine.core.settings import CallerSource, MessageText
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import (
    CALLEE,
    CALLEE2,
    CALLER,
    CENTRE_A,
    CENTRE_B,
    SETTINGS,
    TWO_TARGETS,
    WALL_AT_START,
    A,
    B,
    CoreNode,
    X,
    axb,
    with_policy,
    with_trunk,
)
from tests.core.parties import answer, refused
from tests.core.sms import (
    GATEWAY_A,
    SCTS,
    SUBMITTED,
    TYPE,
    deliver,
    delivered,
    gsm7,
    reference_of,
    rp_address,
    rp_data,
    septets,
    sms,
    status_report,
    submit,
    submitted,
    tp_address,
    tpdu_of,
    ucs2,
)

BACK = (axb(), axb(caller=B, callee=A))


def send(node: CoreNode, data: bytes, to: str = CALLEE) -> Message:
    node.book.wire_in(data, CALLER)
    return node.book.wire_out("MESSAGE ", to)


def accept(node: CoreNode, sent: Message) -> Message:
    """The other side's SIP answers 202, so does the node; then the time for a report passes."""
    node.book.wire_in(answer(sent, 202), CALLEE)
    ok = node.book.wire_out("SIP/2.0 202 Accepted", CALLER)
    node.book.silence()
    return ok


def test_submit_line_by_line() -> None:
    node = CoreNode()
    sent = send(node, submitted())
    assert sent.top_via is not None
    assert [sent.start_line(), *sent.lines] == [
        f"MESSAGE sip:{CENTRE_B}@127.0.0.13:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.11:5060;branch={sent.top_via.branch};rport",
        "Max-Forwards: 69",
        f"From: <sip:{X}@veil.example>;tag={sent.from_tag}",
        f"To: <sip:{CENTRE_B}@127.0.0.13>",
        f"Call-ID: {sent.call_id}",
        f"CSeq: {sent.cseq} MESSAGE",
        f"P-Asserted-Identity: <sip:{X}@veil.example>",
        f"Content-Type: {TYPE}",
        f"Content-Length: {len(sent.body)}",
    ]
    assert sent.body == rp_data(submit(B), True, reference_of(sent), CENTRE_B)
    node.book.silence()
    node.book.at(0.3)
    ok = accept(node, sent)
    assert not ok.body and ok.value(h.CONTENT_TYPE) is None
    assert [step for step, _ in node.steps] == [Step.OPEN, Step.ANSWER]
    node.book.at(60)
    node.assert_recorded(
        kind="message", tel_x=X, caller=A, callee=B, presented_number=X, parts=1,
        octets=len(submitted().partition(b"\r\n\r\n")[2]),
        callee_call_id=sent.call_id, attempts=(("callee-side", "sip:127.0.0.13:5060", 202, 300, None),),
        answer_time=WALL_AT_START + 0.3, sip_status=202, q850=20, release_cause="UNREACHABLE",
        decided_by="report_timer", release_direction="platform", duration_ms=0,
    )  # fmt: skip


def test_references_are_of_each_side() -> None:
    node = CoreNode()
    ours = set()
    for number in range(4):
        sent = send(node, submitted(branch=f"z9hG4bK-as{number}", call_id=f"{number}-4711@127.0.0.12"))
        ours.add(reference_of(sent))
        accept(node, sent)
    assert len(ours) > 1 and ours != {9}


def test_deliver_line_by_line() -> None:
    node = CoreNode()
    sent = send(node, delivered())
    assert sent.start_line() == f"MESSAGE sip:{B}@127.0.0.13:5060 SIP/2.0"
    assert sent.value(h.FROM) == f"<sip:{X}@veil.example>;tag={sent.from_tag}"
    assert sent.value(h.TO) == f"<sip:{B}@127.0.0.13>"
    assert sent.values(h.P_ASSERTED_IDENTITY) == [f"<sip:{X}@veil.example>"]
    assert sent.body == rp_data(deliver(X), False, reference_of(sent), CENTRE_B)
    assert b"ipsmgw" not in sent.to_bytes()
    accept(node, sent)
    node.book.at(60)
    node.assert_recorded(caller=A, callee=B, tel_x=X)


def test_status_report_goes_to_whoever_sent_the_message() -> None:
    """A's network tells X what became of the message that B has sent through X to A."""
    node = CoreNode()
    sent = send(node, delivered(status_report(A)))
    assert sent.start_line() == f"MESSAGE sip:{B}@127.0.0.13:5060 SIP/2.0"
    assert tpdu_of(sent) == status_report(X)
    accept(node, sent)


@pytest.mark.parametrize("kind", ["Application/VND.3GPP.SMS", f" {TYPE} ;a=b"])
def test_spellings_of_the_type(kind: str) -> None:
    node = CoreNode()
    accept(node, send(node, submitted(kind=kind)))


def test_back_through_x() -> None:
    node = CoreNode(SETTINGS, BACK)
    data = submitted(who=B, centre=CENTRE_B, host=CALLEE, branch="z9hG4bK-bs1", call_id="b-call")
    node.book.wire_in(data, CALLEE)
    sent = node.book.wire_out(f"MESSAGE sip:{CENTRE_A}@127.0.0.12:5060 SIP/2.0", CALLER)
    assert tpdu_of(sent) == submit(A)
    node.book.wire_in(answer(sent, 200, "a-tag", who=A), CALLER)
    node.book.wire_out("SIP/2.0 202", CALLEE)


@pytest.mark.parametrize(
    ("kind", "digits"), [(0x91, f"86{X}"), (0x81, X), (0xA1, X), (0x91, f"86{X[:14]}1"), (0x80, f"0086{X}")]
)
def test_spellings_of_x_in_tp_da(kind: int, digits: str) -> None:
    node = CoreNode(SETTINGS, (axb(x="700123456780001"),))
    sent = send(node, submitted(submit(digits, kind=kind)))
    assert tpdu_of(sent) == submit(B)
    accept(node, sent)


@pytest.mark.parametrize(("kind", "digits"), [(0x91, f"86{A}"), (0x81, A), (0xA1, A)])
def test_spellings_of_the_sender_in_tp_oa(kind: int, digits: str) -> None:
    node = CoreNode()
    sent = send(node, delivered(deliver(digits, kind=kind)))
    assert tpdu_of(sent) == deliver(X)
    accept(node, sent)


def test_three_parts_keep_their_concatenation() -> None:
    node = CoreNode()
    for part in (1, 2, 3):
        header = bytes((5, 0, 3, 0xC7, 3, part))
        text = f"part {part} of three"
        user_data = bytes((7 + len(text),)) + header + septets(text, 1)
        tpdu = submit(flags=0x61, user_data=user_data)
        sent = send(node, submitted(tpdu, branch=f"z9hG4bK-as{part}", call_id=f"{part}-4711@127.0.0.12"))
        assert tpdu_of(sent) == submit(B, flags=0x61, user_data=user_data)
        accept(node, sent)
    node.book.at(60)
    assert [record["parts"] for record in node.records] == [1, 1, 1]


@pytest.mark.parametrize("coding", ["gsm7", "ucs2"])
def test_own_number_in_the_text_is_masked(coding: str) -> None:
    node = CoreNode()
    code = gsm7 if coding == "gsm7" else ucs2
    dcs = b"\0\0" if coding == "gsm7" else b"\0\x08"

    def tpdu(to: str, text: str) -> bytes:
        return bytes((0x21, 77)) + tp_address(to) + dcs + code(text)

    sent = send(node, submitted(tpdu(X, f"call {A} now")))
    assert tpdu_of(sent) == tpdu(B, "call 138****8000 now")
    accept(node, sent)


def test_relay_lets_the_sender_tell_his_own_number() -> None:
    node = CoreNode(with_policy(message_text=MessageText.RELAY))
    sent = send(node, submitted(submit(text=f"call {A}")))
    assert tpdu_of(sent) == submit(B, text=f"call {A}")
    accept(node, sent)


def test_nothing_leaves_and_nothing_is_confirmed_before_its_row() -> None:
    node = CoreNode()
    node.durable = set()
    node.book.wire_in(submitted(), CALLER)
    node.book.silence()
    node.release_held()
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.silence()
    assert node.held[0].step is Step.ANSWER
    assert node.held[0].extra == (reference_of(sent), 9, True, CENTRE_A, "", "1-4711@127.0.0.12")
    node.release_held()
    node.book.wire_out("SIP/2.0 202", CALLER)
    node.book.at(50)
    node.release_held()


@pytest.mark.parametrize("waits", [False, True])
def test_what_is_not_on_record_is_not_confirmed(waits: bool) -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.CLOSE}
    node.store_gives_up = True
    sent = send(node, submitted())
    node.book.wire_in(answer(sent, 202), CALLEE)
    if waits:
        node.book.silence()
        node.book.at(5.1)
    else:
        node.release_held(durable=False)
    refused(node, 500, 41)
    node.assert_recorded(release_cause="INTERNAL", decided_by="store")
    if waits:
        node.release_held()
        node.book.silence()


def test_copies_are_sent_once_and_confirmed_alike() -> None:
    node = CoreNode()
    sent = send(node, submitted())
    node.book.wire_in(submitted(), CALLER)
    node.book.silence()
    ok = accept(node, sent)
    node.book.wire_in(submitted(), CALLER)
    assert node.book.wire_out("SIP/2.0 202", CALLER) == ok


def test_next_target_has_another_reference_and_call_id() -> None:
    node = CoreNode(TWO_TARGETS)
    first = send(node, submitted())
    node.book.wire_in(answer(first, 503), CALLEE)
    second = node.book.wire_out("MESSAGE ", CALLEE2)
    assert second.call_id != first.call_id
    node.book.wire_in(answer(second, 202), CALLEE2)
    node.book.wire_out("SIP/2.0 202", CALLER)


@pytest.mark.parametrize(
    ("status", "told", "q850", "cause"),
    [(404, 404, 1, "UNALLOCATED"), (486, 486, 17, "BUSY")],
)
def test_what_the_other_side_refuses_has_no_report(status: int, told: int, q850: int, cause: str) -> None:
    node = CoreNode()
    node.book.wire_in(answer(send(node, submitted()), status), CALLEE)
    refused(node, told, q850)
    node.assert_recorded(release_cause=cause, decided_by="callee")


def test_a_redirect_is_not_followed() -> None:
    """A short message goes to the centre, or to the callee, of its route; where else it may go is for its network."""
    node = CoreNode(with_trunk("callee-side", follow_redirect=True))
    sent = send(node, submitted())
    node.book.wire_in(answer(sent, 302, contact="<sip:13900139001@b.example>"), CALLEE)
    refused(node, 480, 31)
    node.assert_recorded(release_cause="FORWARDING_REFUSED", decided_by="callee")


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused_alone(node: CoreNode, data: bytes, status: int, q850: int, cause: str, decided_by: str) -> None:
    node.book.wire_in(data, CALLER)
    refused(node, status, q850)
    node.assert_recorded(release_cause=cause, decided_by=decided_by, attempts=(), call_out_time=None)
    assert node.sent_to(CALLEE) == []


def bodied(body: bytes, uri: str = f"sip:+86{CENTRE_A}@core.example", rows: str = "") -> bytes:
    return sms(uri, f"sip:{A}@core.example", body, CALLER, "1-4711@127.0.0.12", SUBMITTED, rows)


UNREADABLE = {
    "empty RP-DATA": b"\0\x09",
    "no RP message": b"hello",
    "octets behind it": rp_data(submit(), True) + b"\0",
    "RP-SMMA": b"\x06\x09",
    "reserved type": b"\x07\x09",
    "name as sender": rp_data(b"\x04\x0e\xd0" + septets("Courier")[:7] + b"\0\0" + SCTS + gsm7("hi"), False),
    "binary data": rp_data(bytes((0x21, 77)) + tp_address(X) + b"\0\x04" + b"\x02ab", True),
    "ports": rp_data(submit(flags=0x61, user_data=b"\x0a\x06\x05\x04\x0b\x84\x23\xf0" + b"abc"), True),
    "command": rp_data(b"\x02\x01\0\0\0" + tp_address(X) + b"\0", True),
    "report in RP-DATA": rp_data(b"\0\0", True),
    "DELIVER from a phone": rp_data(deliver(), True),
    "SUBMIT from a centre": rp_data(submit(), False),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("uri", [f"sip:+86{CENTRE_A}@core.example", f"sip:{X}@veil.example"])
def test_what_cannot_be_read_is_stopped(what: str, uri: str) -> None:
    refused_alone(CoreNode(), bodied(UNREADABLE[what], uri), 403, 21, "LEAK_STOPPED", "body")


def test_encoded_body_is_stopped() -> None:
    data = bodied(rp_data(submit(), True), rows="Content-Transfer-Encoding: base64")
    refused_alone(CoreNode(), data, 403, 21, "LEAK_STOPPED", "body")


def test_number_that_the_mask_does_not_see_is_stopped() -> None:
    node = CoreNode()
    tpdu = bytes((0x21, 77)) + tp_address(X) + b"\0\x08" + ucs2("%31%33%38%30%30%31%33%38%30%30%30")
    refused_alone(node, submitted(tpdu), 403, 21, "LEAK_STOPPED", "disclosure")


@pytest.mark.parametrize(
    ("tpdu", "status", "q850", "cause", "decided_by"),
    [
        (submit("700123456780002"), 404, 1, "NO_BINDING", "bound"),
        (submit(X[:14]), 484, 28, "BAD_NUMBER", "called_number"),
        (submit(X + "1"), 404, 28, "BAD_NUMBER", "called_number"),
        (submit(B), 404, 3, "NO_ROUTE", "called_number"),
        (submit("a100b"), 404, 3, "NO_ROUTE", "called_number"),
    ],
)
def test_tp_da_is_decided_like_a_dialled_number(
    tpdu: bytes, status: int, q850: int, cause: str, decided_by: str
) -> None:
    refused_alone(CoreNode(), submitted(tpdu), status, q850, cause, decided_by)


def test_expired_binding() -> None:
    expired: tuple[Binding, ...] = (axb(expires_at=WALL_AT_START),)
    refused_alone(CoreNode(SETTINGS, expired), submitted(), 404, 1, "BINDING_EXPIRED", "in_force")


def test_stranger_in_tp_oa() -> None:
    data = delivered(deliver("13700137000"))
    refused_alone(CoreNode(), data, 403, 21, "NOT_IN_CALLER_SET", "bound")


@pytest.mark.parametrize("uri", [f"sip:{CENTRE_B}@core.example", f"sip:{X}@veil.example", "sip:sc.core.example"])
def test_submit_is_taken_for_a_centre_of_its_peer_alone(uri: str) -> None:
    data = bodied(rp_data(submit(), True), uri)
    refused_alone(CoreNode(), data, 404, 3, "NO_ROUTE", "called_number")


@pytest.mark.parametrize(
    "who", ["sip:13700137000@core.example", "tel:+8613700137000", "sip:mallory@core.example", "sips:ipsmgw.a.example"]
)
def test_a_subscriber_vouches_for_nobody_else(who: str) -> None:
    """It could write anybody into TP-OA."""
    refused_alone(CoreNode(), delivered(who=who), 403, 21, "NOT_IN_CALLER_SET", "caller_entitled")


@pytest.mark.parametrize("who", [f"sip:+86{CENTRE_A}@core.example", f"tel:+86{CENTRE_A}", f"sip:{A}@core.example"])
def test_a_centre_vouches_and_so_does_the_sender_for_itself(who: str) -> None:
    node = CoreNode()
    accept(node, send(node, delivered(who=who)))


def test_an_untrusted_peer_delivers_nothing() -> None:
    node = CoreNode(with_trunk("caller-side", trusted=False, caller=CallerSource.FROM))
    refused_alone(node, delivered(), 403, 21, "NOT_IN_CALLER_SET", "caller_entitled")


def test_peer_without_a_centre_gets_nothing() -> None:
    node = CoreNode(with_trunk("callee-side", sms_centres=()))
    refused_alone(node, submitted(), 404, 3, "NO_ROUTE", "sms_centre")


def test_peer_to_which_no_report_can_go_sends_nothing() -> None:
    node = CoreNode(with_trunk("caller-side", targets=()))
    refused_alone(node, submitted(), 404, 3, "NO_ROUTE", "report_route")


def test_peers_are_tried_that_have_a_centre() -> None:
    bare = replace(SETTINGS.peers[1], name="bare", match=(), sms_centres=())
    route = replace(SETTINGS.routes[1], peers=("bare", "callee-side"))
    node = CoreNode(replace(SETTINGS, peers=(*SETTINGS.peers, bare), routes=(SETTINGS.routes[0], route)))
    accept(node, send(node, submitted()))
    node.book.at(60)
    assert node.record["egress_peer"] == "callee-side"


def test_draining_takes_none() -> None:
    node = CoreNode()
    node.service.intake.is_draining = True
    refused_alone(node, submitted(), 503, 42, "OVERLOAD", "drain")


def test_addresses_of_the_networks_stay_on_their_side() -> None:
    node = CoreNode()
    sent = send(node, delivered())
    for secret in (rp_address("86" + CENTRE_A)[2:], CENTRE_A.encode(), GATEWAY_A.encode(), tp_address(A)[2:]):
        assert secret not in sent.to_bytes()
    accept(node, sent)
