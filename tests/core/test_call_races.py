"""Inputs that come twice, late, or in the moment between two others."""

from __future__ import annotations

import pytest

from engine.core.call import Call
from engine.core.call_table import FORGET_TIMER, REFRESH_TIMER, TIMERS
from engine.core.records import Step
from sipstack import headers as h
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, TWO_TARGETS, A, CoreNode, with_policy
from tests.core.parties import B_SDP, Talk, answer, answered, of_invite, refused, ring, start, talking


def timers_of(call: Call) -> set[int]:
    return {code for code in range(TIMERS) if call.is_set(code)}


def late_fork(node: CoreNode, talk: Talk, tag: str = "b-tag-late") -> None:
    """A 2xx of another tag, whenever it comes: acknowledged and ended, and nobody else hears of it."""
    node.book.wire_in(answer(talk.invite, 200, tag), CALLEE)
    assert node.book.wire_out("ACK ", CALLEE).to_tag == tag
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()


def test_everything_at_once_while_the_answer_is_committed() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_in(answer(sent, 180, "b-tag-2"), CALLEE)  # a fork that lost
    node.book.silence()
    talk.from_caller("BYE")
    talk.from_caller("BYE")
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "CANCEL"
    late_fork(node, talk)
    node.book.at(0.3)
    talk.from_callee("BYE")
    node.book.at(0.51)
    assert [node.book.wire_out("SIP/2.0 200", CALLER).cseq for _ in range(2)] == [2, 3]
    node.book.wire_out("SIP/2.0 200", CALLEE)  # it waited for the same moment
    node.release_held()
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "INVITE"
    node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("BYE")  # while the end is committed: one more
    node.book.silence()
    late_fork(node, talk, "b-tag-later")
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.silence()
    node.assert_recorded(release_cause="NORMAL", release_direction="caller", duration_ms=0)


def test_cancel_while_talking_has_no_effect() -> None:
    node = CoreNode()
    talk = talking(node)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLER).to_tag == talk.ok.to_tag
    node.book.silence()
    talk.hang_up()
    assert node.record["release_cause"] == "NORMAL"


@pytest.mark.parametrize("state", ["releasing", "closing", "ended"])
def test_cancel_and_late_fork_after_the_end_was_decided(state: str) -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    talk = talking(node)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    if state != "releasing":
        node.book.wire_in(answer(bye, 200), CALLEE)
    if state == "ended":
        node.release_held()
        node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "CANCEL"
    late_fork(node, talk)
    if state == "releasing":
        node.book.wire_in(answer(bye, 200), CALLEE)
    if state != "ended":
        node.release_held()
        assert node.book.wire_out("SIP/2.0 200", CALLER).method == "BYE"
    node.book.silence()
    node.assert_recorded(release_cause="NORMAL", release_direction="caller")


def test_ack_in_the_moment_after_max_call_s() -> None:
    node = CoreNode(with_policy(max_call_s=10))
    talk = answered(node)
    node.book.at(9.9)
    node.book.sent.clear()
    node.book.at(10.1)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("BYE ", CALLEE)
    node.book.silence()
    talk.from_caller("ACK")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.at(10.3)
    assert node.record["release_cause"] == "MAX_DURATION"


@pytest.mark.parametrize("durable", [True, False])
def test_64_t1_are_over_in_the_moment_after_max_call_s(durable: bool) -> None:
    node = CoreNode(with_policy(max_call_s=31.9))
    if not durable:
        node.durable = {Step.OPEN, Step.ANSWER}
    answered(node)
    node.book.at(31.89)
    node.book.sent.clear()
    node.book.at(31.95)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    if not durable:
        node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()
    node.book.at(32.05)
    to_caller = node.book.wire_out("BYE ", CALLER)
    assert to_caller.value(h.REASON) == "Q.850;cause=31"
    node.book.wire_in(answer(to_caller, 200, who=A), CALLER)
    if not durable:
        node.release_held()
    node.book.silence()


def test_ack_that_overtakes_nothing_after_the_end() -> None:
    node = CoreNode()
    talk = answered(node)
    talk.from_callee("BYE")
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    for copy in range(2):
        talk.from_caller("ACK", branch=f"z9hG4bK-aACKcopy{copy}")
        if copy == 0:
            node.book.wire_out("BYE ", CALLER)
        node.book.silence()


def test_ack_of_a_refusal_by_way_of_the_dialog() -> None:
    """Its branch should be the INVITE's; from who got that wrong it acknowledges nothing and breaks nothing."""
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("ACK")
    node.book.silence()
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.release_held()
    refused(node, 486, 17)
    talk.from_caller("ACK", branch="z9hG4bK-aACKagain")
    node.book.silence()


def test_transport_error_after_the_target_has_rung() -> None:
    """Nothing of the INVITE is being sent any more, so nothing has failed."""
    node = CoreNode(TWO_TARGETS)
    sent = start(node)
    ring(node, sent)
    node.transport_fails(CALLEE)
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def test_transport_error_after_the_caller_has_gone() -> None:
    node = CoreNode(TWO_TARGETS)
    start(node)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    refused(node, 487, 16)
    node.transport_fails(CALLEE)
    node.book.silence()
    assert node.sent_to("127.0.0.14:5060") == []


@pytest.mark.parametrize("end", ["cancelled", "busy", "early bye", "hung up", "hung up before the ACK", "silent"])
def test_of_a_call_that_is_over_only_the_forgetting_is_timed(end: str) -> None:
    node = CoreNode()
    sent = start(node)
    (call,) = node.context.attempts.values()
    assert isinstance(call, Call)
    if end == "cancelled":
        node.book.wire_in(of_invite("CANCEL"), CALLER)
    elif end == "busy":
        node.book.wire_in(answer(sent, 486), CALLEE)
    elif end == "early bye":
        Talk(node, sent, ring(node, sent)).from_caller("BYE")
    elif end == "silent":
        node.book.at(4)
    else:
        node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
        talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
        if end == "hung up":
            talk.from_caller("ACK")
        talk.from_caller("BYE")
        bye = next(m for s in node.book.sent if (m := parse(s.data)).method == "BYE")
        node.book.wire_in(answer(bye, 200), CALLEE)
    assert timers_of(call) == {FORGET_TIMER}
    assert not call.byes_waiting
    node.book.sent.clear()


def test_of_a_call_that_stands_only_the_next_look_at_its_ends_is_timed() -> None:
    node = CoreNode()
    talk = talking(node)
    (call,) = node.context.attempts.values()
    assert isinstance(call, Call) and timers_of(call) == {REFRESH_TIMER}
    talk.hang_up()
    node.book.at(40)
    assert not timers_of(call)
