"""A callee could try numbers of ten digits: the caller's PRACK repeats its RSeq, and was stopped when one was right."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, B, CoreNode, axb
from tests.core.parties import Talk, invite, ring, start

RIGHT, WRONG = "2088888888", "2088888881"


def ringing(number: str, rseq: str) -> tuple[CoreNode, Talk]:
    node = CoreNode(bindings=(axb(caller=number), axb(caller=B, callee=number)))
    sent = start(node, invite(caller=number))
    return node, Talk(node, sent, ring(node, sent, 183, extra=f"Require: 100rel\nRSeq: {rseq}"))


@pytest.mark.parametrize(("number", "rseq"), [(RIGHT, RIGHT), (RIGHT, WRONG), ("95588", "95588"), ("95588", "95566")])
def test_the_prack_of_a_guess_crosses_right_or_wrong(number: str, rseq: str) -> None:
    node, talk = ringing(number, rseq)
    talk.from_caller("PRACK", extra=f"RAck: {rseq} 1 INVITE")
    prack = node.book.wire_out("PRACK ", CALLEE)
    assert prack.value(h.RACK) == f"{rseq} {talk.invite.cseq} INVITE"
    assert node.leaks == []


@pytest.mark.parametrize("rack", [RIGHT, "77"])
def test_a_prack_names_an_rseq_that_has_come(rack: str) -> None:
    """RFC 3262 §3: 481. So a caller cannot write a number of its own there."""
    node, talk = ringing(RIGHT, "5")
    talk.from_caller("PRACK", extra=f"RAck: {rack} 1 INVITE")
    node.book.wire_out("SIP/2.0 481", CALLER)
    node.book.silence()
