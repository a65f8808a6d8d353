"""Calls that were not answered before the node died: their INVITEs are taken back, their late answers are ended."""

from __future__ import annotations

import pytest

from engine.core.adoption import SKIPPED
from engine.core.call import Call
from engine.core.try_ids import TryIds, ids_of_try
from sipstack import headers as h
from sipstack.message import Message
from sipstack.testing.playbook import wire
from tests.core.corenode import CALLEE, CALLEE2, FIRST_RUN, STRANGER, TWO_TARGETS, CoreNode
from tests.core.parties import B_SDP, answer, ring, start, talking, trying
from tests.core.restart import restarted

SAME = (h.VIA, h.FROM, h.CALL_ID, h.TO)


def cancelled(node: CoreNode, sent: Message, to: str = CALLEE) -> Message:
    """The CANCEL of an INVITE has all that makes it its CANCEL (RFC 3261 §9.1)."""
    cancel = node.book.wire_out("CANCEL ", to)
    assert [cancel.values(header) for header in SAME] == [sent.values(header) for header in SAME]
    assert (cancel.cseq, cancel.uri_text) == (sent.cseq, sent.uri_text)
    return cancel


@pytest.mark.parametrize("rings", [False, True])
def test_invite_is_taken_back(rings: bool) -> None:
    first = CoreNode()
    sent = start(first)
    if rings:
        ring(first, sent)
    node = restarted(first)
    cancel = cancelled(node, sent)
    node.book.silence()
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert (ack.cseq, ack.values(h.VIA)) == (sent.cseq, sent.values(h.VIA))
    node.book.silence()


def test_target_that_never_had_the_invite_says_so() -> None:
    first = CoreNode(TWO_TARGETS)
    sent = start(first)
    node = restarted(first, TWO_TARGETS)
    cancelled(node, sent)
    other = node.book.wire_out("CANCEL ", CALLEE2)
    assert other.call_id != sent.call_id
    node.book.wire_in(answer(other, 481), CALLEE2)
    node.book.silence()


def test_second_target_is_taken_back_by_its_own_names() -> None:
    first = CoreNode(TWO_TARGETS)
    one = start(first)
    first.book.wire_in(answer(one, 503), CALLEE)
    first.book.wire_out("ACK ", CALLEE)
    other = first.book.wire_out("INVITE ", CALLEE2)
    node = restarted(first, TWO_TARGETS)
    cancelled(node, one)
    cancelled(node, other, CALLEE2)


def test_only_what_no_row_names_can_be_told_from_the_record() -> None:
    """The first INVITE has a Call-ID that was drawn, the second one that the next run must make."""
    first = CoreNode(TWO_TARGETS)
    one = start(first)
    (call,) = first.context.attempts.values()
    assert isinstance(call, Call)
    first.book.wire_in(answer(one, 503), CALLEE)
    first.book.wire_out("ACK ", CALLEE)
    other = first.book.wire_out("INVITE ", CALLEE2)
    made = [ids_of_try(FIRST_RUN.key, call.record.record_id, 0, tried.hop.name).call_id for tried in call.tries]
    assert (one.call_id == made[0], other.call_id == made[1]) == (False, True)
    assert one.from_tag == TryIds(FIRST_RUN.key, one.call_id).tag


@pytest.mark.parametrize("before_cancel", [False, True])
def test_late_2xx_is_acknowledged_and_ended(before_cancel: bool) -> None:
    """It comes in the INVITE's transaction, or after that is forgotten."""
    first = CoreNode()
    sent = start(first)
    trying(first, sent)
    node = restarted(first)
    cancelled(node, sent)
    if not before_cancel:
        node.wait(33)
        while node.book.sent:
            node.book.wire_out("CANCEL ", CALLEE)
    for copy in range(2):
        node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
        ack = node.book.wire_out("ACK ", CALLEE)
        assert (ack.cseq, ack.to_tag) == (sent.cseq, "b-tag")
        if not copy:
            bye = node.book.wire_out("BYE ", CALLEE)
            assert (bye.from_tag, bye.cseq) == (sent.from_tag, sent.cseq + SKIPPED + 1)
            node.book.wire_in(answer(bye, 200), CALLEE)
        node.book.silence()


def test_late_fork_of_an_adopted_call_is_ended_and_the_call_goes_on() -> None:
    talk = talking(CoreNode())
    talk.node = restarted(talk.node, after_s=40.0)
    talk.node.book.wire_in(answer(talk.invite, 200, tag="b-tag2", sdp=B_SDP), CALLEE)
    assert talk.node.book.wire_out("ACK ", CALLEE).to_tag == "b-tag2"
    bye = talk.node.book.wire_out("BYE ", CALLEE)
    assert bye.to_tag == "b-tag2"
    talk.node.book.wire_in(answer(bye, 200), CALLEE)
    talk.hang_up()


def stray(call_id: str, from_tag: str, cseq: int, contact: str = "Contact: <sip:x@127.0.0.13:5060>") -> bytes:
    return wire(
        f"""SIP/2.0 200 OK
        Via: SIP/2.0/UDP 127.0.0.11:5060;branch=z9hG4bKunknown
        From: <sip:700123456780001@veil.example>;tag={from_tag}
        To: <sip:x@127.0.0.13>;tag=b-tag
        Call-ID: {call_id}
        CSeq: {cseq} INVITE
        {contact}"""
    )


@pytest.mark.parametrize("wrong", ["nothing", "tag", "number", "source", "contact", "call"])
def test_only_a_2xx_with_our_mark_is_ended(wrong: str) -> None:
    node = CoreNode()
    ids = TryIds(FIRST_RUN.key, "ofOurOwnMaking")
    tag = "aaaaaaaaaaaaa" if wrong == "tag" else ids.tag
    data = stray(
        "another" if wrong == "call" else ids.call_id,
        tag,
        ids.cseq + (wrong == "number"),
        "Contact: *" if wrong == "contact" else "Contact: <sip:x@127.0.0.13:5060>",
    )
    node.book.wire_in(data, STRANGER if wrong == "source" else CALLEE)
    if wrong == "nothing":
        node.book.wire_out("ACK ", CALLEE)
        node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
        assert node.counters["stray_successes_ended"] == 1
    else:
        assert node.counters["stray_successes"] == 1
    node.book.silence()
