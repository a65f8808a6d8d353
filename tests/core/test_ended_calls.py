"""What an ended call keeps, and that copies and late messages are answered from it as if it had kept everything."""

from __future__ import annotations

import gc
import sys
from collections import deque
from types import FunctionType, ModuleType

import pytest

from bench.bare_core import BareCore
from bench.conversations import record
from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, of_invite, refused, ring, start, talking
from tests.core.test_redirect import C, contact, following

CALLS = 60
# Of each conversation, for its first half second: blocks and bytes. The compiled build takes a tenth more of either.
MOST_KEPT = {"answered": (110, 10_000), "cancelled": (110, 10_300), "refused": (38, 3_600), "message": (26, 2_500)}


def blocks_behind(root: object) -> dict[int, int]:
    """The size of each object that is held by another one that can be reached from there."""
    found: dict[int, int] = {}
    waiting = deque([root])
    while waiting:
        one = waiting.pop()
        if id(one) in found or isinstance(one, (type, ModuleType, FunctionType)):
            continue
        found[id(one)] = sys.getsizeof(one) + (16 if gc.is_tracked(one) else 0)
        waiting.extend(gc.get_referents(one))
    return found


@pytest.mark.parametrize("name", MOST_KEPT)
def test_what_has_ended_keeps_little(name: str) -> None:
    incoming = [(bytes(bytearray(data)), flow, now) for data, flow, now in record(name, CALLS).incoming]
    core = BareCore()
    before = blocks_behind(core)
    for data, flow, now in incoming:
        core.feed(data, flow, now)
    kept = [size for block, size in blocks_behind(core).items() if block not in before]
    blocks, octets = len(kept) / CALLS, sum(kept) / CALLS
    most_blocks, most_octets = MOST_KEPT[name]
    assert (blocks <= most_blocks, octets <= most_octets) == (True, True), f"{blocks:.1f} blocks, {octets:.0f} octets"


@pytest.mark.parametrize("by_caller", [True, False])
def test_copies_after_the_end_get_what_they_got_before(by_caller: bool) -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    ack = node.book.wire_out("ACK ", CALLEE)
    (near, far) = (CALLER, CALLEE) if by_caller else (CALLEE, CALLER)
    say = talk.from_caller if by_caller else talk.from_callee
    say("BYE", branch="z9hG4bK-ended")
    bye = node.book.wire_out("BYE ", far)
    node.book.wire_in(answer(bye, 200), far)
    ok = node.book.log[-1].data
    node.book.wire_out("SIP/2.0 200", near)
    last = talk.caller_seq if by_caller else talk.callee_seq
    for seconds in (0.1, 0.6, 4, 6, 30):
        node.book.at(seconds)
        say("BYE", branch="z9hG4bK-ended", cseq=last)
        assert node.book.log[-1].data == ok
        node.book.wire_out("SIP/2.0 200", near)
        node.book.wire_in(answer(bye, 200), far)  # of ours: absorbed, or nobody's
        node.book.wire_in(invite(), CALLER)
        node.book.wire_in(answer(sent, 180), CALLEE)
        talk.from_caller("ACK", branch=f"z9hG4bK-ack{seconds}")
        node.book.silence()
        node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
        assert node.book.wire_out("ACK ", CALLEE) == ack
        node.book.silence()
    node.book.at(33)  # the transactions of the INVITE are forgotten, the dialogs are not
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    assert node.book.wire_out("ACK ", CALLEE) == ack
    node.book.silence()
    assert len(node.records) == 1


def test_a_cancel_after_the_end_has_the_tag_of_the_invites_answers() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.hang_up()
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLER).to_tag == talk.ok.to_tag
    node.book.silence()


def test_a_refusal_is_repeated_and_its_cancel_answered_after_the_end() -> None:
    node = CoreNode(bindings=())
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    gone = refused(node, 404, 1)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLER).to_tag == gone.to_tag
    node.book.silence()


@pytest.mark.parametrize("status", [300, 302, 380, 400, 401, 407, 408, 422, 480, 486, 487, 500, 503, 600, 603])
def test_whatever_the_callee_says_to_a_call_that_was_taken_back_is_acknowledged_and_no_more(status: int) -> None:
    """The binding, the routes and the INVITE by which another callee could be found are gone."""
    node = CoreNode(following())
    sent = start(node)
    ring(node, sent)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("CANCEL ", CALLEE)
    refused(node, 487, 16)
    node.book.wire_in(answer(sent, status, contact=contact(C) if status < 400 else ""), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    assert len(node.records) == 1


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "OPTIONS", "BYE"])
def test_requests_in_an_ended_dialog(method: str) -> None:
    node = CoreNode()
    talk = talking(node)
    talk.hang_up()
    for say, near in ((talk.from_caller, CALLER), (talk.from_callee, CALLEE)):
        say(method, sdp=SDP if method == "INVITE" else "")
        response = node.book.wire_out("SIP/2.0 200" if method == "BYE" else "SIP/2.0 481", near)
        assert set(response.ids) == {h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.CONTENT_LENGTH}
        if method == "INVITE":
            branch = f"z9hG4bK-{'a' if near == CALLER else 'b'}INVITE{response.cseq}"
            say("ACK", cseq=response.cseq, branch=branch)
        say(method, cseq=1, branch="z9hG4bK-low" + near)  # an old number
        node.book.wire_out("SIP/2.0 500", near)
        if method == "INVITE":
            say("ACK", cseq=1, branch="z9hG4bK-low" + near)
        node.book.silence()


@pytest.mark.parametrize("seconds", [1, 20])
def test_another_phone_that_answers_after_the_end_is_acknowledged_and_released(seconds: float) -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent, tag="late")
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()
    node.book.at(seconds)
    for tag in ("late", "later"):
        node.book.wire_in(answer(sent, 200, tag, sdp=B_SDP), CALLEE)
        ack, bye = node.book.wire_out("ACK ", CALLEE), node.book.wire_out("BYE ", CALLEE)
        assert (ack.to_tag, bye.to_tag, ack.cseq) == (tag, tag, sent.cseq)
        assert ack.uri_text == bye.uri_text
        node.book.wire_in(answer(bye, 200), CALLEE)
        node.book.wire_in(answer(sent, 200, tag, sdp=B_SDP), CALLEE)
        assert node.book.wire_out("ACK ", CALLEE) == ack
        node.book.silence()


def test_a_call_whose_2xx_is_still_repeated_keeps_it() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    ok = node.book.log[-1].data
    talk.from_callee("BYE")
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.book.at(0.6)
    assert node.book.log[-1].data == ok
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200), CALLER)
    node.book.at(60)
    node.book.silence()
