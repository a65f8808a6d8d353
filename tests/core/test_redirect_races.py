"""What crosses a redirect on its way: CANCEL, a store that fails, the time to ring. No half call is left."""

from __future__ import annotations

import pytest

from engine.core.records import Step
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLEE2, CALLER, B, CoreNode
from tests.core.parties import B_SDP, answer, invite, of_invite, refused, ring, start
from tests.core.test_redirect import FOLLOWING, FROM_C, C, answered_by_c, hang_up, redirect


def test_cancel_before_the_3xx_wins() -> None:
    node = CoreNode(FOLLOWING)
    first = start(node)
    ring(node, first)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.wire_in(answer(cancel, 200), CALLEE)
    redirect(node, first)
    node.book.wire_in(of_invite("ACK", "x"), CALLER)
    node.book.silence()
    assert node.sent_to(CALLEE2) == []
    node.assert_recorded(callee=B, release_cause="CALLER_CANCEL")


def test_cancel_while_the_new_callee_is_being_recorded() -> None:
    """It has heard nothing, so nothing of it stands in the record and nothing has to be taken back."""
    node = CoreNode(FOLLOWING)
    first = start(node, invite(extra="P-Charging-Vector: icid-value=charged"))
    node.durable = {Step.CLOSE}
    redirect(node, first)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    refused(node, 487, 16)
    node.release_held()
    node.book.silence()
    assert node.sent_to(CALLEE2) == []
    node.assert_recorded(
        callee=B, release_cause="CALLER_CANCEL", egress_peer="callee-side", callee_call_id=first.call_id,
        icid_out=(first.value(h.P_CHARGING_VECTOR) or "").removeprefix("icid-value="),
        attempts=(("callee-side", "sip:127.0.0.13:5060", 302, 0, None),),
    )  # fmt: skip


@pytest.mark.parametrize("says_so", [True, False])
def test_store_that_fails_while_the_new_callee_is_being_recorded(says_so: bool) -> None:
    node = CoreNode(FOLLOWING)
    first = start(node)
    node.durable = {Step.CLOSE}
    redirect(node, first)
    if says_so:
        node.release_held(durable=False)
    else:
        node.store_gives_up = True
        node.wait(5.1)
    refused(node, 500, 41)
    assert node.sent_to(CALLEE2) == []
    node.assert_recorded(callee=B, release_cause="INTERNAL", decided_by="store")


def test_cancel_of_the_redirected_call_meets_its_answer() -> None:
    node = CoreNode(FOLLOWING)
    redirect(node, start(node))
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(second, 180, "c-tag", contact=FROM_C, who=C), CALLEE2)
    node.book.wire_out("SIP/2.0 180", CALLER)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", CALLEE2)
    refused(node, 487, 16)
    node.book.wire_in(answer(second, 200, "c-tag", sdp=B_SDP, contact=FROM_C, who=C), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
    bye = node.book.wire_out("BYE ", CALLEE2)
    node.book.wire_in(answer(bye, 200, who=C), CALLEE2)
    node.book.wire_in(answer(cancel, 200, who=C), CALLEE2)
    node.book.silence()
    node.assert_recorded(callee=C, release_cause="CALLER_CANCEL")


def test_the_time_to_ring_does_not_run_while_the_new_callee_is_being_recorded() -> None:
    node = CoreNode(FOLLOWING)
    first = start(node)
    ring(node, first)
    node.wait(58)
    node.durable = {Step.ANSWER, Step.CLOSE}
    redirect(node, first)
    node.wait(4)
    node.book.silence()
    node.release_held()
    second = node.book.wire_out("INVITE ", CALLEE2)
    hang_up(node, answered_by_c(node, first, second))


def test_the_time_to_ring_begins_anew() -> None:
    node = CoreNode(FOLLOWING)
    first = start(node)
    ring(node, first)
    node.wait(50)
    redirect(node, first)
    second = node.book.wire_out("INVITE ", CALLEE2)
    node.book.wire_in(answer(second, 180, "c-tag", contact=FROM_C, who=C), CALLEE2)
    node.book.wire_out("SIP/2.0 180", CALLER)
    node.wait(59)
    node.book.silence()
    hang_up(node, answered_by_c(node, first, second))
