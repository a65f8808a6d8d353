"""What the callee's side answers or does not, and which target is tried next (contract §5, second table)."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLEE2, CALLER, SETTINGS, TWO_TARGETS, B, CoreNode, with_policy, with_trunk
from tests.core.parties import B_SDP, Talk, answer, refused, ring, start, trying

FIRST = "sip:127.0.0.13:5060"
SECOND = "sip:127.0.0.14:5060"
BUSY = (486, 17, "BUSY", "callee")
UNALLOCATED = (404, 1, "UNALLOCATED", "callee")
REJECTED = (603, 21, "REJECTED", "callee")
NOT_ACCEPTABLE = (488, 65, "REJECTED", "callee")
FAILED = (480, 31, "ALL_TARGETS_FAILED", "platform")

OUTCOMES = [
    *((status, BUSY) for status in (486, 600)),
    *((status, UNALLOCATED) for status in (404, 410, 604, 484, 485)),
    *((status, REJECTED) for status in (403, 603, 607, 608)),
    (480, (480, 20, "UNREACHABLE", "callee")),
    *((status, NOT_ACCEPTABLE) for status in (488, 606, 415)),
    *((status, (480, 31, "FORWARDING_REFUSED", "callee")) for status in (300, 301, 302, 305, 380)),
    *((status, FAILED) for status in (401, 407, 408, 500, 502, 503, 504, 599, 400, 420, 482, 483, 487, 491)),
    *((status, BUSY) for status in (605, 699)),  # an unknown 6xx is a 600 (RFC 3261 §8.1.3.2)
]


@pytest.mark.parametrize(("status", "outcome"), OUTCOMES)
def test_final_response_of_the_callee(status: int, outcome: tuple[int, int, str, str]) -> None:
    to_caller, q850, cause, direction = outcome
    node = CoreNode()
    sent = start(node)
    node.book.at(0.25)
    contact = f"<sip:{B}@10.7.7.7:5060>"  # a redirection names the callee: it stays here
    node.book.wire_in(answer(sent, status, extra="Retry-After: 18000", contact=contact), CALLEE)
    ack = node.book.wire_out(f"ACK sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    assert (ack.cseq, ack.to_tag, ack.top_via) != (0, "", None)
    refused(node, to_caller, q850)
    node.assert_recorded(
        release_cause=cause, sip_status=to_caller, q850=q850, release_direction=direction, answer_time=None,
        duration_ms=0, bill_seconds=0, attempts=(("callee-side", FIRST, status, 250, None),),
        decided_by="callee" if direction == "callee" else "targets",
    )  # fmt: skip


@pytest.mark.parametrize(("status", "outcome"), [(486, BUSY), (408, (480, 19, "NO_ANSWER", "callee")), (503, FAILED)])
def test_final_response_after_ringing(status: int, outcome: tuple[int, int, str, str]) -> None:
    """No other target is tried once one has rung; a 408 then means that nobody answered."""
    node = CoreNode(TWO_TARGETS)
    sent = start(node)
    ringing = ring(node, sent)
    node.wait(10)
    node.book.wire_in(answer(sent, status), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    response = refused(node, *outcome[:2])
    assert response.to_tag == ringing.to_tag  # the early dialog's, as far as the caller knows one
    node.assert_recorded(release_cause=outcome[2], release_direction=outcome[3], ring_ms=10000, bill_seconds=0)


def test_refusal_waits_for_its_row() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    node.release_held()
    refused(node, 486, 17)


def test_copies_of_a_failure_are_acknowledged_and_go_no_further() -> None:
    node = CoreNode()
    sent = start(node)
    for copy in range(4):
        node.book.wire_in(answer(sent, 486), CALLEE)
        node.book.wire_out("ACK ", CALLEE)
        if copy == 0:
            node.book.wire_out("SIP/2.0 486", CALLER)
        node.book.silence()
    assert len(node.records) == 1


def test_provisionals_cross_and_100_does_not() -> None:
    node = CoreNode()
    sent = start(node)
    trying(node, sent)
    node.book.silence()
    tags = {ring(node, sent, status).to_tag for status in (180, 181, 182, 183, 199)}
    assert len(tags) == 1  # one dialog
    node.book.wire_in(answer(sent, 603), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 603, 21)


@pytest.mark.parametrize("rings_with", [100, 180])
def test_ring_timer_cancels_the_callee(rings_with: int) -> None:
    node = CoreNode()
    sent = start(node)
    if rings_with == 100:
        trying(node, sent)
    else:
        ring(node, sent, rings_with)
    node.book.at(59.9)
    node.book.silence()
    node.book.at(60.01)
    cancel = node.book.wire_out(f"CANCEL sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    assert (cancel.value(h.VIA), cancel.cseq, cancel.call_id) == (sent.value(h.VIA), sent.cseq, sent.call_id)
    refused(node, 480, 19)
    node.assert_recorded(
        release_cause="NO_ANSWER", decided_by="ring_timer", release_direction="platform", sip_status=480, q850=19,
        ring_ms=60000 if rings_with == 180 else 0, attempts=(("callee-side", FIRST, 0, 60000, None),),
    )  # fmt: skip
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()


def test_silent_target_is_left_for_the_next() -> None:
    node = CoreNode(TWO_TARGETS)
    first = start(node)
    node.book.at(3.9)
    for _ in range(3):  # Timer A: 0.5, 1.5, 3.5 s
        node.book.wire_out("INVITE ", CALLEE)
    node.book.silence()
    node.book.at(4)
    second = node.book.wire_out(f"INVITE sip:{B}@127.0.0.14:5060 SIP/2.0", CALLEE2)
    assert len({first.call_id, second.call_id}) == len({first.from_tag, second.from_tag}) == 2
    assert first.top_via is not None and second.top_via is not None
    assert first.top_via.branch != second.top_via.branch
    node.book.silence()  # no CANCEL to one that has said nothing (§9.1)
    node.book.wire_in(answer(second, 200, sdp=B_SDP), CALLEE2)
    talk = Talk(node, second, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)  # where the Contact says
    talk.hang_up()
    node.assert_recorded(
        attempts=(("callee-side", FIRST, 0, 4000, None), ("callee-side", SECOND, 200, 0, 200)),
        callee_call_id=second.call_id, release_cause="NORMAL",
    )  # fmt: skip


def test_a_100_is_a_sign_of_life() -> None:
    node = CoreNode(TWO_TARGETS)
    sent = start(node)
    trying(node, sent)
    node.book.at(10)
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def silent_then_ringing(node: CoreNode) -> tuple[object, object]:
    first = start(node)
    node.book.at(4)
    for _ in range(3):
        node.book.wire_out("INVITE ", CALLEE)
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(second, 180), CALLEE2)
    node.book.wire_out("SIP/2.0 180", CALLER)
    return first, second


def test_late_180_of_an_abandoned_target_is_answered_with_cancel() -> None:
    node = CoreNode(TWO_TARGETS)
    first, second = silent_then_ringing(node)
    node.book.wire_in(answer(first, 180), CALLEE)  # type: ignore[arg-type]
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    node.book.silence()
    node.book.wire_in(answer(first, 183), CALLEE)  # type: ignore[arg-type]
    node.book.silence()  # one is enough
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(first, 487), CALLEE)  # type: ignore[arg-type]
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(second, 486), CALLEE2)  # type: ignore[arg-type]
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 486, 17)
    node.assert_recorded(attempts=(("callee-side", FIRST, 0, 4000, None), ("callee-side", SECOND, 486, 0, None)))


def test_late_2xx_of_an_abandoned_target_is_ended_once_however_often_it_comes() -> None:
    node = CoreNode(TWO_TARGETS)
    first, second = silent_then_ringing(node)
    node.book.wire_in(answer(first, 200, sdp=B_SDP), CALLEE)  # type: ignore[arg-type]
    ack = node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    assert bye.call_id == first.call_id and bye.cseq == ack.cseq + 1  # type: ignore[attr-defined]
    node.book.wire_in(answer(first, 200, sdp=B_SDP), CALLEE)  # type: ignore[arg-type]
    assert node.book.wire_out("ACK ", CALLEE) == ack
    node.book.silence()
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_in(answer(second, 200, sdp=B_SDP), CALLEE2)  # type: ignore[arg-type]
    talk = Talk(node, second, node.book.wire_out("SIP/2.0 200", CALLER))  # type: ignore[arg-type]
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


def test_failure_of_an_abandoned_target_decides_nothing() -> None:
    node = CoreNode(TWO_TARGETS)
    first, second = silent_then_ringing(node)
    node.book.wire_in(answer(first, 486), CALLEE)  # type: ignore[arg-type]
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    node.book.wire_in(answer(second, 603), CALLEE2)  # type: ignore[arg-type]
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 603, 21)
    node.assert_recorded(attempts=(("callee-side", FIRST, 0, 4000, None), ("callee-side", SECOND, 603, 0, None)))


@pytest.mark.parametrize("status", [401, 407, 500, 503, 504])
def test_target_that_cannot_serve_is_left_for_the_next(status: int) -> None:
    node = CoreNode(TWO_TARGETS)
    first = start(node)
    node.book.wire_in(answer(first, status), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(second, status), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    refused(node, 480, 31)
    node.assert_recorded(
        release_cause="ALL_TARGETS_FAILED", decided_by="targets", release_direction="platform",
        attempts=(("callee-side", FIRST, status, 0, None), ("callee-side", SECOND, status, 0, None)),
    )  # fmt: skip


@pytest.mark.parametrize("status", [302, 403, 404, 480, 486, 488, 600, 603])
def test_answer_of_the_callee_itself_ends_it(status: int) -> None:
    node = CoreNode(TWO_TARGETS)
    first = start(node)
    node.book.wire_in(answer(first, status), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 ", CALLER)
    node.book.silence()
    assert node.sent_to(CALLEE2) == []


def test_transport_error_is_the_next_target_at_once() -> None:
    node = CoreNode(TWO_TARGETS)
    start(node)
    node.transport_fails(CALLEE)
    node.book.wire_out("INVITE ", CALLEE2)
    node.transport_fails(CALLEE2)
    refused(node, 480, 31)
    node.assert_recorded(
        release_cause="ALL_TARGETS_FAILED",
        attempts=(("callee-side", FIRST, 503, 0, None), ("callee-side", SECOND, 503, 0, None)),
    )


def test_64_t1_of_silence_is_the_next_target_where_first_response_ms_is_longer() -> None:
    node = CoreNode(with_policy(SETTINGS, first_response_ms=50_000))
    start(node)
    node.book.at(31.9)
    node.book.sent.clear()  # Timer A
    node.book.at(32.01)
    refused(node, 480, 31)
    node.assert_recorded(attempts=(("callee-side", FIRST, 408, 32000, None),), release_cause="ALL_TARGETS_FAILED")


def test_last_silent_target_ends_it_and_a_late_answer_is_ended() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.at(4)
    for _ in range(3):
        node.book.wire_out("INVITE ", CALLEE)
    refused(node, 480, 31)
    node.assert_recorded(attempts=(("callee-side", FIRST, 0, 4000, None),), release_cause="ALL_TARGETS_FAILED")
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("BYE ", CALLEE)
    node.book.silence()


def test_no_other_target_after_a_183_even_on_silence() -> None:
    node = CoreNode(TWO_TARGETS)
    sent = start(node)
    ring(node, sent, 183)
    node.book.at(30)
    node.book.silence()
    node.book.wire_in(answer(sent, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 480, 31)
    assert node.sent_to(CALLEE2) == []


@pytest.mark.parametrize("row", ["Record-Route: <tel:123>", "Record-Route: <sip:10.9.9.9;lr"])
def test_2xx_with_an_unusable_route_is_ended_where_the_invite_went(row: str) -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 200, extra=row, sdp=B_SDP), CALLEE)
    node.book.wire_out(f"ACK sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    node.book.wire_out(f"BYE sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure", answer_time=None)


def test_answer_that_would_leak_is_released_and_refused() -> None:
    node = CoreNode(with_trunk("caller-side", pass_headers=("X-Note",)))
    sent = start(node)
    node.book.wire_in(answer(sent, 200, extra=f"X-Note: {B}", sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    refused(node, 403, 21)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_in(answer(sent, 200, extra=f"X-Note: {B}", sdp=B_SDP), CALLEE)  # a copy: acknowledged, no second BYE
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    node.assert_recorded(release_cause="LEAK_STOPPED", sip_status=403, q850=21, release_direction="platform")
    assert node.leaks == [(node.record["record_id"], "200 INVITE", "caller-side")]


def test_provisional_that_would_leak_stays_here() -> None:
    node = CoreNode(with_trunk("caller-side", pass_headers=("X-Note",)))
    sent = start(node)
    node.book.wire_in(answer(sent, 183, extra=f"X-Note: {B}"), CALLEE)
    node.book.silence()
    assert (node.counters["leak_stopped_provisional"], node.counters["leaks_stopped"]) == (1, 1)
    assert [leak[1:] for leak in node.leaks] == [("183 INVITE", "caller-side")]
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)
