"""Copies: of the INVITE, the 2xx, the ACK and the BYE, on both sides."""

from __future__ import annotations

import pytest

from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import B_SDP, Talk, answer, answered, invite, refused, ring, start, talking


def times_of(node: CoreNode, until_s: float, step_s: float = 0.1) -> list[float]:
    """When something was sent, from now on, to the tenth of a second."""
    times = []
    begin = node.book.now
    for tick in range(1, round(until_s / step_s) + 1):
        node.book.at(begin - 1000 + tick * step_s)
        times += [round(tick * step_s, 1)] * len(node.book.sent)
        node.book.sent.clear()
    return times


def test_copies_of_the_invite_get_the_last_answer_and_make_nothing_new() -> None:
    node = CoreNode()
    node.book.wire_in(invite(), CALLER)
    trying = node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    for _ in range(3):
        node.book.wire_in(invite(), CALLER)
        assert node.book.wire_out("SIP/2.0 100", CALLER) == trying
        node.book.silence()
    ringing = ring(node, sent)
    node.book.wire_in(invite(), CALLER)
    assert node.book.wire_out("SIP/2.0 180", CALLER) == ringing
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    node.book.wire_in(invite(), CALLER)
    node.book.silence()  # RFC 6026 §7.1: absorbed, the 2xx is repeated on its own
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(invite(), CALLER)
    node.book.silence()
    talk.hang_up()
    assert len(node.records) == 1


def test_copy_of_a_refused_invite_gets_the_refusal_again() -> None:
    node = CoreNode(bindings=())
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    gone = node.book.wire_out("SIP/2.0 404", CALLER)
    node.book.wire_in(invite(), CALLER)
    assert node.book.wire_out("SIP/2.0 404", CALLER) == gone
    assert times_of(node, 40) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]  # Timer G (§17.2.1)
    assert len(node.records) == 1


def test_same_invite_by_another_path_is_merged() -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(invite(branch="z9hG4bK-a-other"), CALLER)
    node.book.wire_out("SIP/2.0 482", CALLER)  # §8.2.2.2
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)
    assert len(node.records) == 1


def test_2xx_is_repeated_from_t1_to_t2_until_its_ack() -> None:
    node = CoreNode()
    talk = answered(node)
    assert times_of(node, 20) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]  # §13.3.1.4
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    assert times_of(node, 20) == []
    talk.hang_up()


def test_our_invite_is_repeated_until_a_provisional() -> None:
    node = CoreNode()
    sent = start(node)
    assert times_of(node, 2) == [0.5, 1.5]
    ring(node, sent)
    assert times_of(node, 10) == []
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def test_callees_2xx_before_the_callers_ack_is_only_absorbed() -> None:
    """There is no ACK to give yet; the first one follows the caller's."""
    node = CoreNode()
    talk = answered(node)
    node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)
    node.book.silence()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    talk.hang_up()


@pytest.mark.parametrize("ended", [False, True])
def test_callees_2xx_after_the_ack_gets_the_same_ack(ended: bool) -> None:
    node = CoreNode()
    talk = answered(node)
    talk.from_caller("ACK")
    ack = node.book.wire_out("ACK ", CALLEE)
    if ended:
        talk.hang_up()
    for _ in range(3):
        node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)
        assert node.book.wire_out("ACK ", CALLEE) == ack  # §13.2.2.4
        node.book.silence()
    if not ended:
        talk.hang_up()


def test_repeated_ack_of_the_caller_repeats_ours() -> None:
    node = CoreNode()
    talk = answered(node)
    talk.from_caller("ACK")
    ack = node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("ACK", branch="z9hG4bK-aACKagain")
    assert node.book.wire_out("ACK ", CALLEE) == ack
    node.book.silence()
    talk.hang_up()


def test_ack_before_there_is_a_2xx_acknowledges_nothing() -> None:
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    talk.from_caller("ACK")
    node.book.silence()
    node.durable = set()
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk.from_caller("ACK")
    node.book.silence()
    talk.from_callee("BYE")
    talk.from_caller("ACK")
    node.book.silence()
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("ACK ", CALLEE)
    talk.from_caller("ACK")
    node.book.wire_out("BYE ", CALLER)
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLEE)


def test_copies_of_a_bye_get_the_same_200() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    talk.caller_seq = 1
    talk.from_caller("BYE")  # a copy before the answer
    node.book.silence()
    node.book.wire_in(answer(bye, 200), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.silence()
    talk.caller_seq = 1
    talk.from_caller("BYE")
    assert node.book.wire_out("SIP/2.0 200", CALLER) == ok
    node.book.silence()
    assert len(node.records) == 1


def test_our_bye_is_repeated_until_it_is_answered() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    node.wait(0.2)
    node.book.wire_out("SIP/2.0 200", CALLER)
    assert times_of(node, 5) == [0.3, 1.3, 3.3]  # Timer E, counted from the BYE
    node.book.wire_in(answer(bye, 200), CALLEE)
    assert times_of(node, 40) == []


def test_late_responses_are_strays() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.hang_up()
    node.wait(120)
    node.book.wire_in(answer(talk.invite, 180), CALLEE)
    node.book.silence()
    assert node.counters["stray_responses"] == 1
    node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)  # known by its From tag: it must not talk to nobody
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    node.book.silence()


def test_forged_response_with_a_guessed_branch_reaches_nobody() -> None:
    node = CoreNode()
    sent = start(node)
    assert sent.top_via is not None
    forged = answer(sent, 200, sdp=B_SDP).replace(sent.top_via.branch.encode(), b"z9hG4bKguessedguessed")
    node.book.wire_in(forged, "127.0.0.99:5060")
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)
