"""Reliable provisionals (RFC 3262) through two dialogs: forks, offers, and what is lost on the way."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, B, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, ring, sdp_of, start

RELIABLE = "Require: 100rel\nRSeq: {0}"


def test_each_fork_has_its_own_dialog_and_its_own_prack() -> None:
    """Two phones ring, each with an RSeq of its own; the caller tells them apart by the tags that we gave."""
    node = CoreNode()
    sent = start(node)
    forks = [
        Talk(node, sent, ring(node, sent, 183, tag, RELIABLE.format(rseq)), tag)
        for tag, rseq in (("b-tag-1", 776), ("b-tag-2", 31))
    ]
    first, second = forks
    assert len({first.ok.to_tag, second.ok.to_tag, first.tag, second.tag}) == 4
    assert [fork.ok.value(h.RSEQ) for fork in forks] == ["776", "31"]
    pracks = []
    for fork, rseq in ((second, 31), (first, 776)):
        fork.from_caller("PRACK", extra=f"RAck: {rseq} 1 INVITE", branch=f"z9hG4bK-a-prack{rseq}")
        prack = node.book.wire_out("PRACK ", CALLEE)
        assert (prack.to_tag, prack.value(h.RACK)) == (fork.tag, f"{rseq} {sent.cseq} INVITE")
        assert (prack.cseq, prack.call_id) == (sent.cseq + 1, sent.call_id)  # each dialog counts for itself
        pracks.append((fork, prack))
    for fork, prack in pracks:
        node.book.wire_in(answer(prack, 200), CALLEE)
        ok = node.book.wire_out("SIP/2.0 200", CALLER)
        assert (ok.method, ok.to_tag, ok.cseq) == ("PRACK", fork.ok.to_tag, fork.caller_seq)
    node.book.wire_in(answer(sent, 200, "b-tag-2", sdp=B_SDP), CALLEE)
    won = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER), "b-tag-2", caller_seq=2)
    assert won.ok.to_tag == second.ok.to_tag
    first.from_caller("PRACK", extra="RAck: 777 1 INVITE", branch="z9hG4bK-a-late")
    node.book.wire_out("SIP/2.0 481", CALLER)  # the fork that lost is gone
    won.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    won.hang_up()


def test_offer_in_the_provisional_is_answered_in_the_prack() -> None:
    """The caller's INVITE made none (RFC 3262 §5)."""
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    node.book.wire_in(answer(sent, 183, extra=RELIABLE.format(1), sdp=B_SDP), CALLEE)
    progress = node.book.wire_out("SIP/2.0 183", CALLER)
    assert sdp_of(progress)["o"].endswith("127.0.0.11") and B.encode() not in progress.body
    talk = Talk(node, sent, progress)
    talk.from_caller("PRACK", extra="RAck: 1 1 INVITE", sdp=SDP)
    prack = node.book.wire_out("PRACK ", CALLEE)
    assert sdp_of(prack)["c"] == "IN IP4 10.1.2.3" and sdp_of(prack)["s"] == "-"
    node.book.wire_in(answer(prack, 200), CALLEE)
    assert not node.book.wire_out("SIP/2.0 200", CALLER).body
    node.book.wire_in(answer(sent, 200), CALLEE)  # all is agreed
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert ok.to_tag == progress.to_tag and not ok.body
    talk.from_caller("ACK")
    assert not node.book.wire_out("ACK ", CALLEE).body
    talk.hang_up()


def test_offer_in_the_prack_is_answered_in_its_200() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 183, extra=RELIABLE.format(1), sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 183", CALLER))
    talk.from_caller("PRACK", extra="RAck: 1 1 INVITE", sdp=SDP.replace("2890844526 2890844526", "2890844526 5"))
    prack = node.book.wire_out("PRACK ", CALLEE)
    assert sdp_of(prack)["o"] != sdp_of(sent)["o"]
    node.book.wire_in(answer(prack, 200, sdp=B_SDP), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert sdp_of(ok)["c"] == "IN IP4 10.9.2.3" and sdp_of(ok)["o"] == sdp_of(talk.ok)["o"]
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


def test_provisionals_follow_in_their_order_each_with_its_prack() -> None:
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, sent)
    for count, (status, rseq) in enumerate(((183, 10), (180, 11), (183, 12)), 1):
        talk.ok = ring(node, sent, status, extra=RELIABLE.format(rseq))
        assert talk.ok.value(h.RSEQ) == str(rseq)
        talk.from_caller("PRACK", extra=f"RAck: {rseq} 1 INVITE")
        prack = node.book.wire_out("PRACK ", CALLEE)
        assert (prack.cseq, prack.value(h.RACK)) == (sent.cseq + count, f"{rseq} {sent.cseq} INVITE")
        node.book.wire_in(answer(prack, 200), CALLEE)
        node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


def test_lost_pracks_are_repeated_by_the_caller_and_provisionals_by_the_callee() -> None:
    """RFC 3262 §3: from T1 on, doubled; the node hands on each copy of the 183 and one PRACK."""
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent, 183, extra=RELIABLE.format(1)))
    for gap_s in (0.5, 1.0):
        node.wait(gap_s)
        node.book.wire_in(answer(sent, 183, extra=RELIABLE.format(1)), CALLEE)
        assert node.book.wire_out("SIP/2.0 183", CALLER) == talk.ok
    talk.from_caller("PRACK", extra="RAck: 1 1 INVITE", cseq=2)
    prack = node.book.wire_out("PRACK ", CALLEE)
    talk.from_caller("PRACK", extra="RAck: 1 1 INVITE", cseq=2)  # the same transaction
    node.book.silence()
    node.wait(0.6)
    assert node.book.wire_out("PRACK ", CALLEE) == prack  # Timer E
    node.book.wire_in(answer(prack, 200), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("PRACK", extra="RAck: 1 1 INVITE", cseq=2)
    assert node.book.wire_out("SIP/2.0 200", CALLER) == ok
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


@pytest.mark.parametrize("number", [1, 100, 0])
def test_callee_has_nothing_to_prack_in_an_invite_that_is_not_its_own(number: int) -> None:
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent, 183, extra=RELIABLE.format(1)))
    talk.from_callee("PRACK", extra=f"RAck: 1 {number or sent.cseq} INVITE")
    node.book.wire_out("SIP/2.0 481", CALLEE)
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
