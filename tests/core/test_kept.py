"""What is counted of the memory of a node: it is there during a call, and nothing of it a minute after."""

from __future__ import annotations

from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import answer, talking


def test_an_ended_call_leaves_nothing_after_a_minute() -> None:
    node = CoreNode()
    assert set(node.service.kept.values()) == {0}
    talk = talking(node)
    during = node.service.kept
    assert (during["attempts"], during["dialogs"]) == (1, 2)
    assert during["transactions"] > 0
    assert during["timers"] > 0
    node.book.at(10)
    talk.from_caller("BYE")
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.at(10 + 65)  # its longest timer, of hours, was set at 0
    assert set(node.service.kept.values()) == {0}
