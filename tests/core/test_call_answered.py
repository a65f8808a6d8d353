"""A call that comes about: byte for byte, ended by either side, and back through X."""

from __future__ import annotations

import re

import pytest

from engine.core.records import Step
from engine.core.settings import SessionTimer
from sipstack import headers as h
from sipstack.message import Message
from sipstack.testing.playbook import wire
from tests.core.corenode import CALL_ID, CALLEE, CALLER, TWO_TARGETS, WALL_AT_START, A, B, CoreNode, X, with_policy
from tests.core.parties import B_SDP, Talk, answer, answered, invite, ring, sdp_of, start, talking, trying
from tests.core.restart import thawed

OUR_CONTACT = f"<sip:{X}@127.0.0.11:5060>"
OUR_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, PRACK, UPDATE, INFO"
LETTERS = re.compile("[a-zA-F]{13,20}")


def lines_of(message: Message) -> list[str]:
    return [message.start_line(), *message.lines]


def test_invite_to_callee_is_the_reference_line_by_line() -> None:
    node = CoreNode()
    node.book.wire_in(invite(), CALLER)
    trying = node.book.wire_out("SIP/2.0 100 Trying", CALLER)
    assert lines_of(trying) == [
        "SIP/2.0 100 Trying",
        "Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-a1;rport=5060;received=127.0.0.12",
        f'From: "Zhang San" <sip:+86{A}@core.example>;tag=a-tag',
        f"To: <sip:{X}@veil.example>",
        f"Call-ID: {CALL_ID}",
        "CSeq: 1 INVITE",
        "Content-Length: 0",
    ]
    sent = node.book.wire_out("INVITE ", CALLEE)
    via = sent.top_via
    assert via is not None
    assert lines_of(sent) == [
        f"INVITE sip:{B}@127.0.0.13:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.11:5060;branch={via.branch};rport",
        "Max-Forwards: 69",
        f"From: <sip:{X}@veil.example>;tag={sent.from_tag}",
        f"To: <sip:{B}@127.0.0.13>",
        f"Call-ID: {sent.call_id}",
        f"CSeq: {sent.cseq} INVITE",
        f"Contact: {OUR_CONTACT}",
        f"P-Asserted-Identity: <sip:{X}@veil.example>",
        f"Allow: {OUR_ALLOW}",
        "Supported: 100rel, timer",
        "Content-Type: application/sdp",
        f"Content-Length: {len(sent.body)}",
    ]
    assert all(LETTERS.fullmatch(token) for token in (via.branch.removeprefix("z9hG4bK"), sent.from_tag, sent.call_id))
    description = sdp_of(sent)
    session = re.fullmatch(r"- (\d+) (\d+) IN IP4 127\.0\.0\.11", description["o"])
    assert session is not None
    assert (description["s"], description["c"], description["m"]) == (
        "-",
        "IN IP4 10.1.2.3",
        "audio 40000 RTP/AVP 8 101",
    )
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


def test_answer_to_caller_is_the_reference_line_by_line() -> None:
    node = CoreNode()
    sent = start(node)
    answered_with = answer(
        sent, 200, extra="Record-Route: <sip:10.9.9.9;lr>\nSupported: 100rel, timer, replaces", sdp=B_SDP
    )
    node.book.wire_in(answered_with, CALLEE)
    ok = node.book.wire_out("SIP/2.0 200 OK", CALLER)
    assert lines_of(ok) == [
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-a1;rport=5060;received=127.0.0.12",
        f'From: "Zhang San" <sip:+86{A}@core.example>;tag=a-tag',
        f"To: <sip:{X}@veil.example>;tag={ok.to_tag}",
        f"Call-ID: {CALL_ID}",
        "CSeq: 1 INVITE",
        f"Contact: {OUR_CONTACT}",
        f"Allow: {OUR_ALLOW}",
        "Supported: 100rel, timer",
        "Content-Type: application/sdp",
        f"Content-Length: {len(ok.body)}",
    ]
    assert LETTERS.fullmatch(ok.to_tag)
    assert sdp_of(ok)["c"] == "IN IP4 10.9.2.3"

    talk = Talk(node, sent, ok)
    talk.from_caller("ACK")
    ack = node.book.wire_out("ACK ", "10.9.9.9:5060")
    assert lines_of(ack) == [
        f"ACK sip:{B}@127.0.0.13:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.11:5060;branch={ack.top_via.branch if ack.top_via else ''};rport",
        "Max-Forwards: 70",
        "Route: <sip:10.9.9.9;lr>",
        f"From: <sip:{X}@veil.example>;tag={sent.from_tag}",
        f"To: <sip:{B}@127.0.0.13>;tag=b-tag",
        f"Call-ID: {sent.call_id}",
        f"CSeq: {sent.cseq} ACK",
        "Content-Length: 0",
    ]
    talk.from_caller("BYE")
    bye = node.book.wire_out(f"BYE sip:{B}@127.0.0.13:5060 SIP/2.0", "10.9.9.9:5060")
    assert (bye.cseq, bye.to_tag, bye.value(h.ROUTE)) == (sent.cseq + 1, "b-tag", "<sip:10.9.9.9;lr>")
    assert bye.value(h.REASON) == "Q.850;cause=16"
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_route_set_of_the_caller_is_taken_from_its_record_route() -> None:
    node = CoreNode()
    rows = "Record-Route: <sip:127.0.0.12:5070;lr>\nRecord-Route: <sip:10.1.1.1;lr>"
    talk = answered(node, message=invite(extra=rows))
    assert talk.ok.values(h.RECORD_ROUTE) == ["<sip:127.0.0.12:5070;lr>", "<sip:10.1.1.1;lr>"]  # §12.1.1
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.from_callee("BYE")
    bye = node.book.wire_out(f"BYE sip:{A}@127.0.0.12:5060 SIP/2.0", "127.0.0.12:5070")
    assert bye.values(h.ROUTE) == ["<sip:127.0.0.12:5070;lr>", "<sip:10.1.1.1;lr>"]
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)


def test_ended_by_caller() -> None:
    node = CoreNode()
    sent = start(node)
    trying(node, sent)
    node.book.at(1.5)
    ring(node, sent)
    node.book.at(4.25)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.book.at(64.5)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.silence()  # the 200 waits for the record
    node.book.at(64.6)
    node.book.wire_in(answer(bye, 200), CALLEE)
    assert node.book.wire_out("SIP/2.0 200 OK", CALLER).method == "BYE"
    node.book.silence()

    assert [step for step, _ in node.steps] == [Step.OPEN, Step.ANSWER, Step.CLOSE]
    node.assert_recorded(
        kind="voice", node="veil-test", mode="AXB", subs_id="subs-1", binding_version=1, app_platform="ap-demo",
        business_user="bu-express", order_id="order-1", scenario="express", tel_x=X, tel_y="", caller=A, callee=B,
        presented_number=X, ingress_peer="caller-side", egress_peer="callee-side",
        attempts=(("callee-side", "sip:127.0.0.13:5060", 200, 4250, 200),), caller_call_id=CALL_ID,
        callee_call_id=sent.call_id, call_time=WALL_AT_START, call_out_time=WALL_AT_START,
        ring_time=WALL_AT_START + 1.5, answer_time=WALL_AT_START + 4.25, release_time=WALL_AT_START + 64.5,
        ring_ms=2750, duration_ms=60250, duration_source="monotonic", bill_seconds=61, release_direction="caller",
        release_cause="NORMAL", sip_status=200, q850=16, decided_by="caller", caller_cseq=1,
        caller_branch="z9hG4bK-a1",
    )  # fmt: skip


def test_ended_by_callee() -> None:
    node = CoreNode()
    talk = talking(node)
    node.book.at(10)
    talk.from_callee("BYE", extra=f'Reason: Q.850;cause=16;text="{B}"')
    bye = node.book.wire_out(f"BYE sip:{A}@127.0.0.12:5060 SIP/2.0", CALLER)
    assert (bye.from_tag, bye.to_tag, bye.call_id) == (talk.ok.to_tag, "a-tag", CALL_ID)
    assert bye.values(h.REASON) == ["Q.850;cause=16"]
    assert bye.value(h.FROM) == f"<sip:{X}@veil.example>;tag={talk.ok.to_tag}"
    node.book.silence()
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.wire_out("SIP/2.0 200 OK", CALLEE)
    node.book.silence()
    node.assert_recorded(
        release_direction="callee", release_cause="NORMAL", decided_by="callee", sip_status=200, duration_ms=10000,
        bill_seconds=10, ring_time=None, ring_ms=0, attempts=(("callee-side", "sip:127.0.0.13:5060", 200, 0, 200),),
    )  # fmt: skip


def test_opened_row_holds_what_is_known_and_the_answered_one_both_dialogs() -> None:
    node = CoreNode()
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.silence()  # nothing to the callee before the open row
    (opened,) = node.held
    assert (opened.step, opened.extra) == (Step.OPEN, None)
    row = node.steps[0][1]
    assert (row["caller"], row["callee"], row["egress_peer"], row["release_cause"]) == (A, B, "callee-side", "")
    node.release_held()
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.silence()  # no 2xx before the answered row
    (stored,) = node.held
    assert stored.step is Step.ANSWER
    frozen = thawed(stored.extra)
    assert frozen.caller.call_id == CALL_ID
    assert (frozen.callee.call_id, frozen.callee.local_seq) == (sent.call_id, sent.cseq)
    assert frozen.answer_flow == ("UDP", "127.0.0.12", 5060, "127.0.0.11 5060")
    node.release_held()
    assert node.sent_to(CALLER)[-1] == frozen.answer
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()  # no 200 to the BYE before the end is durable
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_callee_calls_back_through_x() -> None:
    node = CoreNode()
    node.book.wire_in(
        wire(
            f"""INVITE sip:{X}@veil.example SIP/2.0
            Via: SIP/2.0/UDP 127.0.0.13:5060;branch=z9hG4bK-b1
            From: "Li Si" <sip:{B}@core.example>;tag=b-tag
            To: <sip:{X}@veil.example>
            Call-ID: back@127.0.0.13
            CSeq: 7 INVITE
            Contact: <sip:{B}@127.0.0.13:5060>"""
        ),
        CALLEE,
    )
    node.book.wire_out("SIP/2.0 100", CALLEE)
    sent = node.book.wire_out(f"INVITE sip:{A}@127.0.0.12:5060 SIP/2.0", CALLER)
    assert sent.value(h.FROM) == f"<sip:{X}@veil.example>;tag={sent.from_tag}"
    assert sent.max_forwards() == 70  # none came
    node.book.wire_in(answer(sent, 180, "a-tag", who=A, contact=f"<sip:{A}@127.0.0.12:5060>"), CALLER)
    node.book.wire_out("SIP/2.0 180", CALLEE)
    node.book.wire_in(answer(sent, 486, "a-tag", who=A, contact=f"<sip:{A}@127.0.0.12:5060>"), CALLER)
    node.book.wire_out("ACK ", CALLER)
    assert node.book.wire_out("SIP/2.0 486", CALLEE).value(h.REASON) == "Q.850;cause=17"
    node.assert_recorded(caller=B, callee=A, tel_x=X, egress_peer="caller-side", release_cause="BUSY", sip_status=486)


@pytest.mark.parametrize(("status", "wait_s", "recorded"), [(481, 0.0, 481), (408, 0.1, 408), (200, 0.3, None)])
def test_answer_to_the_relayed_bye_stands_in_the_record(status: int, wait_s: float, recorded: int | None) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.wait(wait_s)  # after 200 ms the record goes without it
    node.book.wire_in(answer(bye, status), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(attempts=(("callee-side", "sip:127.0.0.13:5060", 200, 0, recorded),), release_cause="NORMAL")


def test_silence_to_the_relayed_bye_holds_up_nothing() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_callee("BYE")
    node.book.wire_out("BYE ", CALLER)
    node.book.at(0.19)
    node.book.silence()
    node.book.at(0.21)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.book.silence()
    attempts = node.record["attempts"]
    assert isinstance(attempts, tuple) and attempts[0][4] is None
    node.book.at(0.6)
    node.book.wire_out("BYE ", CALLER)  # Timer E


def test_transport_failure_of_the_relayed_bye_ends_the_call() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("BYE")
    node.book.wire_out("BYE ", CALLEE)
    node.transport_fails(CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(release_cause="NORMAL")


def test_second_target_is_never_asked_when_the_first_answers() -> None:
    node = CoreNode(TWO_TARGETS)
    talk = talking(node)
    talk.hang_up()
    assert len(node.sent_to("127.0.0.14:5060")) == 0


def test_max_call_s_ends_both_sides() -> None:
    node = CoreNode(with_policy(session_timer=SessionTimer.OFF))
    talking(node)
    node.book.at(14399.9)
    node.book.silence()
    node.book.at(14400.01)
    to_caller = node.book.wire_out("BYE ", CALLER)
    to_callee = node.book.wire_out("BYE ", CALLEE)
    assert to_caller.values(h.REASON) == to_callee.values(h.REASON) == ["Q.850;cause=31"]
    node.book.wire_in(answer(to_callee, 200), CALLEE)
    node.book.wire_in(answer(to_caller, 200, who=A), CALLER)
    node.book.silence()
    node.assert_recorded(
        release_cause="MAX_DURATION", release_direction="platform", decided_by="max_call_timer",
        sip_status=200, q850=31, bill_seconds=14400,
    )  # fmt: skip
