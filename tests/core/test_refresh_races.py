"""`session_timer = "insist"`: what the ends say while the node is asking them."""

from __future__ import annotations

from collections import deque

import pytest

from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.lookers import (
    ADDRESS,
    HALF_S,
    INSIST,
    METHODS,
    SIDES,
    asked,
    says,
    talk_of,
)
from tests.core.parties import B_SDP, SDP, answer


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("open_one", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("side", SIDES)
def test_an_offer_of_an_end_that_meets_a_question_is_491(side: str, open_one: str, method: str) -> None:
    """RFC 3261 §14.2, RFC 3311 §5.2; of the other end, too: it could not be carried now."""
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", open_one)
    node.wait(HALF_S)
    question = asked(node, "callee", open_one)
    (talk.from_caller if side == "caller" else talk.from_callee)(method, sdp=SDP if side == "caller" else B_SDP)
    node.book.wire_out("SIP/2.0 491", ADDRESS[side])
    if method == "INVITE":
        seq = talk.caller_seq if side == "caller" else talk.callee_seq
        say = talk.from_caller if side == "caller" else talk.from_callee
        say("ACK", cseq=seq, branch=f"z9hG4bK-{'a' if side == 'caller' else 'b'}INVITE{seq}")
    says(node, question, "callee", sdp=B_SDP if open_one == "INVITE" else "")
    if open_one == "INVITE":
        node.book.wire_out("ACK ", CALLEE)
    if side == "callee":
        says(node, asked(node, "caller"), "caller")
    else:
        says(node, asked(node, "caller"), "caller")
    talk.hang_up()


def test_other_requests_pass_while_a_question_is_open() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", "UPDATE")
    node.wait(HALF_S)
    question = asked(node, "callee", "UPDATE")
    talk.from_caller("INFO", extra="Content-Type: application/dtmf-relay\n\nSignal=5")
    info = node.book.wire_out("INFO ", CALLEE)
    assert info.cseq == question.cseq + 1
    says(node, info, "callee")
    node.book.wire_out("SIP/2.0 200", CALLER)
    says(node, question, "callee")
    says(node, asked(node, "caller"), "caller")
    talk.hang_up()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_nobody_is_asked_while_the_ends_negotiate(method: str) -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "UPDATE", "UPDATE")
    node.wait(HALF_S - 1)
    talk.from_caller(method, sdp=SDP)
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", CALLER)
    offer = node.book.wire_out(f"{method} ", CALLEE)
    if method == "INVITE":
        says(node, offer, "callee", 180)
        node.book.wire_out("SIP/2.0 180", CALLER)
    node.wait(20)
    assert {sent.data.split(b" ")[0] for sent in node.book.sent} <= {method.encode()}
    node.book.sent.clear()
    says(node, offer, "callee", 488)
    if method == "INVITE":
        node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 488", CALLER)
    if method == "INVITE":
        talk.from_caller("ACK", cseq=talk.caller_seq, branch=f"z9hG4bK-aINVITE{talk.caller_seq}")
    node.wait(HALF_S - 20.1)
    node.book.silence()  # the caller was heard 20 s ago
    talk.hang_up()


def test_an_end_that_asks_for_itself_meanwhile_has_not_left() -> None:
    """Its question to us crosses ours, which gets lost: the silence is the network's."""
    node = CoreNode(INSIST)
    talk = talk_of(node)
    node.wait(HALF_S)
    asked(node, "callee")
    node.wait(20)
    node.book.sent.clear()
    talk.from_callee("OPTIONS")
    node.book.wire_out("SIP/2.0 200", CALLEE)
    while node.book.sent == deque() or node.book.sent[0].flow.host == "127.0.0.13":
        node.book.sent.clear()
        node.wait(0.1)
    says(node, asked(node, "caller"), "caller")
    talk.hang_up()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noticed", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_a_bye_that_crosses_a_question_is_an_ordinary_end(side: str, noticed: bool, method: str) -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", method)
    node.wait(HALF_S)
    question = asked(node, "callee", method)
    if noticed:
        says(node, question, "callee", 100)
    other = "caller" if side == "callee" else "callee"
    (talk.from_caller if side == "caller" else talk.from_callee)("BYE")
    says(node, node.book.wire_out("BYE ", ADDRESS[other]), other)
    node.book.wire_out("SIP/2.0 200", ADDRESS[side])
    node.wait(5)
    node.book.silence()  # the question is not asked again
    assert (node.record["release_cause"], node.record["duration_ms"]) == ("NORMAL", round(HALF_S * 1000))
    if noticed and method == "INVITE":
        says(node, question, "callee", 487)
        node.book.wire_out("ACK ", CALLEE)
        node.book.silence()


def test_a_question_that_is_never_answered_does_not_outlive_the_call() -> None:
    """The teardown sees that nothing is left."""
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", "INVITE")
    node.wait(HALF_S)
    says(node, asked(node, "callee", "INVITE"), "callee", 183)
    talk.hang_up()


def test_a_round_is_broken_off_when_the_ends_negotiate() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "UPDATE", "OPTIONS")
    node.wait(HALF_S)
    question = asked(node, "callee")
    talk.from_caller("UPDATE", sdp=SDP)
    update = node.book.wire_out("UPDATE ", CALLEE)
    says(node, question, "callee")
    node.book.silence()  # the caller would be asked by UPDATE now
    says(node, update, "callee", sdp=B_SDP)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(HALF_S - 0.1)
    node.book.silence()
    node.wait(0.2)
    says(node, asked(node, "callee"), "callee")
    says(node, asked(node, "caller", "UPDATE"), "caller")
    talk.hang_up()


def test_a_2xx_that_crosses_the_bye_is_acknowledged() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", "INVITE")
    node.wait(HALF_S)
    question = asked(node, "callee", "INVITE")
    says(node, question, "callee", 100)
    talk.hang_up()
    for _ in range(2):
        says(node, question, "callee", sdp=B_SDP)
        node.book.wire_out("ACK ", CALLEE)
    node.book.silence()


def test_copies_of_a_2xx_are_acknowledged_alike() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "INVITE", "INVITE")
    node.wait(HALF_S)
    question = asked(node, "callee", "INVITE")
    says(node, question, "callee", sdp=B_SDP)
    first = node.book.wire_out("ACK ", CALLEE)
    to_caller = asked(node, "caller", "INVITE")
    says(node, question, "callee", sdp=B_SDP)
    again = node.book.wire_out("ACK ", CALLEE)
    assert again.lines == first.lines
    says(node, to_caller, "caller", sdp=SDP)
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_an_end_that_has_moved_is_asked_where_it_is() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", "INVITE")
    node.wait(HALF_S)
    question = asked(node, "callee", "INVITE")
    moved = "<sip:moved@127.0.0.13:5070>"
    node.book.wire_in(answer(question, 200, sdp=B_SDP, contact=moved), CALLEE)
    ack = node.book.wire_out("ACK ", "127.0.0.13:5070")
    assert ack.uri_text == moved.strip("<>")
    says(node, asked(node, "caller"), "caller")
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", "127.0.0.13:5070")
    says(node, bye, "callee")
    node.book.wire_out("SIP/2.0 200", CALLER)
