"""Two UPDATEs at a time in one conversation (RFC 3311 §5.2), early and confirmed, from either side."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, A, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, ring, start, talking

A_CONTACT = f"<sip:{A}@127.0.0.12:5060>"
BOTH = pytest.mark.parametrize("side", ["caller", "callee"])
STAGES = pytest.mark.parametrize("stage", ["early", "talking"])


def conversation(node: CoreNode, stage: str) -> Talk:
    if stage == "talking":
        return talking(node)
    sent = start(node)
    return Talk(node, sent, ring(node, sent, 183))


def over(talk: Talk, stage: str) -> None:
    """However it went, it hurt nobody: the call ends as calls do."""
    if stage == "talking":
        talk.hang_up()
        return
    talk.node.book.wire_in(answer(talk.invite, 486), CALLEE)
    talk.node.book.wire_out("ACK ", CALLEE)
    talk.node.book.wire_out("SIP/2.0 486", CALLER)


def update(talk: Talk, side: str, offers: bool = True) -> None:
    if side == "caller":
        talk.from_caller("UPDATE", sdp=SDP if offers else "")
    else:
        talk.from_callee("UPDATE", sdp=B_SDP if offers else "")


def ends(side: str) -> tuple[str, str]:
    """Where an UPDATE of this side comes from, and where it goes."""
    return (CALLER, CALLEE) if side == "caller" else (CALLEE, CALLER)


def agree(node: CoreNode, sent: Message, side: str) -> None:
    """The other side says yes."""
    near, far = ends(side)
    sdp = {"sdp": B_SDP} if side == "caller" else {"sdp": SDP, "contact": A_CONTACT}
    node.book.wire_in(answer(sent, 200, **(sdp if sent.body else {})), far)  # type: ignore[arg-type]
    node.book.wire_out("SIP/2.0 200", near)
    node.book.silence()


@STAGES
@BOTH
def test_second_of_the_same_side_is_500_with_retry_after(side: str, stage: str) -> None:
    node = CoreNode()
    talk = conversation(node, stage)
    near, far = ends(side)
    update(talk, side)
    first = node.book.wire_out("UPDATE ", far)
    for offers in (True, False):
        update(talk, side, offers)
        response = node.book.wire_out("SIP/2.0 500", near)
        assert 0 <= int(response.value(h.RETRY_AFTER) or "-1") <= 10
        node.book.silence()
    agree(node, first, side)
    update(talk, side)
    second = node.book.wire_out("UPDATE ", far)
    assert second.cseq == first.cseq + 1  # those that went nowhere have left no gap
    agree(node, second, side)
    over(talk, stage)


@STAGES
@BOTH
def test_offers_that_cross_are_491_to_the_second(side: str, stage: str) -> None:
    node = CoreNode()
    talk = conversation(node, stage)
    near, far = ends(side)
    update(talk, side)
    first = node.book.wire_out("UPDATE ", far)
    other = "callee" if side == "caller" else "caller"
    update(talk, other)
    assert node.book.wire_out("SIP/2.0 491", far).value(h.RETRY_AFTER) is None
    node.book.silence()
    agree(node, first, side)
    update(talk, other)  # now its turn
    agree(node, node.book.wire_out("UPDATE ", near), other)
    over(talk, stage)


@STAGES
@pytest.mark.parametrize(("first_offers", "second_offers"), [(True, False), (False, True), (False, False)])
def test_without_two_offers_nothing_is_in_the_way(first_offers: bool, second_offers: bool, stage: str) -> None:
    node = CoreNode()
    talk = conversation(node, stage)
    update(talk, "caller", first_offers)
    first = node.book.wire_out("UPDATE ", CALLEE)
    update(talk, "callee", second_offers)
    agree(node, node.book.wire_out("UPDATE ", CALLER), "callee")
    agree(node, first, "caller")
    over(talk, stage)


@BOTH
def test_one_that_is_never_answered_is_not_in_the_way_for_ever(side: str) -> None:
    node = CoreNode()
    talk = talking(node)
    near, far = ends(side)
    update(talk, side)
    node.wait(33)
    node.book.sent.clear()  # Timer E
    update(talk, side)
    node.book.wire_in(answer(node.book.wire_out("UPDATE ", far), 481, contact=A_CONTACT), far)
    node.book.wire_out("SIP/2.0 481", near)
    talk.hang_up()


@BOTH
def test_offer_in_the_middle_of_a_reinvite_is_for_the_ends_to_judge(side: str) -> None:
    """A reliable provisional may have answered the offer of the re-INVITE: the ends know, the node does not."""
    node = CoreNode()
    talk = talking(node)
    near, far = ends(side)
    talk.from_caller("INVITE", sdp=SDP)
    node.book.wire_out("SIP/2.0 100", CALLER)
    again = node.book.wire_out("INVITE ", CALLEE)
    update(talk, side)
    sent = node.book.wire_out("UPDATE ", far)
    status, row = (500, "Retry-After: 7") if side == "caller" else (491, "")
    node.book.wire_in(answer(sent, status, extra=row, contact=A_CONTACT), far)
    assert node.book.wire_out(f"SIP/2.0 {status}", near).value(h.RETRY_AFTER) == ("7" if row else None)
    node.book.wire_in(answer(again, 488), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 488", CALLER)
    talk.hang_up()


def test_early_dialogs_are_not_in_one_anothers_way() -> None:
    node = CoreNode()
    sent = start(node)
    talks = [Talk(node, sent, ring(node, sent, 183, tag), tag) for tag in ("b-tag-1", "b-tag-2")]
    for number, talk in enumerate(talks):
        talk.from_caller("UPDATE", sdp=SDP, branch=f"z9hG4bK-a-fork{number}")
        assert node.book.wire_out("UPDATE ", CALLEE).to_tag == talk.tag
    over(talks[0], "early")
