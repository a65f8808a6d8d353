"""A message both ways: delivered once, confirmed when it is delivered and recorded (RFC 3428)."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLEE2, CALLER, TWO_TARGETS, WALL_AT_START, A, B, CoreNode, X, with_policy
from tests.core.parties import TEXT, answer, message, refused, send, talking

FIRST = "sip:127.0.0.13:5060"
SECOND = "sip:127.0.0.14:5060"


def test_delivered_line_by_line() -> None:
    node = CoreNode()
    sent = send(node)
    assert sent.top_via is not None
    assert [sent.start_line(), *sent.lines] == [
        f"MESSAGE sip:{B}@127.0.0.13:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.11:5060;branch={sent.top_via.branch};rport",
        "Max-Forwards: 69",
        f"From: <sip:{X}@veil.example>;tag={sent.from_tag}",
        f"To: <sip:{B}@127.0.0.13>",
        f"Call-ID: {sent.call_id}",
        f"CSeq: {sent.cseq} MESSAGE",
        f"P-Asserted-Identity: <sip:{X}@veil.example>",
        "Content-Type: text/plain;charset=UTF-8",
        f"Content-Length: {len(sent.body)}",
    ]
    assert sent.body == f"{TEXT}\r\n".encode()
    node.book.silence()  # nothing to the sender before the callee's answer
    node.book.at(0.3)
    node.book.wire_in(answer(sent, 200, extra=f"Content-Type: text/plain\n\n{B}"), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200 OK", CALLER)
    assert [ok.start_line(), *ok.lines] == [
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-am1",
        f'From: "Zhang San" <sip:{A}@core.example>;tag=a-tag',
        f"To: <sip:{X}@veil.example>;tag={ok.to_tag}",
        "Call-ID: 1-4711@127.0.0.12",
        "CSeq: 7 MESSAGE",
        "Content-Length: 0",
    ]
    node.book.silence()
    assert [step for step, _ in node.steps] == [Step.OPEN, Step.CLOSE]
    node.assert_recorded(
        kind="message", mode="AXB", subs_id="subs-1", tel_x=X, caller=A, callee=B, presented_number=X, parts=1,
        octets=len(sent.body), caller_call_id="1-4711@127.0.0.12", callee_call_id=sent.call_id,
        attempts=(("callee-side", FIRST, 200, 300, None),), call_time=WALL_AT_START, call_out_time=WALL_AT_START,
        answer_time=WALL_AT_START + 0.3, release_time=WALL_AT_START + 0.3, ring_time=None, ring_ms=0, duration_ms=0,
        bill_seconds=0, release_direction="callee", release_cause="NORMAL", sip_status=200, q850=16,
        ingress_peer="caller-side", egress_peer="callee-side", caller_cseq=7, caller_branch="z9hG4bK-am1",
    )  # fmt: skip


def test_nothing_leaves_before_its_row_on_either_side() -> None:
    node = CoreNode()
    node.durable = set()
    node.book.wire_in(message(), CALLER)
    node.book.silence()
    node.release_held()
    sent = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.silence()
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_from_its_lookup_to_its_end_it_leaves_one_timer_in_the_wheel() -> None:
    node = CoreNode()
    node.book.wire_in(answer(send(node), 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    assert (node.context.wheel.entries, len(node.context.wheel)) == (1, 0)


def test_stored_by_the_callee_is_202() -> None:
    node = CoreNode()
    node.book.wire_in(answer(send(node), 202), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLER)
    node.assert_recorded(sip_status=202, release_cause="NORMAL")


def test_back_through_x() -> None:
    node = CoreNode()
    swapped = (
        message().replace(A.encode(), B.encode()).replace(b"127.0.0.12", b"127.0.0.13").replace(b"a-tag", b"b-tag")
    )
    node.book.wire_in(swapped.replace(b"Zhang San", b"Li Si").replace(b"-am1", b"-bm1"), CALLEE)
    sent = node.book.wire_out(f"MESSAGE sip:{A}@127.0.0.12:5060 SIP/2.0", CALLER)
    assert sent.value(h.FROM) == f"<sip:{X}@veil.example>;tag={sent.from_tag}"
    node.book.wire_in(answer(sent, 200, "a-tag", who=A), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.assert_recorded(caller=B, callee=A, egress_peer="caller-side")


def test_copies_are_delivered_once_and_confirmed_alike() -> None:
    node = CoreNode()
    sent = send(node)
    for _ in range(4):
        node.book.wire_in(message(), CALLER)
    node.book.silence()
    node.book.wire_in(answer(sent, 200), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(message(), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLER) == ok
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.silence()
    assert len(node.records) == 1


def test_unanswered_message_is_repeated_and_given_up_after_20_s() -> None:
    node = CoreNode(TWO_TARGETS)
    first = send(node)
    node.book.at(19.9)
    assert {sent.data for sent in node.book.sent} == {first.to_bytes()}
    node.book.sent.clear()
    node.book.at(20)
    refused(node, 480, 20)
    node.assert_recorded(
        release_cause="UNREACHABLE", decided_by="message_timer", release_direction="platform", sip_status=480, q850=20,
        answer_time=None, attempts=(("callee-side", FIRST, 0, 20000, None),),
    )  # fmt: skip
    node.book.wire_in(answer(first, 200), CALLEE)
    node.book.at(60)
    node.book.silence()  # neither delivered late nor to anybody else: its sender was told that it has not arrived
    assert node.sent_to(CALLEE2) == []


def test_64_t1_of_silence_counts_too() -> None:
    node = CoreNode(with_policy(message_timeout_s=60))
    send(node)
    node.book.at(31.9)
    node.book.sent.clear()
    node.book.at(32.1)
    refused(node, 480, 20)
    node.assert_recorded(release_cause="UNREACHABLE")


@pytest.mark.parametrize("how", ["503", "transport"])
def test_what_has_surely_not_arrived_goes_to_the_next_target(how: str) -> None:
    node = CoreNode(TWO_TARGETS)
    first = send(node)
    if how == "503":
        node.book.wire_in(answer(first, 503, extra="Retry-After: 10"), CALLEE)
    else:
        node.transport_fails(CALLEE)
    second = node.book.wire_out(f"MESSAGE sip:{B}@127.0.0.14:5060 SIP/2.0", CALLEE2)
    assert first.call_id != second.call_id and first.top_via != second.top_via
    assert second.body == first.body
    node.book.wire_in(answer(second, 200), CALLEE2)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(
        attempts=(("callee-side", FIRST, 503, 0, None), ("callee-side", SECOND, 200, 0, None)),
        callee_call_id=second.call_id, release_cause="NORMAL",
    )  # fmt: skip


def test_the_time_for_delivery_runs_once_over_all_targets() -> None:
    node = CoreNode(TWO_TARGETS)
    first = send(node)
    node.book.at(15)
    node.book.sent.clear()
    node.book.wire_in(answer(first, 503), CALLEE)
    node.book.wire_out("MESSAGE ", CALLEE2)
    node.book.at(19.9)
    node.book.sent.clear()
    node.book.at(20.01)
    refused(node, 480, 20)
    node.assert_recorded(attempts=(("callee-side", FIRST, 503, 15000, None), ("callee-side", SECOND, 0, 5000, None)))


def test_all_targets_fail() -> None:
    node = CoreNode(TWO_TARGETS)
    send(node)
    node.transport_fails(CALLEE)
    second = node.book.wire_out("MESSAGE ", CALLEE2)
    node.book.wire_in(answer(second, 503), CALLEE2)
    refused(node, 480, 31)
    node.assert_recorded(release_cause="ALL_TARGETS_FAILED", decided_by="targets", release_direction="platform")


@pytest.mark.parametrize(
    ("status", "to_caller", "q850", "cause"),
    [
        (486, 486, 17, "BUSY"), (600, 486, 17, "BUSY"), (699, 486, 17, "BUSY"), (404, 404, 1, "UNALLOCATED"),
        (603, 603, 21, "REJECTED"), (403, 603, 21, "REJECTED"), (480, 480, 20, "UNREACHABLE"),
        (415, 488, 65, "REJECTED"), (302, 480, 31, "FORWARDING_REFUSED"), (500, 480, 31, "ALL_TARGETS_FAILED"),
        (408, 480, 31, "ALL_TARGETS_FAILED"), (407, 480, 31, "ALL_TARGETS_FAILED"),
    ],
)  # fmt: skip
def test_failure_of_the_callee_may_have_been_read_so_no_other_target(
    status: int, to_caller: int, q850: int, cause: str
) -> None:
    node = CoreNode(TWO_TARGETS)
    sent = send(node)
    node.book.wire_in(answer(sent, 100), CALLEE)
    node.book.wire_in(answer(sent, status), CALLEE)
    refused(node, to_caller, q850)
    node.assert_recorded(release_cause=cause, sip_status=to_caller, q850=q850, answer_time=None)
    assert node.sent_to(CALLEE2) == []


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_within_a_conversation_it_is_an_attempt_of_its_own(side: str) -> None:
    """What leaves has nothing of the dialog that it came in, on neither side."""
    node = CoreNode()
    talk = talking(node)
    near, far, number = (CALLER, CALLEE, B) if side == "caller" else (CALLEE, CALLER, A)
    (talk.from_caller if side == "caller" else talk.from_callee)("MESSAGE", "Content-Type: text/plain\n\nhello")
    sent = node.book.wire_out(f"MESSAGE sip:{number}@{far} SIP/2.0", far)
    assert sent.to_tag == "" and sent.call_id not in (talk.invite.call_id, talk.ok.call_id)
    assert sent.from_tag not in (talk.invite.from_tag, talk.ok.to_tag, "a-tag", "b-tag")
    assert abs(sent.cseq - talk.invite.cseq) > 1 and sent.value(h.CONTACT) is None
    node.book.wire_in(answer(sent, 200, "x-tag", who=number, contact=f"<sip:{number}@{far}>"), far)
    ok = node.book.wire_out("SIP/2.0 200", near)
    assert ok.to_tag == (talk.ok.to_tag if side == "caller" else talk.invite.from_tag)  # its own, back to it
    talk.hang_up()
    assert [record["kind"] for record in node.records] == ["message", "voice"]


@pytest.mark.parametrize("step", [Step.OPEN, Step.CLOSE])
@pytest.mark.parametrize("silent", [False, True])
def test_store_that_fails(step: Step, silent: bool) -> None:
    """What is not on record is not confirmed, though the callee may have it."""
    node = CoreNode()
    node.store_gives_up = True
    node.durable = {Step.OPEN, Step.CLOSE} - {step}
    node.book.wire_in(message(), CALLER)
    if step is Step.CLOSE:
        node.book.wire_in(answer(node.book.wire_out("MESSAGE ", CALLEE), 200), CALLEE)
    node.book.silence()
    if silent:
        node.book.at(5.01)
    else:
        node.release_held(durable=False)
    refused(node, 500, 41)
    if silent:
        node.release_held()
        node.book.silence()
    node.assert_recorded(release_cause="INTERNAL", sip_status=500, decided_by="store")  # as its sender was told
    assert len(node.sent_to(CALLEE)) == (1 if step is Step.CLOSE else 0)


@pytest.mark.parametrize("answers", [False, None])
def test_store_that_does_not_find_out(answers: bool | None) -> None:
    node = CoreNode()
    if answers is None:
        node.looks_up = False
    else:
        node.store_answers = False
    node.book.wire_in(message(), CALLER)
    if answers is None:
        node.book.silence()
        node.book.at(5.01)
    refused(node, 500, 41)
    if answers is None:
        node.release_lookup()
        node.book.silence()
    node.assert_recorded(release_cause="INTERNAL", attempts=(), egress_peer="", call_out_time=None)


def test_callees_refusal_leaves_though_its_row_waits() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    node.book.wire_in(answer(send(node), 486), CALLEE)
    node.release_held(durable=False)
    refused(node, 486, 17)


def test_late_answers_and_failures_change_nothing() -> None:
    node = CoreNode(TWO_TARGETS)
    node.durable = {Step.OPEN}
    first = send(node)
    node.book.wire_in(answer(first, 486), CALLEE)
    node.transport_fails(CALLEE)
    node.book.wire_in(answer(first, 200), CALLEE)
    node.book.at(3)
    node.book.silence()
    node.release_held()
    refused(node, 486, 17)
