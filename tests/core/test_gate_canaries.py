"""A canary in each header field, from both sides, in whatever a call or message can come to: none reaches the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipstack.parser import parse
from tests.core.canaries import (
    BODY_TYPE,
    CALLEES,
    CALLERS,
    PLACES,
    CanaryNode,
    assert_private,
    called,
    filled,
    next_request,
    texted,
    word,
)
from tests.core.corenode import CALLEE, CALLER, SETTINGS, TWO_TARGETS, A, B
from tests.core.parties import B_SDP, answer, answered, invite, of_invite, start, talking

WITHOUT_WORD = ("Max-Breadth", "Require")  # numbers and tags that we know: see AS_IT_CAME
FINALS = (
    300,
    302,
    380,
    400,
    401,
    404,
    407,
    410,
    415,
    421,
    433,
    480,
    484,
    486,
    488,
    500,
    503,
    504,
    580,
    600,
    603,
    604,
    607,
)


@pytest.mark.parametrize("side", [CALLERS, CALLEES])
def test_the_parties_do_say_it(side: str) -> None:
    """The rig is worth nothing if it forgets a place."""
    message = parse(invite())
    data = filled(invite() if side == CALLERS else answer(message, 200, sdp=B_SDP), side).decode()
    present = {line.partition(":")[0] for line in invite().decode().split("\r\n")} if side == CALLERS else set()
    for number, place in enumerate(PLACES):
        name = place.partition(":")[0]
        own = name in present or (side == CALLEES and name in ("Server", "Warning", "P-Asserted-Identity"))
        assert own or name in WITHOUT_WORD or word(side, number) in data, place
    assert word(side, BODY_TYPE) in data


@pytest.mark.parametrize("status", FINALS)
def test_every_final_of_the_first_invite(status: int) -> None:
    node = CanaryNode()
    sent = start(node)
    for provisional in (180, 181, 183, 199):
        node.book.wire_in(answer(sent, provisional), CALLEE)
        node.book.wire_out(f"SIP/2.0 {provisional}", CALLER)
    node.book.wire_in(answer(sent, status, contact=f"<sip:{B}@127.0.0.13:5060>"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    final = node.book.wire_out("SIP/2.0 ", CALLER)
    assert final.status >= 400
    assert_private(node)


def test_next_target_after_a_failure() -> None:
    node = CanaryNode(TWO_TARGETS)
    sent = start(node)
    node.book.wire_in(answer(sent, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    again = node.book.wire_out("INVITE ", "127.0.0.14:5060")
    assert again.call_id != sent.call_id and again.from_tag != sent.from_tag
    assert_private(node)


@pytest.mark.parametrize("status", FINALS)
def test_every_final_of_a_message(status: int) -> None:
    node = CanaryNode()
    with pytest.raises(AssertionError, match=r"expected 'SIP/2\.0 200'"):  # the conversation goes on to a 200
        texted(node, status)
    assert_private(node)


def test_taken_back_and_answered_all_the_same() -> None:
    """CANCEL of the caller, 200 of the callee: it is acknowledged and ended."""
    node = CanaryNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 180), CALLEE)
    node.book.wire_out("SIP/2.0 180", CALLER)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    bye = next_request(node, "BYE", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    assert_private(node)


def test_a_second_fork_and_its_answer() -> None:
    node = CanaryNode()
    talk = answered(node)
    node.book.wire_in(answer(talk.invite, 200, "b-tag2", sdp=B_SDP), CALLEE)
    next_request(node, "BYE", CALLEE)
    assert_private(node)


@pytest.mark.parametrize("to_callee", [True, False])
@pytest.mark.parametrize("method", ["OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE", "PUBLISH"])
def test_what_is_not_carried_within_a_call(method: str, to_callee: bool) -> None:
    node = CanaryNode()
    talk = called(node)
    (talk.from_caller if to_callee else talk.from_callee)(method)
    assert_private(node)


@pytest.mark.parametrize("by_callee", [True, False])
def test_the_end_and_its_answer(by_callee: bool) -> None:
    node = CanaryNode()
    talk = called(node)
    (talk.from_callee if by_callee else talk.from_caller)("BYE")
    ender, other = (CALLEE, CALLER) if by_callee else (CALLER, CALLEE)
    bye = node.book.wire_out("BYE ", other)
    node.book.wire_in(answer(bye, 200, who=A if by_callee else B, contact="<sip:x@10.0.0.1>"), other)
    node.book.wire_out("SIP/2.0 200", ender)
    assert_private(node)


def test_passed_rows_cross_and_their_neighbours_do_not() -> None:
    """`pass_headers` of the receiving side: the canary of that field crosses, no other one."""
    node = CanaryNode(
        replace(SETTINGS, peers=tuple(replace(peer, pass_headers=("X-Order",)) for peer in SETTINGS.peers))
    )
    talking(node, invite().replace(f"X-Order: {A}".encode(), b"X-Order: parcel"))
    with pytest.raises(AssertionError, match=r"\{'X-Order: \{\}'\} crossed"):
        assert_private(node)
    assert b"X-Order: parcel\r\n" in node.sent_to(CALLEE)[0]
