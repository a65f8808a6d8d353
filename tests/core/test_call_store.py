"""The store fails, or says nothing, at each step of a call (contract §6; decisions 4 and 7)."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, with_trunk
from tests.core.parties import B_SDP, Talk, answer, answered, invite, refused, ring, start, talking

INTERNAL = {
    "release_cause": "INTERNAL",
    "sip_status": 500,
    "q850": 41,
    "release_direction": "platform",
    "answer_time": None,
    "duration_ms": 0,
}


def opening(node: CoreNode) -> None:
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.silence()


def test_lookup_that_cannot_be_answered_is_refused_never_let_through() -> None:
    node = CoreNode()
    node.store_answers = False
    opening_with_refusal(node)
    node.assert_recorded(**INTERNAL, decided_by="lookup", attempts=())
    assert node.sent_to(CALLEE) == []


def opening_with_refusal(node: CoreNode) -> None:
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 500, 41)


@pytest.mark.parametrize("late", [True, False])
def test_lookup_that_gets_no_answer_is_given_up_after_5_s(late: bool) -> None:
    node = CoreNode()
    node.looks_up = False
    opening(node)
    node.book.at(4.9)
    node.book.silence()
    node.book.at(5.01)
    refused(node, 500, 41)
    if late:
        node.release_lookup()
        node.book.silence()
    node.assert_recorded(**INTERNAL, decided_by="store", callee="")
    assert node.sent_to(CALLEE) == []


def test_open_row_that_fails() -> None:
    node = CoreNode()
    node.durable = {Step.CLOSE}
    opening(node)
    node.release_held(durable=False)
    refused(node, 500, 41)
    node.assert_recorded(**INTERNAL, decided_by="store", attempts=(), call_out_time=None, callee_call_id="", caller=A)
    assert node.sent_to(CALLEE) == []


@pytest.mark.parametrize("late", [True, False, None])
def test_open_row_that_takes_too_long(late: bool | None) -> None:
    """The lookup and the open row have 5 s between them; a row that comes later sends nothing."""
    node = CoreNode()
    node.durable = {Step.CLOSE}
    node.looks_up = False
    opening(node)
    node.book.at(3)
    node.release_lookup()
    node.book.at(4.9)
    node.book.silence()
    node.book.at(5.01)
    refused(node, 500, 41)
    if late is not None:
        node.release_held(late)
        node.book.silence()
    node.assert_recorded(**INTERNAL)
    assert node.sent_to(CALLEE) == []


def test_both_rows_fail_and_the_refusal_leaves_all_the_same() -> None:
    node = CoreNode()
    node.durable = set()
    opening(node)
    node.release_held(durable=False)
    node.book.silence()
    node.release_held(durable=False)
    refused(node, 500, 41)
    node.assert_recorded(**INTERNAL)


@pytest.mark.parametrize("silent", [False, True])
def test_answer_that_cannot_be_recorded_did_not_happen(silent: bool) -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.CLOSE}
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.silence()
    if silent:
        node.book.at(4.9)
        node.book.silence()
        node.book.at(5.01)
    else:
        node.release_held(durable=False)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    assert bye.value(h.REASON) == "Q.850;cause=41"
    refused(node, 500, 41)
    if silent:
        node.release_held()  # durable after all: too late
        node.book.silence()
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)  # and no second BYE
    node.book.silence()
    node.assert_recorded(**INTERNAL, decided_by="store")


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("case", ["unbound", "bad number"])
def test_refusal_by_policy_never_leaves_without_its_row(case: str, silent: bool) -> None:
    node = CoreNode(bindings=() if case == "unbound" else None)
    node.durable = set()
    node.store_gives_up = silent
    node.book.wire_in(invite("7001" if case == "bad number" else "700123456780001"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.silence()
    if silent:
        node.book.at(4.9)
        node.book.silence()
        node.book.at(5.01)
    else:
        node.release_held(durable=False)
    node.book.wire_out("SIP/2.0 500", CALLER)
    node.book.silence()
    if silent:
        node.release_held()
        node.book.silence()
    assert len(node.records) == 1


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("status", "q850"), [(486, 17), (603, 21)])
def test_what_the_callee_said_leaves_as_it_is_recorded_though_the_row_waits(
    status: int, q850: int, silent: bool
) -> None:
    """It is no refusal of ours, and the attempt is on record since the open row."""
    node = CoreNode()
    node.durable = {Step.OPEN}
    node.store_gives_up = silent
    sent = start(node)
    node.book.wire_in(answer(sent, status), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    if silent:
        node.book.at(5.01)
    else:
        node.release_held(durable=False)
    refused(node, status, q850)
    assert node.record["sip_status"] == status


def test_leak_that_is_stopped_in_the_answer_and_cannot_be_recorded_is_500() -> None:
    node = CoreNode(with_trunk("caller-side", pass_headers=("X-Note",)))
    node.durable = {Step.OPEN}
    sent = start(node)
    node.book.wire_in(answer(sent, 200, extra=f"X-Note: {B}", sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("BYE ", CALLEE)
    node.release_held(durable=False)
    refused(node, 500, 41)


def test_overload_while_the_store_is_down_stays_503() -> None:
    node = CoreNode()
    node.service.intake.is_draining = True
    node.durable = set()
    node.book.wire_in(invite(), CALLER)
    node.release_held(durable=False)
    assert refused(node, 503, 42).value(h.RETRY_AFTER) == "5"


def test_end_that_the_writer_never_speaks_of_does_not_keep_the_call() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    talk = talking(node)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.at(0.51)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.at(4.9)
    assert len(node.context.attempts) == 1
    node.book.at(5.01)
    assert len(node.context.attempts) == 0
    node.book.at(50)
    node.release_held()  # after all
    node.book.silence()


def test_cancel_while_the_store_is_silent_is_confirmed_after_5_s() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    node.store_gives_up = True
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    talk.from_caller("BYE")
    node.book.wire_out("CANCEL ", CALLEE)
    node.book.at(5.01)
    statuses = [sent.data[:11] for sent in node.book.sent if sent.data.startswith(b"SIP")]
    assert statuses == [b"SIP/2.0 200", b"SIP/2.0 487"]
    node.book.sent.clear()


def test_call_that_was_let_in_before_the_store_went_down_can_still_end() -> None:
    node = CoreNode()
    talk = answered(node)
    node.durable = set()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.from_callee("BYE")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.release_held(durable=False)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.assert_recorded(release_cause="NORMAL", release_direction="callee")
