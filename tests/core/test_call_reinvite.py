"""re-INVITE both ways, glare, late offers, and the INVITE that is still open when something else happens."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, X
from tests.core.parties import B_SDP, SDP, Talk, answer, answered, ring, sdp_of, start, talking

HOLD = SDP.replace("2890844526 2890844526", "2890844526 2890844527") + "a=sendonly\n"
B_HOLD = B_SDP.replace("2890844526 2890844526", "2890844526 2890844527") + "a=recvonly\n"


def origin(message: Message) -> tuple[int, int]:
    """(session id, version) of a description."""
    _, session, version, *_ = sdp_of(message)["o"].split()
    return int(session), int(version)


def reinvite(talk: Talk, side: str, sdp: str = HOLD) -> Message:
    """INVITE of one side in the dialog, its 100, and what the other side gets."""
    book = talk.node.book
    (talk.from_caller if side == "caller" else talk.from_callee)("INVITE", sdp=sdp)
    book.wire_out("SIP/2.0 100", CALLER if side == "caller" else CALLEE)
    return book.wire_out("INVITE ", CALLEE if side == "caller" else CALLER)


def test_hold_by_caller_and_back() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    assert (again.call_id, again.cseq, again.to_tag) == (talk.invite.call_id, talk.invite.cseq + 1, "b-tag")
    assert again.uri_text == f"sip:{B}@127.0.0.13:5060"
    assert again.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>"
    session, version = origin(talk.invite)
    assert origin(again) == (session, version + 1)  # RFC 3264 §8: changed, so one higher
    assert "a=sendonly" in again.body.decode()

    node.book.wire_in(answer(again, 180), CALLEE)
    node.book.wire_out("SIP/2.0 180", CALLER)
    node.book.wire_in(answer(again, 200, sdp=B_HOLD), CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    assert (ok.cseq, ok.to_tag, ok.value(h.CONTACT)) == (2, talk.ok.to_tag, f"<sip:{X}@127.0.0.11:5060>")
    assert origin(ok) == (origin(talk.ok)[0], origin(talk.ok)[1] + 1)
    node.book.silence()
    talk.from_caller("ACK", cseq=2)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert (ack.cseq, ack.method) == (again.cseq, "ACK")
    node.book.silence()

    back = reinvite(talk, "caller", HOLD.replace("4527", "4528").replace("sendonly", "sendrecv"))
    assert origin(back) == (session, version + 2)
    node.book.wire_in(answer(back, 200, sdp=B_HOLD), CALLEE)  # the same description: the same version
    assert origin(node.book.wire_out("SIP/2.0 200", CALLER)) == origin(ok)
    talk.from_caller("ACK", cseq=3)
    node.book.wire_out("ACK ", CALLEE)
    node.wait(200)  # longer than an INVITE may be open
    node.book.silence()
    talk.hang_up()
    assert node.record["release_cause"] == "NORMAL"
    assert "in_dialog_408" not in node.counters


def test_hold_by_callee() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "callee", B_HOLD)
    assert again.uri_text == f"sip:{A}@127.0.0.12:5060"
    assert (again.from_tag, again.to_tag) == (talk.ok.to_tag, "a-tag")
    assert origin(again) == (origin(talk.ok)[0], origin(talk.ok)[1] + 1)
    node.book.wire_in(answer(again, 200, sdp=HOLD, who=A, contact=f"<sip:{A}@127.0.0.12:5060>"), CALLER)
    ok = node.book.wire_out("SIP/2.0 200", CALLEE)
    assert origin(ok) == (origin(talk.invite)[0], origin(talk.invite)[1] + 1)
    talk.from_callee("ACK", cseq=talk.callee_seq)
    assert node.book.wire_out("ACK ", CALLER).cseq == again.cseq
    talk.hang_up()


@pytest.mark.parametrize(
    ("status", "crosses_as"),
    [(488, 488), (486, 486), (491, 491), (408, 408), (481, 481), (302, 488), (401, 403), (503, 500), (606, 488)],
)
def test_failed_reinvite_keeps_the_call(status: int, crosses_as: int) -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, status, contact=f"<sip:{B}@10.7.7.7>"), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert ack.top_via is not None and again.top_via is not None
    assert ack.top_via.branch == again.top_via.branch
    response = node.book.wire_out(f"SIP/2.0 {crosses_as} ", CALLER)
    assert response.value(h.CONTACT) is None and not response.body
    node.book.silence()
    talk.hang_up()  # still where it was
    assert node.record["duration_ms"] == 0 and node.record["release_cause"] == "NORMAL"


def test_glare_is_491_to_the_second() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    talk.from_callee("INVITE", sdp=B_HOLD)
    node.book.wire_out("SIP/2.0 491", CALLEE)
    node.book.silence()
    node.book.wire_in(answer(again, 491), CALLEE)  # the callee has one of its own pending, too (§14.2)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 491", CALLER)
    node.wait(1)
    node.book.sent.clear()
    second = reinvite(talk, "callee", B_HOLD)  # now its turn
    node.book.wire_in(answer(second, 488, who=A), CALLER)
    node.book.wire_out("ACK ", CALLER)
    node.book.wire_out("SIP/2.0 488", CALLEE)
    talk.hang_up()


def test_overlapping_from_the_same_side_is_500_with_retry_after() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    talk.from_caller("INVITE", sdp=HOLD)
    response = node.book.wire_out("SIP/2.0 500", CALLER)
    assert 0 <= int(response.value(h.RETRY_AFTER) or "-1") <= 10  # §14.2
    node.book.wire_in(answer(again, 200, sdp=B_HOLD), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("INVITE", sdp=HOLD)  # answered, but not acknowledged: still in progress
    node.book.wire_out("SIP/2.0 491", CALLER)
    talk.from_caller("ACK", cseq=2)
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize(("side", "status"), [("caller", 500), ("callee", 491)])
def test_reinvite_before_the_first_is_answered(side: str, status: int) -> None:
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    (talk.from_caller if side == "caller" else talk.from_callee)("INVITE", sdp=HOLD)
    response = node.book.wire_out(f"SIP/2.0 {status}", CALLER if side == "caller" else CALLEE)
    assert (response.value(h.RETRY_AFTER) is not None) == (status == 500)
    node.book.silence()
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_reinvite_before_the_first_is_acknowledged_is_491(side: str) -> None:
    node = CoreNode()
    talk = answered(node)
    (talk.from_caller if side == "caller" else talk.from_callee)("INVITE", sdp=HOLD)
    node.book.wire_out("SIP/2.0 491", CALLER if side == "caller" else CALLEE)
    node.book.silence()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize("status", [100, 180])
def test_cancel_of_a_reinvite(status: int) -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    talk.from_caller("CANCEL", cseq=2, branch="z9hG4bK-aINVITE2")
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "CANCEL"
    node.book.silence()  # none of ours before a provisional (§9.1)
    node.book.wire_in(answer(again, status), CALLEE)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    assert (cancel.value(h.VIA), cancel.cseq, cancel.to_tag) == (again.value(h.VIA), again.cseq, "b-tag")
    if status == 180:
        node.book.wire_out("SIP/2.0 180", CALLER)
    node.book.wire_in(answer(again, 183), CALLEE)
    node.book.wire_out("SIP/2.0 183", CALLER)
    node.book.silence()  # one CANCEL is enough
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(again, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    assert node.book.wire_out("SIP/2.0 487", CALLER).method == "INVITE"
    node.book.silence()
    talk.hang_up()


def test_cancel_of_a_reinvite_that_is_answered_all_the_same() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "callee", B_HOLD)
    node.book.wire_in(answer(again, 100), CALLER)
    talk.from_callee("CANCEL", cseq=talk.callee_seq, branch=f"z9hG4bK-bINVITE{talk.callee_seq}")
    assert node.book.wire_out("SIP/2.0 200", CALLEE).method == "CANCEL"
    node.book.wire_out("CANCEL ", CALLER)
    node.book.wire_in(answer(again, 200, sdp=HOLD, who=A, contact=f"<sip:{A}@127.0.0.12:5060>"), CALLER)
    assert node.book.wire_out("SIP/2.0 200", CALLEE).method == "INVITE"
    talk.from_callee("ACK", cseq=talk.callee_seq)
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_cancel_of_a_reinvite_that_the_far_end_ignores() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, 100), CALLEE)
    talk.from_caller("CANCEL", cseq=2, branch="z9hG4bK-aINVITE2")
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_out("CANCEL ", CALLEE)
    node.wait(31.9)
    node.book.sent.clear()
    node.wait(0.2)
    node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.sent.clear()
    second = reinvite(talk, "caller")  # nothing is in its way
    node.book.wire_in(answer(second, 488), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 488", CALLER)
    node.wait(200)
    node.book.sent.clear()  # Timer G
    talk.hang_up()
    assert "in_dialog_408" not in node.counters


def test_far_end_that_never_answers_a_reinvite() -> None:
    """Timer C, for who is not the end: longer than three minutes, then CANCEL and 408 (§16.6, §16.8)."""
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, 180), CALLEE)
    node.book.wire_out("SIP/2.0 180", CALLER)
    node.wait(181)
    node.book.silence()
    node.wait(5)
    node.book.wire_out("CANCEL ", CALLEE)
    node.book.wire_out("SIP/2.0 408", CALLER)
    node.book.sent.clear()
    node.book.wire_in(answer(again, 200, sdp=B_HOLD), CALLEE)  # too late, but it must not repeat itself for ever
    assert node.book.wire_out("ACK ", CALLEE).cseq == again.cseq
    node.book.silence()
    talk.hang_up()


def test_silence_to_a_reinvite_is_408() -> None:
    node = CoreNode()
    talk = talking(node)
    reinvite(talk, "caller")
    node.wait(31.9)
    node.book.sent.clear()
    node.wait(0.2)
    node.book.wire_out("SIP/2.0 408", CALLER)
    node.wait(200)
    node.book.sent.clear()  # Timer G
    talk.hang_up()
    assert node.counters["in_dialog_408"] == 1


def test_transport_error_of_a_reinvite_is_500_at_once() -> None:
    node = CoreNode()
    talk = talking(node)
    reinvite(talk, "caller")
    node.transport_fails(CALLEE)
    node.book.wire_out("SIP/2.0 500", CALLER)
    node.wait(200)
    node.book.sent.clear()  # Timer G
    talk.hang_up()
    assert "in_dialog_408" not in node.counters


def test_bye_while_a_reinvite_is_open() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, 100), CALLEE)
    talk.from_caller("BYE")
    bye = node.book.wire_out("BYE ", CALLEE)
    assert bye.cseq == again.cseq + 1
    node.book.wire_in(answer(bye, 200), CALLEE)
    assert node.book.wire_out("SIP/2.0 200", CALLER).method == "BYE"
    node.book.wire_in(answer(again, 487), CALLEE)  # §15.1.2
    node.book.wire_out("ACK ", CALLEE)
    assert node.book.wire_out("SIP/2.0 487", CALLER).method == "INVITE"


def test_bye_while_a_reinvite_is_open_that_nobody_answers_any_more() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, 100), CALLEE)
    talk.hang_up()
    node.wait(60)
    node.book.wire_out("SIP/2.0 487", CALLER)  # it waits no longer; the teardown sees that nothing is left
    node.wait(200)
    node.book.sent.clear()  # Timer G
    assert "in_dialog_408" not in node.counters


def test_2xx_of_a_reinvite_is_repeated_by_who_gave_it_until_the_ack() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    first = answer(again, 200, sdp=B_HOLD)
    node.book.wire_in(first, CALLEE)
    ok = node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(0.5)
    node.book.wire_in(first, CALLEE)
    assert node.book.wire_out("SIP/2.0 200", CALLER) == ok
    talk.from_caller("ACK", cseq=2)
    ack = node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(first, CALLEE)  # our ACK was lost
    assert node.book.wire_out("ACK ", CALLEE) == ack
    talk.from_caller("ACK", cseq=2, branch="z9hG4bK-aACK2again")
    assert node.book.wire_out("ACK ", CALLEE) == ack
    node.book.silence()
    talk.hang_up()


def test_reinvite_whose_ack_never_comes_is_not_in_the_way_for_ever() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, 200, sdp=B_HOLD), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(33)
    second = reinvite(talk, "callee", B_HOLD)
    node.book.wire_in(answer(second, 488, who=A), CALLER)
    node.book.wire_out("ACK ", CALLER)
    node.book.wire_out("SIP/2.0 488", CALLEE)
    talk.hang_up()
