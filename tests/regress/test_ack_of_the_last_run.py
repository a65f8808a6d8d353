"""A call that was acknowledged before a kill could end as NO_ACK, and a late offer had an ACK without the answer."""

from __future__ import annotations

import pytest

from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import B_SDP, SDP, Talk, answer, answered, invite, start, talking
from tests.core.restart import restarted


def without_ack(node: CoreNode) -> None:
    """64*T1 in which the 2xx is sent again, and nobody acknowledges it."""
    node.wait(32.5)
    while node.book.sent and node.book.sent[0].data.startswith(b"SIP/2.0 200"):
        node.book.wire_out("SIP/2.0 200", CALLER)


def ended(node: CoreNode) -> None:
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLER), 200), CALLER)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    node.assert_recorded(release_cause="NO_ACK", release_direction="platform")


@pytest.mark.parametrize("status", [200, 481])
def test_old_call_goes_on_and_its_ends_are_asked(status: int) -> None:
    talk = talking(CoreNode())
    node = talk.node = restarted(talk.node, after_s=20.0)
    without_ack(node)
    node.book.silence()
    assert [attempt.state_name for attempt in node.service.attempts] == ["Talking"]
    while not node.book.sent:
        node.wait(0.5)
    node.book.wire_in(answer(node.book.wire_out("OPTIONS ", CALLEE), 200), CALLEE)
    node.book.wire_in(answer(node.book.wire_out("OPTIONS ", CALLER), status), CALLER)
    if status == 200:
        talk.hang_up()
        node.assert_recorded(release_cause="NORMAL")
        return
    for end in (CALLER, CALLEE):
        node.book.wire_in(answer(node.book.wire_out("BYE ", end), 200), end)
    node.assert_recorded(release_cause="SESSION_EXPIRED")


@pytest.mark.parametrize("after_s", [15.9, 16.0])
def test_old_means_half_of_the_time_for_an_ack(after_s: float) -> None:
    talk = talking(CoreNode())
    node = talk.node = restarted(talk.node, after_s=after_s)
    without_ack(node)
    if after_s < 16.0:
        ended(node)
    else:
        talk.hang_up()


def test_old_call_whose_callee_still_asks_was_not_acknowledged() -> None:
    talk = answered(CoreNode())
    node = restarted(talk.node, after_s=20.0)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)
    without_ack(node)
    ended(node)


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_only_a_sign_of_the_caller_counts_as_its_ack(side: str) -> None:
    talk = talking(CoreNode())
    node = talk.node = restarted(talk.node, after_s=1.0)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(0.1)
    near, far = (CALLER, CALLEE) if side == "caller" else (CALLEE, CALLER)
    (talk.from_caller if side == "caller" else talk.from_callee)("INFO")
    info = node.book.wire_out("INFO ", far)
    if side == "callee":
        node.book.wire_in(answer(info, 481), far)
        node.book.wire_out("SIP/2.0 481", near)
    else:
        node.book.wire_in(answer(info, 200), far)
        node.book.wire_out("SIP/2.0 200", near)
    without_ack(node)
    if side == "caller":
        talk.hang_up()
    else:
        ended(node)


def late_offer() -> Talk:
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    return Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))


@pytest.mark.parametrize("after_s", [20.0, 40.0])
def test_no_ack_without_the_answer_that_is_due(after_s: float) -> None:
    """The callee has had it from the last run; nothing says what it was."""
    talk = late_offer()
    talk.from_caller("ACK", sdp=SDP)
    talk.node.book.wire_out("ACK ", CALLEE)
    node = talk.node = restarted(talk.node, after_s=after_s)
    if after_s < 32.0:
        without_ack(node)
    node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)
    node.book.silence()
    talk.hang_up()


def test_copy_of_a_2xx_without_an_offer_is_acknowledged_once_more() -> None:
    talk = talking(CoreNode())
    node = talk.node = restarted(talk.node, after_s=20.0)
    without_ack(node)
    node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    talk.hang_up()
