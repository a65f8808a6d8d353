"""A number in a request of the early dialog, just when the callee's 2xx was being recorded, did not end the call."""

from __future__ import annotations

from engine.core.records import Step
from tests.core.corenode import CALLEE, CALLER, A, CoreNode, with_trunk
from tests.core.parties import B_SDP, Talk, answer, invite, refused, ring, start


def test_the_callee_is_released_and_the_caller_refused() -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Order",)))
    sent = start(node, invite().replace(f"X-Order: {A}".encode(), b"X-Order: parcel"))
    talk = Talk(node, sent, ring(node, sent, 183))
    node.durable = {Step.CLOSE}
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.silence()
    talk.from_caller("INFO", extra=f"X-Order: {A}")
    node.book.wire_out("SIP/2.0 403", CALLER)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    refused(node, 403, 21)
    node.release_held()
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure", sip_status=403, answer_time=None)
