"""BYE in every state, from either side and from both at once."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, A, CoreNode, with_policy
from tests.core.parties import B_SDP, Talk, answer, answered, ring, start, talking


def test_byes_that_cross_make_one_record() -> None:
    node = CoreNode()
    talk = talking(node)
    node.book.at(10)
    talk.from_caller("BYE")
    to_callee = node.book.wire_out("BYE ", CALLEE)
    talk.from_callee("BYE")
    node.book.silence()  # no BYE back: it has said so itself
    node.book.wire_in(answer(to_callee, 481), CALLEE)
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "BYE"
    assert node.book.wire_out("SIP/2.0 200", CALLEE).method == "BYE"
    node.book.silence()
    node.assert_recorded(
        release_cause="NORMAL", release_direction="caller", duration_ms=10000,
        attempts=(("callee-side", "sip:127.0.0.13:5060", 200, 0, 481),),
    )  # fmt: skip


@pytest.mark.parametrize("durable", [True, False])
def test_bye_is_answered_within_500_ms_though_its_row_is_not_written(durable: bool) -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    talk = talking(node)
    node.book.at(10)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.at(10.2)
    talk.from_callee("BYE")  # crosses; its own 500 ms are not waited for
    node.book.at(10.45)
    node.book.silence()
    node.book.at(10.51)
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "BYE"
    assert node.book.wire_out("SIP/2.0 200", CALLEE).method == "BYE"
    node.book.at(11)
    node.release_held(durable)
    node.book.silence()
    assert len(node.records) == 1


def test_bye_is_answered_at_once_when_its_row_cannot_be_written() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.ANSWER}
    talk = talking(node)
    talk.from_callee("BYE")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.release_held(durable=False)  # the spool holds it
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.book.silence()


@pytest.mark.parametrize("overtaken", [True, False])
def test_bye_of_the_caller_before_its_ack(overtaken: bool) -> None:
    """The callee gets the ACK that it waits for, then the BYE; the caller's 2xx is not repeated any more."""
    node = CoreNode()
    talk = answered(node)
    node.book.at(0.2)
    talk.from_caller("BYE")
    ack = node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    assert (ack.cseq, bye.cseq) == (talk.invite.cseq, talk.invite.cseq + 1)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    if overtaken:
        talk.from_caller("ACK")
    node.book.at(40)
    node.book.silence()
    node.assert_recorded(release_cause="NORMAL", release_direction="caller", duration_ms=200)


def test_bye_of_the_callee_before_the_callers_ack_waits_for_that_ack() -> None:
    node = CoreNode()
    talk = answered(node)
    node.book.at(0.2)
    talk.from_callee("BYE")
    node.book.wire_out("ACK ", CALLEE)  # ours needs no ACK of the caller
    assert node.book.wire_out("SIP/2.0 200", CALLEE).method == "BYE"
    node.book.silence()
    node.book.at(0.6)
    assert node.book.wire_out("SIP/2.0 200", CALLER) == talk.ok  # it may be lost, so it is repeated until the ACK
    node.book.silence()
    talk.from_caller("ACK")
    bye = node.book.wire_out("BYE ", CALLER)
    assert bye.values(h.REASON) == ["Q.850;cause=16"]
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.at(40)
    node.book.silence()
    node.assert_recorded(release_cause="NORMAL", release_direction="callee", duration_ms=200)


def test_held_bye_goes_after_64_t1_without_an_ack() -> None:
    node = CoreNode()
    talk = answered(node)
    talk.from_callee("BYE")
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.book.at(31.9)
    assert all(sent.data.startswith(b"SIP/2.0 200") for sent in node.book.sent)
    node.book.sent.clear()
    node.book.at(32.1)
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.silence()


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("overtaken", [True, False])
def test_held_bye_is_dropped_when_the_caller_says_bye_itself(recorded: bool, overtaken: bool) -> None:
    node = CoreNode()
    if not recorded:
        node.durable = {Step.OPEN, Step.ANSWER}
    talk = answered(node)
    talk.from_callee("BYE")
    node.book.wire_out("ACK ", CALLEE)
    if recorded:
        node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.from_caller("BYE")
    if not recorded:
        node.release_held()
        node.book.wire_out("SIP/2.0 200", CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    if overtaken:
        talk.from_caller("ACK")
    node.book.at(40)
    node.book.silence()
    assert len(node.records) == 1


@pytest.mark.parametrize("sides", ["caller", "callee", "both"])
def test_bye_while_the_answer_is_committed(sides: str) -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.CLOSE}
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.at(0.1)
    if sides != "callee":
        talk.from_caller("BYE")
    if sides != "caller":
        talk.from_callee("BYE")
    node.book.silence()
    node.release_held()
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "INVITE"  # the answer came first
    node.book.wire_out("ACK ", CALLEE)
    if sides == "caller":
        bye = node.book.wire_out("BYE ", CALLEE)
        node.book.wire_in(answer(bye, 200), CALLEE)
    if sides != "callee":
        assert node.book.wire_out("SIP/2.0 200", CALLER).method == "BYE"
    if sides != "caller":
        assert node.book.wire_out("SIP/2.0 200", CALLEE).method == "BYE"
    node.book.silence()
    talk.from_caller("ACK")
    if sides == "callee":
        bye = node.book.wire_out("BYE ", CALLER)
        node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.at(40)
    node.book.silence()
    node.assert_recorded(
        release_cause="NORMAL", release_direction="callee" if sides == "callee" else "caller", duration_ms=100,
        sip_status=200,
    )  # fmt: skip


def test_bye_while_the_answer_is_committed_is_answered_within_500_ms() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.CLOSE}
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk.from_callee("BYE")
    node.book.at(0.49)
    node.book.silence()
    node.book.at(0.51)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("ACK")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.silence()


def test_bye_held_and_the_answer_cannot_be_committed() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN, Step.CLOSE}
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk.from_caller("BYE")
    node.release_held(durable=False)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("BYE ", CALLEE)
    assert node.book.wire_out("SIP/2.0 500", CALLER).method == "INVITE"
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "BYE"
    node.book.silence()
    node.assert_recorded(release_cause="INTERNAL", sip_status=500, q850=41, answer_time=None, duration_ms=0)


def test_bye_of_the_caller_in_an_early_dialog_takes_the_call_back() -> None:
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    talk.from_caller("BYE")
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    response = node.book.wire_out("SIP/2.0 487", CALLER)
    assert (response.method, response.value(h.REASON)) == ("INVITE", "Q.850;cause=16")  # §15.1.2
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "BYE"
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    node.assert_recorded(release_cause="CALLER_CANCEL", sip_status=487, release_direction="caller")


def test_bye_in_an_early_dialog_waits_for_the_row_500_ms_and_a_second_one_joins() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    talk.from_caller("BYE")
    node.book.wire_out("CANCEL ", CALLEE)
    talk.from_caller("BYE")
    node.book.silence()
    node.book.at(0.51)
    node.book.wire_out("CANCEL ", CALLEE)  # Timer E
    assert [node.book.wire_out("SIP/2.0 200", CALLER).cseq for _ in range(2)] == [2, 3]
    node.book.silence()
    node.release_held()
    node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.silence()


def test_bye_of_the_callee_in_an_early_dialog_is_rejected() -> None:
    """§15: it must not; it can refuse the INVITE."""
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    talk.from_callee("BYE")
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    talk.from_callee("BYE")
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.release_held()
    node.book.wire_out("SIP/2.0 486", CALLER)


def test_bye_after_the_end() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.hang_up()
    talk.from_callee("BYE")
    assert node.book.wire_out("SIP/2.0 200", CALLEE).cseq == talk.callee_seq
    node.wait(30)
    talk.from_callee("BYE")
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.wait(20)
    talk.from_callee("BYE")  # by now it is unknown
    node.book.wire_out("SIP/2.0 481", CALLEE)
    assert len(node.records) == 1


def test_no_ack_in_64_t1_ends_both_sides() -> None:
    node = CoreNode()
    talk = answered(node)
    node.book.at(31.9)
    assert {sent.data for sent in node.book.sent} == {talk.ok.to_bytes()}
    node.book.sent.clear()
    node.book.at(32.05)
    to_caller = node.book.wire_out("BYE ", CALLER)
    node.book.wire_out("ACK ", CALLEE)
    to_callee = node.book.wire_out("BYE ", CALLEE)
    assert to_caller.value(h.REASON) == to_callee.value(h.REASON) == "Q.850;cause=102"
    node.book.wire_in(answer(to_callee, 200), CALLEE)
    node.book.wire_in(answer(to_caller, 481, who=A), CALLER)
    node.book.silence()
    node.assert_recorded(
        release_cause="NO_ACK", release_direction="platform", decided_by="ack_timer", sip_status=200, q850=102,
        duration_ms=32000, bill_seconds=32,
    )  # fmt: skip


@pytest.mark.parametrize("ack_comes", [True, False])
def test_max_call_s_before_the_ack(ack_comes: bool) -> None:
    """The caller's BYE waits for its ACK, the record does not."""
    node = CoreNode(with_policy(max_call_s=10))
    talk = answered(node)
    node.book.at(9.9)
    node.book.sent.clear()
    node.book.at(10)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.silence()
    node.book.wire_in(answer(bye, 200), CALLEE)
    assert node.record["release_cause"] == "MAX_DURATION"
    if ack_comes:
        node.book.at(11)
        talk.from_caller("ACK")
    else:
        node.book.at(31.9)
        node.book.sent.clear()
        node.book.at(32.1)
    to_caller = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(to_caller, 200, who=A), CALLER)
    node.book.silence()


def test_bye_of_either_side_after_the_platform_has_ended_the_call() -> None:
    node = CoreNode(with_policy(max_call_s=10))
    node.durable = {Step.OPEN, Step.ANSWER}
    talk = talking(node)
    node.book.at(10)
    node.book.wire_out("BYE ", CALLER)
    node.book.wire_out("BYE ", CALLEE)
    talk.from_caller("BYE")
    node.book.at(10.3)
    talk.from_callee("BYE")
    node.book.silence()
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.assert_recorded(release_cause="MAX_DURATION", release_direction="platform", duration_ms=10000)
