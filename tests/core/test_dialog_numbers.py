"""The numbers of requests: each dialog has its own, in every method, from either side (RFC 3261 §12.2)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, A, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, sdp_of, talking

A_CONTACT = f"<sip:{A}@127.0.0.12:5060>"
METHODS = ("INFO", "UPDATE", "INVITE")


def carried(talk: Talk, side: str, method: str, number: int) -> Message:
    """A request with this number, as the other side gets it; refused there, which changes nothing."""
    node = talk.node
    near, far = (CALLER, CALLEE) if side == "caller" else (CALLEE, CALLER)
    say = talk.from_caller if side == "caller" else talk.from_callee
    say(method, sdp="" if method == "INFO" else SDP, cseq=number)
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", near)
    sent = node.book.wire_out(f"{method} ", far)
    node.book.wire_in(answer(sent, 488, contact=A_CONTACT), far)
    if method == "INVITE":
        node.book.wire_out("ACK ", far)
    assert node.book.wire_out("SIP/2.0 488", near).cseq == number
    return sent


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_numbers_of_one_side_say_nothing_on_the_other(side: str) -> None:
    """However a side counts, ours go up by one; where they begin has to do with nothing."""
    begun, steps = [], []
    for first in (200, 90_000):
        node = CoreNode()
        node.context.tokens.letters(first % 7 + 1)  # so that chance is not the same for both
        talk = talking(node)
        jumps = (first, first + 1, first + 5000)
        numbers = [carried(talk, side, method, jump).cseq for method, jump in zip(METHODS, jumps, strict=True)]
        begun.append(numbers[0])
        steps += [after - before for before, after in pairwise(numbers)]
        talk.caller_seq = 1_000_000
        talk.hang_up()
    assert steps == [1, 1, 1, 1]
    assert abs(begun[1] - begun[0]) != 90_000 - 200


def test_both_sides_count_for_themselves_at_the_same_time() -> None:
    node = CoreNode()
    talk = talking(node)
    to_callee = [carried(talk, "caller", "INFO", number).cseq for number in (2, 3)]
    to_caller = [carried(talk, "callee", "INFO", number).cseq for number in (7, 8, 9)]
    to_callee.append(carried(talk, "caller", "UPDATE", 4).cseq)
    assert to_callee == [talk.invite.cseq + step for step in (1, 2, 3)]
    assert to_caller == [to_caller[0] + step for step in (0, 1, 2)]
    assert not set(to_caller) & {*to_callee, 2, 3, 4, 7, 8, 9}
    talk.caller_seq = 4
    talk.hang_up()


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "INVITE", "OPTIONS", "PRACK"])
def test_number_of_the_callee_that_is_not_higher_is_500(method: str) -> None:
    node = CoreNode()
    talk = talking(node)
    carried(talk, "callee", "INFO", 10)
    for number in (9, 10):
        talk.from_callee(method, cseq=number, branch=f"z9hG4bK-blow{number}")
        node.book.wire_out("SIP/2.0 500", CALLEE)
        node.book.silence()
    talk.hang_up()
    assert node.record["release_direction"] == "caller"


def test_late_offer_in_a_reinvite_of_the_callee() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_callee("INVITE")
    node.book.wire_out("SIP/2.0 100", CALLEE)
    again = node.book.wire_out("INVITE ", CALLER)
    assert not again.body and again.value(h.CONTENT_TYPE) is None
    node.book.wire_in(answer(again, 200, sdp=SDP, who=A, contact=A_CONTACT), CALLER)
    assert sdp_of(node.book.wire_out("SIP/2.0 200", CALLEE))["c"] == "IN IP4 10.1.2.3"
    talk.from_callee("ACK", cseq=talk.callee_seq, sdp=B_SDP)
    ack = node.book.wire_out("ACK ", CALLER)
    assert ack.cseq == again.cseq and sdp_of(ack)["c"] == "IN IP4 10.9.2.3"
    talk.hang_up()
