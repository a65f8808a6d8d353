"""`session_timer = "insist"`: what shows that an end is there, what that it has left."""

from __future__ import annotations

import pytest

from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.lookers import (
    ADDRESS,
    HALF_S,
    INSIST,
    METHODS,
    SIDES,
    asked,
    both_are_there,
    lost,
    says,
    talk_of,
    until_sent,
)
from tests.core.parties import B_SDP, Talk, answer, start

# -- signs of life -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_who_has_been_heard_is_not_asked(side: str) -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node)
    node.wait(HALF_S - 1)
    say = talk.from_caller if side == "caller" else talk.from_callee
    say("INFO", extra="Content-Type: application/dtmf-relay\n\nSignal=5")
    other = "callee" if side == "caller" else "caller"
    node.book.wire_out("INFO ", ADDRESS[other])  # which is lost
    node.wait(1)
    says(node, next_options(node, other), other)
    node.wait(HALF_S - 1.1)
    skip_repeats(node)
    node.wait(0.2)
    says(node, next_options(node, side), side)
    talk.hang_up()


def next_options(node: CoreNode, side: str) -> Message:
    """The node's OPTIONS to one side, behind repeats of what was lost."""
    while not node.book.sent[0].data.startswith(b"OPTIONS "):
        node.book.sent.popleft()
    return asked(node, side)


def skip_repeats(node: CoreNode) -> None:
    assert not [sent for sent in node.book.sent if sent.data.startswith(b"OPTIONS ")]
    node.book.sent.clear()


def test_a_request_that_is_answered_shows_that_both_are_there() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node)
    node.wait(HALF_S - 1)
    talk.from_caller("INFO", extra="Content-Type: application/dtmf-relay\n\nSignal=5")
    says(node, node.book.wire_out("INFO ", CALLEE), "callee", 415)
    node.book.wire_out("SIP/2.0 415", CALLER)
    node.wait(HALF_S - 0.1)
    node.book.silence()
    node.wait(0.2)
    both_are_there(node)
    talk.hang_up()


@pytest.mark.parametrize("status", [200, 302, 401, 404, 405, 415, 420, 480, 486, 488, 491, 500, 501, 503, 603])
@pytest.mark.parametrize("method", METHODS)
def test_any_other_answer_shows_that_an_end_is_there(method: str, status: int) -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", method)
    node.wait(HALF_S)
    says(node, asked(node, "callee", method), "callee", status)
    if method == "INVITE":
        node.book.wire_out("ACK ", CALLEE)
    says(node, asked(node, "caller"), "caller", status)
    node.wait(HALF_S - 0.1)
    node.book.silence()
    talk.hang_up()


# -- an end that has left ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 481])
@pytest.mark.parametrize("method", METHODS)
def test_an_end_that_knows_of_no_call_has_left(method: str, status: int) -> None:
    node = CoreNode(INSIST)
    talk_of(node, method, method)
    node.wait(HALF_S + 0.1)
    both_are_there(node, method, method)
    known_s = HALF_S + 0.1
    node.wait(HALF_S)
    says(node, asked(node, "callee", method), "callee", sdp=B_SDP if method == "INVITE" else "")
    if method == "INVITE":
        node.book.wire_out("ACK ", CALLEE)
    says(node, asked(node, "caller", method), "caller", status)
    if method == "INVITE":
        node.book.wire_out("ACK ", CALLER)
    lost(node, known_s)
    assert node.counters["sessions_lost"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_an_end_that_says_nothing_has_left(method: str) -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, method, method)
    node.wait(100)
    talk.from_caller("INFO", extra="Content-Type: application/dtmf-relay\n\nSignal=5")
    says(node, node.book.wire_out("INFO ", CALLEE), "callee")
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(HALF_S)
    asked(node, "callee", method)
    node.wait(31.9)
    assert {sent.data.split(b" ")[0] for sent in node.book.sent} == {method.encode()}
    node.book.sent.clear()
    node.wait(0.3)
    lost(node, 100)


def test_both_were_there_when_the_answer_was_acknowledged() -> None:
    node = CoreNode(INSIST)
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    node.wait(0.4)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    until_sent(node, "OPTIONS")
    says(node, asked(node, "callee"), "callee", 481)
    lost(node, 0.4)


@pytest.mark.parametrize("status", [100, 183])
def test_an_end_that_never_comes_to_an_answer_has_left(status: int) -> None:
    """A proxy says 100 whoever is behind it: 64*T1, a CANCEL, and as long again (§9.1)."""
    node = CoreNode(INSIST)
    talk_of(node, "INVITE", "INVITE")
    node.wait(HALF_S)
    says(node, asked(node, "callee", "INVITE"), "callee", status)
    node.wait(32.1)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    says(node, cancel, "callee")
    node.wait(32)
    lost(node, 0)


def test_an_end_that_answers_the_cancel_is_there() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", "INVITE")
    node.wait(HALF_S)
    question = asked(node, "callee", "INVITE")
    says(node, question, "callee", 100)
    node.wait(32.1)
    says(node, node.book.wire_out("CANCEL ", CALLEE), "callee")
    says(node, question, "callee", 487)
    node.book.wire_out("ACK ", CALLEE)
    says(node, asked(node, "caller"), "caller")
    node.wait(60)
    node.book.silence()
    talk.hang_up()


def test_a_trunk_that_cannot_be_reached_says_nothing_about_the_end_at_first() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node)
    node.wait(HALF_S)
    for _ in range(3):
        asked(node, "callee")
        node.transport_fails(CALLEE)
        node.book.silence()
        node.wait(32.1)
    says(node, asked(node, "callee"), "callee")
    says(node, asked(node, "caller"), "caller")
    talk.hang_up()


def test_a_trunk_that_cannot_be_reached_for_a_whole_interval_has_lost_the_end() -> None:
    node = CoreNode(INSIST)
    talk_of(node)
    node.wait(HALF_S)
    for _ in range(10):
        asked(node, "callee")
        node.transport_fails(CALLEE)
        node.wait(32.1)
    assert not node.records
    asked(node, "callee")
    node.transport_fails(CALLEE)
    lost(node, 0)
