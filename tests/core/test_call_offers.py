"""Offers and answers that travel in other places, may not cross, or move a party."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, with_trunk
from tests.core.parties import B_SDP, SDP, Talk, answer, answered, invite, refused, ring, sdp_of, start, talking
from tests.core.test_call_reinvite import B_HOLD, HOLD, reinvite


def both_ended(node: CoreNode, message: str, peer: str) -> None:
    """The call has been ended on both sides since this message for that trunk held a number, and the log says so."""
    for address in (CALLER, CALLEE):
        bye = node.book.wire_out("BYE ", address)
        assert bye.values(h.REASON) == ["Q.850;cause=21"]
        node.book.wire_in(answer(bye, 200, who=A if address == CALLER else B), address)
    node.assert_recorded(
        release_cause="LEAK_STOPPED", sip_status=200, q850=21, decided_by="disclosure", release_direction="platform"
    )
    assert node.leaks == [(node.record["record_id"], message, peer)]
    assert node.counters["leaks_stopped"] == 1


def test_late_offer_in_the_first_invite_is_answered_in_the_ack() -> None:
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    assert not sent.body
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    assert sdp_of(talk.ok)["m"].startswith("audio")
    talk.from_caller("ACK", sdp=SDP)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert sdp_of(ack)["c"] == "IN IP4 10.1.2.3" and "13800138000" not in ack.body.decode()
    assert ack.value(h.CONTENT_TYPE) == "application/sdp"
    talk.hang_up()


def test_late_offer_in_a_reinvite() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller", "")
    node.book.wire_in(answer(again, 200, sdp=B_HOLD), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=2, sdp=HOLD)
    assert sdp_of(node.book.wire_out("ACK ", CALLEE))["o"].startswith("- ")
    talk.hang_up()


def test_answer_in_an_ack_that_may_not_cross_is_left_out() -> None:
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK", sdp=SDP.replace("v=0", "v=1"))
    assert not node.book.wire_out("ACK ", CALLEE).body
    assert node.counters["leak_stopped_in_dialog"] == 1
    talk.hang_up()


def test_reinvite_whose_answer_would_leak_is_500_and_acknowledged() -> None:
    node = CoreNode(with_trunk("caller-side", pass_headers=("X-Note",)))
    talk = talking(node)
    again = reinvite(talk, "caller")
    leak = answer(again, 200, extra=f"X-Note: {B}", sdp=B_HOLD)
    node.book.wire_in(leak, CALLEE)
    node.book.wire_out("SIP/2.0 500", CALLER)
    ack = node.book.wire_out("ACK ", CALLEE)
    both_ended(node, "200 INVITE", "caller-side")
    node.book.wire_in(leak, CALLEE)  # a copy: acknowledged, and nothing is ended twice
    assert node.book.wire_out("ACK ", CALLEE) == ack
    node.book.silence()


def test_moved_contacts_are_followed() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INVITE", extra=f"Contact: <sip:{A}@127.0.0.12:5099>", sdp=HOLD)
    node.book.wire_out("SIP/2.0 100", CALLER)
    again = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(again, 200, sdp=B_HOLD, contact=f"<sip:{B}@127.0.0.13:5098>"), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=2)
    node.book.wire_out(f"ACK sip:{B}@127.0.0.13:5098 SIP/2.0", "127.0.0.13:5098")
    talk.from_callee("BYE")
    bye = node.book.wire_out(f"BYE sip:{A}@127.0.0.12:5099 SIP/2.0", "127.0.0.12:5099")
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)


def test_refused_reinvite_moves_nobody_and_an_unusable_contact_is_400() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INVITE", extra=f"Contact: <sip:{A}@127.0.0.12:5099>", sdp=HOLD)
    node.book.wire_out("SIP/2.0 100", CALLER)
    again = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(again, 488), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 488", CALLER)
    talk.from_caller("INVITE", extra=f"Contact: <tel:+86{A}>", sdp=HOLD)
    node.book.wire_out("SIP/2.0 400", CALLER)
    node.book.silence()
    talk.from_callee("BYE")
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(bye, 200, who=A), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)


def test_2xx_with_an_unusable_contact_leaves_the_target_where_it_was() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, 200, sdp=B_HOLD, contact=f"<tel:+86{B}>"), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=2)
    node.book.wire_out(f"ACK sip:{B}@127.0.0.13:5060 SIP/2.0", CALLEE)
    assert node.counters["contact_unusable"] == 1
    talk.hang_up()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_offer_that_would_leak_is_403_and_goes_nowhere(method: str) -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Note",)))
    talk = talking(node)
    talk.from_caller(method, extra=f"X-Note: {A}", sdp=HOLD)
    node.book.wire_out("SIP/2.0 403", CALLER)
    both_ended(node, method, "callee-side")
    assert (node.counters["leak_stopped_in_dialog"], node.counters["in_dialog_403"]) == (1, 1)
    # As if nothing had been said: the numbers of the other dialog have no gap.
    assert b"CSeq: %d BYE" % (talk.invite.cseq + 1) in node.sent_to(CALLEE)[-1]


def test_offer_that_is_no_description_is_415() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INVITE", extra="Content-Type: application/isup\n\nabc")
    node.book.wire_out("SIP/2.0 415", CALLER)
    node.book.silence()
    talk.hang_up()


def test_provisional_of_a_reinvite_that_would_leak_stays_here() -> None:
    node = CoreNode(with_trunk("caller-side", pass_headers=("X-Note",)))
    talk = talking(node)
    again = reinvite(talk, "caller")
    node.book.wire_in(answer(again, 183, extra=f"X-Note: {B}"), CALLEE)
    both_ended(node, "183 INVITE", "caller-side")
    assert node.counters["leak_stopped_in_dialog"] == 1
    node.book.wire_in(answer(again, 487), CALLEE)  # RFC 3261 §15.1.2: the BYE has ended what was pending
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.silence()


def test_update_whose_answer_would_leak_is_500_and_needs_no_ack() -> None:
    node = CoreNode(with_trunk("caller-side", pass_headers=("X-Note",)))
    talk = talking(node)
    talk.from_caller("UPDATE", sdp=HOLD)
    update = node.book.wire_out("UPDATE ", CALLEE)
    node.book.wire_in(answer(update, 200, extra=f"X-Note: {B}", sdp=B_HOLD), CALLEE)
    node.book.wire_out("SIP/2.0 500", CALLER)
    both_ended(node, "200 UPDATE", "caller-side")
    node.book.silence()


def test_answer_in_an_ack_that_would_leak_is_left_out_and_the_call_ended() -> None:
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK", sdp=f"{SDP}a=ice-pwd:x{A}")
    assert not node.book.wire_out("ACK ", CALLEE).body
    both_ended(node, "ACK", "callee-side")
    assert node.counters["leak_stopped_in_dialog"] == 1


def test_late_answer_of_a_reinvite_that_would_leak_is_left_out_and_the_call_ended() -> None:
    node = CoreNode()
    talk = talking(node)
    again = reinvite(talk, "caller", "")
    node.book.wire_in(answer(again, 200, sdp=B_HOLD), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=2, sdp=f"{HOLD}a=ice-pwd:x{A}")
    assert not node.book.wire_out("ACK ", CALLEE).body
    both_ended(node, "ACK", "callee-side")


def test_leak_before_the_callers_ack_ends_the_callee_at_once_and_the_caller_after_it() -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Note",)))
    talk = answered(node)
    talk.from_caller("UPDATE", extra=f"X-Note: {A}", sdp=HOLD)
    node.book.wire_out("SIP/2.0 403", CALLER)
    node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.book.silence()
    talk.from_caller("ACK")
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLER), 200, who=A), CALLER)
    node.assert_recorded(release_cause="LEAK_STOPPED", sip_status=200, q850=21)


def test_leak_in_an_early_dialog_takes_the_call_back() -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Note",)))
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent, 183))
    talk.from_caller("UPDATE", extra=f"X-Note: {A}", sdp=HOLD)
    node.book.wire_out("SIP/2.0 403", CALLER)
    cancel = node.book.wire_out("CANCEL ", CALLEE)
    refused(node, 403, 21)
    node.book.wire_in(answer(cancel, 200), CALLEE)
    node.book.wire_in(answer(sent, 487), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure", sip_status=403, q850=21)
    assert [leak[1:] for leak in node.leaks] == [("UPDATE", "callee-side")]
