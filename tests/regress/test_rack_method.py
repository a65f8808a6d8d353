"""The method in RAck crossed unread: a caller could write its real number there, and the callee got it."""

from __future__ import annotations

from tests.core.corenode import CALLER, CoreNode
from tests.core.parties import A, Talk, ring, start


def test_only_an_invite_is_acknowledged_by_prack() -> None:
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent, 183, extra="Require: 100rel\nRSeq: 5"))
    talk.from_caller("PRACK", extra=f"RAck: 5 1 {A}")
    node.book.wire_out("SIP/2.0 481", CALLER)
    node.book.silence()
