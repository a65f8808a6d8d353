"""What moves an end or its session interval is durable before its 2xx leaves; what moves nothing waits for nothing."""

from __future__ import annotations

import pytest

from engine.core.change import CHANGE_TABLE, CHANGED, CHANGING, GIVEN_UP, STORE_FAILED, STORED
from engine.core.frozen_call import FrozenCall
from engine.core.records import Step
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, talking
from tests.core.restart import restarted, thawed

A_ELSEWHERE = f"<sip:{A}@127.0.0.12:5062>"
B_ELSEWHERE = f"<sip:{B}@127.0.0.13:5064>"


def holding() -> Talk:
    """A conversation whose store keeps changes waiting."""
    talk = talking(CoreNode())
    talk.node.durable.remove(Step.CHANGE)
    return talk


def asked(talk: Talk, method: str, extra: str = "", back: str = "", contact: str = "") -> Message:
    """The caller asks, the callee agrees; what the callee has got."""
    book = talk.node.book
    talk.from_caller(method, extra, SDP if method == "INVITE" else "")
    if method == "INVITE":
        book.wire_out("SIP/2.0 100", CALLER)
    crossed = book.wire_out(f"{method} ", CALLEE)
    book.wire_in(answer(crossed, 200, extra=back, sdp=B_SDP if method == "INVITE" else "", contact=contact), CALLEE)
    return crossed


def frozen(talk: Talk) -> FrozenCall:
    return thawed(talk.node.held[0].extra)


def acknowledged(talk: Talk, method: str) -> None:
    talk.node.book.wire_out("SIP/2.0 200", CALLER)
    if method == "INVITE":
        talk.from_caller("ACK", cseq=talk.caller_seq)
        talk.node.book.wire_out("ACK ")


CHANGES = (
    {"extra": f"Contact: {A_ELSEWHERE}"},
    {"contact": B_ELSEWHERE},
    {"back": "Session-Expires: 300;refresher=uas"},
)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("change", CHANGES)
def test_2xx_that_changes_something_waits_for_the_store(method: str, change: dict[str, str]) -> None:
    talk = holding()
    asked(talk, method, **change)
    talk.node.book.silence()
    (held,) = talk.node.held
    assert (held.step, held.attempt.state_name) == (Step.CHANGE, "Changing")
    kept = frozen(talk)
    caller_port, callee_port = 5062 if "extra" in change else 5060, 5064 if "contact" in change else 5060
    assert kept.caller.remote_target == f"sip:{A}@127.0.0.12:{caller_port}"
    assert kept.callee.remote_target == f"sip:{B}@127.0.0.13:{callee_port}"
    assert kept.session_s == (300 if "back" in change else 0)
    talk.node.release_held()
    acknowledged(talk, method)
    if "contact" in change:
        talk.from_caller("BYE")
        bye = talk.node.book.wire_out("BYE ", "127.0.0.13:5064")
        talk.node.book.wire_in(answer(bye, 200), CALLEE)
        talk.node.book.wire_out("SIP/2.0 200", CALLER)
    else:
        talk.hang_up()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_2xx_that_changes_nothing_waits_for_nothing(method: str) -> None:
    talk = holding()
    asked(talk, method)
    acknowledged(talk, method)
    assert talk.node.held == []
    talk.hang_up()


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_change_that_is_not_durable_is_500(method: str, silent: bool) -> None:
    """For who has asked nothing has moved; the far end has agreed, and is reached where it says it is."""
    talk = holding()
    node = talk.node
    crossed = asked(talk, method, extra=f"Contact: {A_ELSEWHERE}", contact=B_ELSEWHERE)
    if silent:
        node.wait(4.9)
        node.book.silence()
        node.wait(0.2)
    else:
        node.release_held(durable=False)
    node.book.wire_out("SIP/2.0 500", CALLER)
    if method == "INVITE":
        assert node.book.wire_out("ACK ", "127.0.0.13:5064").cseq == crossed.cseq
        node.book.wire_in(answer(crossed, 200, sdp=B_SDP, contact=B_ELSEWHERE), CALLEE)
        node.book.wire_out("ACK ", "127.0.0.13:5064")
        talk.from_caller("ACK", cseq=talk.caller_seq, branch=f"z9hG4bK-aINVITE{talk.caller_seq}")
    if silent:
        node.release_held()
    node.book.silence()
    talk.from_callee("BYE")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)


def test_copy_of_a_2xx_waits_with_the_first() -> None:
    talk = holding()
    crossed = asked(talk, "INVITE", contact=B_ELSEWHERE)
    talk.node.book.wire_in(answer(crossed, 200, sdp=B_SDP, contact=B_ELSEWHERE), CALLEE)
    talk.node.book.silence()
    assert len(talk.node.held) == 1
    talk.node.release_held()
    acknowledged(talk, "INVITE")
    talk.from_callee("BYE")
    talk.node.book.wire_in(answer(talk.node.book.wire_out("BYE ", CALLER), 200), CALLER)
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)


def test_bye_does_not_wait_for_a_change() -> None:
    talk = holding()
    asked(talk, "UPDATE", extra=f"Contact: {A_ELSEWHERE}")
    talk.from_callee("BYE")
    bye = talk.node.book.wire_out("BYE ")
    talk.node.book.wire_in(answer(bye, 200), CALLER)
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.node.release_held()
    talk.node.book.wire_out("SIP/2.0 200", CALLER)


def test_next_run_finds_an_end_where_it_has_moved_to() -> None:
    talk = talking(CoreNode())
    asked(talk, "UPDATE", contact=B_ELSEWHERE)
    talk.node.book.wire_out("SIP/2.0 200", CALLER)
    talk.node = restarted(talk.node, after_s=40.0)
    talk.from_caller("BYE")
    bye = talk.node.book.wire_out("BYE ", "127.0.0.13:5064")
    talk.node.book.wire_in(answer(bye, 200), CALLEE)
    talk.node.book.wire_out("SIP/2.0 200", CALLER)


def test_table() -> None:
    assert CHANGE_TABLE.move(CHANGING, STORED)[0] == CHANGED
    assert CHANGE_TABLE.move(CHANGING, STORE_FAILED)[0] == GIVEN_UP
    for state in (CHANGED, GIVEN_UP):
        assert [CHANGE_TABLE.move(state, event) for event in (STORED, STORE_FAILED)] == [(state, 0)] * 2
