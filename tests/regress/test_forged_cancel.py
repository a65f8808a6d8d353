"""A CANCEL that another peer had forged was answered 481, and the caller's own one was then taken for a copy of it."""

from __future__ import annotations

from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import answer, of_invite, start, trying


def test_a_forged_cancel_does_not_keep_the_real_one_from_its_work() -> None:
    node = CoreNode()
    sent = start(node)
    trying(node, sent)
    node.book.wire_in(of_invite("CANCEL"), CALLEE)
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    refused = node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.wire_in(of_invite("ACK", refused.to_tag), CALLER)
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.assert_recorded(release_cause="CALLER_CANCEL")


def test_a_copy_of_a_cancel_gets_its_answer_again() -> None:
    node = CoreNode()
    sent = start(node)
    trying(node, sent)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    first = node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    refused = node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLER).lines == first.lines
    node.book.wire_in(of_invite("ACK", refused.to_tag), CALLER)
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
