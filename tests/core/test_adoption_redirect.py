"""Calls that a 3xx has turned to another callee, and a node that dies: neither callee is named to anybody then."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from tests.core.corenode import CALLEE2, CALLER, B, CoreNode
from tests.core.parties import answer, start
from tests.core.restart import frozen_of, restarted
from tests.core.test_redirect import C, answered_by_c, following, hang_up, nothing_of_it_crosses, redirect

SETTINGS = following(pass_headers=("X-Note",))


def turned() -> CoreNode:
    """B's side has named C, whose phone is called."""
    node = CoreNode(SETTINGS)
    redirect(node, start(node))
    return node


@pytest.mark.parametrize("hidden", [B, C])
def test_neither_callee_is_shown_to_the_caller(hidden: str) -> None:
    node = turned()
    second = node.book.wire_out("INVITE ", CALLEE2)
    talk = answered_by_c(node, second, second)
    assert {frozen_of(node).caller.hidden, *frozen_of(node).caller.also_hidden} == {B, C}
    talk.node = node = restarted(node, SETTINGS, 40.0)
    talk.from_callee("INFO", f"X-Note: {hidden}", source=CALLEE2)
    node.book.wire_out("SIP/2.0 403", CALLEE2)
    node.book.wire_out("BYE ", CALLER)
    node.book.wire_out("BYE ", CALLEE2)
    assert not any(number.encode() in data for number in (B, C) for data in node.sent_to(CALLER))
    node.wait(0.3)  # whoever is asked to hang up has a moment to say so
    assert node.record["release_cause"] == "LEAK_STOPPED"


def test_call_goes_on_and_its_record_names_whom_it_went_to() -> None:
    node = turned()
    second = node.book.wire_out("INVITE ", CALLEE2)
    talk = answered_by_c(node, second, second)
    talk.node = restarted(node, SETTINGS, 40.0)
    hang_up(talk.node, talk)
    nothing_of_it_crosses(talk.node)
    talk.node.assert_recorded(callee=C, egress_peer="other-side", release_cause="NORMAL")


def test_invite_to_the_second_callee_is_taken_back() -> None:
    """And nothing is sent to the first, which has given its final answer."""
    node = turned()
    second = node.book.wire_out("INVITE ", CALLEE2)
    node = restarted(node, SETTINGS)
    cancel = node.book.wire_out("CANCEL ", CALLEE2)
    assert (cancel.call_id, cancel.cseq, cancel.values(h.VIA)) == (second.call_id, second.cseq, second.values(h.VIA))
    node.book.silence()
    node.book.wire_in(answer(cancel, 200, who=C), CALLEE2)
    node.book.wire_in(answer(second, 487, who=C), CALLEE2)
    node.book.wire_out("ACK ", CALLEE2)
