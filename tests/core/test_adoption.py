"""Calls that were answered before the node died: the next run serves them on, and the parties notice nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.adoption import SKIPPED
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, SETTINGS, STRANGER, A, B, CoreNode, with_trunk
from tests.core.parties import B_SDP, SDP, Talk, answer, answered, invite, ring, sdp_of, start, talking
from tests.core.restart import restarted
from tests.core.test_refused_methods import BOTH_ALLOW

LONG_S = 40.0  # past 64*T1: nothing of the first INVITE can still be missing


def taken_over(talk: Talk, after_s: float = LONG_S) -> CoreNode:
    talk.node = restarted(talk.node, after_s=after_s)
    return talk.node


def acknowledged(talk: Talk) -> Message:
    """The caller has its 2xx once more and acknowledges it; our ACK to the callee."""
    again = talk.node.book.wire_out("SIP/2.0 200", CALLER)
    assert again.to_bytes() == talk.ok.to_bytes()
    talk.from_caller("ACK")
    ack = talk.node.book.wire_out("ACK ", CALLEE)
    talk.node.book.silence()
    return ack


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_bye_ends_an_adopted_call(side: str) -> None:
    talk = talking(CoreNode())
    node = taken_over(talk)
    node.book.silence()
    assert [attempt.state_name for attempt in node.service.attempts] == ["Talking"]
    if side == "caller":
        talk.from_caller("BYE")
        bye = node.book.wire_out("BYE ", CALLEE)
        assert (bye.call_id, bye.to_tag, bye.cseq) == (talk.invite.call_id, "b-tag", talk.invite.cseq + SKIPPED + 1)
    else:
        talk.from_callee("BYE")
        bye = node.book.wire_out("BYE ", CALLER)
        assert (bye.call_id, bye.from_tag, bye.to_tag) == (talk.ok.call_id, talk.ok.to_tag, "a-tag")
    node.book.wire_in(answer(bye, 200), CALLEE if side == "caller" else CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER if side == "caller" else CALLEE)
    node.book.silence()
    node.assert_recorded(
        release_cause="NORMAL", release_direction=side, sip_status=200, duration_ms=40_000, bill_seconds=40,
        duration_source="monotonic", caller=A, callee=B,
    )  # fmt: skip


@pytest.mark.parametrize("status", [481, 408])
def test_far_end_that_knows_the_call_no_more_has_been_released(status: int) -> None:
    talk = talking(CoreNode())
    node = taken_over(talk)
    talk.from_callee("BYE")
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLER), status), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node.assert_recorded(release_cause="NORMAL", release_direction="callee", sip_status=200)
    assert node.record["attempts"][0][4] == status  # type: ignore[index]


def test_young_call_gets_its_2xx_again_until_the_ack() -> None:
    talk = answered(CoreNode())
    node = taken_over(talk, 1.0)
    node.book.wire_out("SIP/2.0 200", CALLER)
    for wait_s in (0.5, 1.0, 2.0, 4.0, 4.0):
        node.wait(wait_s - 0.1)
        node.book.silence()
        node.wait(0.1)
        node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(invite(), CALLER)  # absorbed: it has its answer
    node.book.silence()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.wait(10)
    node.book.silence()
    talk.hang_up()


def test_ack_is_the_very_same_that_may_have_left_before() -> None:
    talk = answered(CoreNode())
    talk.from_caller("ACK")
    before = talk.node.book.wire_out("ACK ", CALLEE)
    taken_over(talk, 1.0)
    assert acknowledged(talk).to_bytes() == before.to_bytes()
    talk.hang_up()


def test_ack_with_the_answer_of_a_late_offer() -> None:
    node = CoreNode()
    sent = start(node, invite(sdp=""))
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    node = taken_over(talk, 1.0)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", sdp=SDP)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert sdp_of(ack)["m"] == "audio 40000 RTP/AVP 8 101"
    talk.hang_up()


def test_caller_that_never_acknowledges() -> None:
    talk = answered(CoreNode())
    node = taken_over(talk, 1.0)
    node.wait(32.5)
    while node.book.sent[0].data.startswith(b"SIP/2.0 200"):
        node.book.wire_out("SIP/2.0 200", CALLER)
    bye = node.book.wire_out("BYE ", CALLER)
    node.book.wire_out("ACK ", CALLEE)
    other = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLER)
    node.book.wire_in(answer(other, 200), CALLEE)
    node.assert_recorded(release_cause="NO_ACK", release_direction="platform")


@pytest.mark.parametrize("copies", [1, 3])
def test_copy_of_the_callees_2xx_is_acknowledged(copies: int) -> None:
    talk = talking(CoreNode())
    node = taken_over(talk)
    for _ in range(copies):
        node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)
        node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    talk.hang_up()


def test_copy_of_the_callees_2xx_waits_for_the_callers_ack() -> None:
    talk = answered(CoreNode())
    node = taken_over(talk, 1.0)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), CALLEE)
    node.book.silence()
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


def test_copy_of_a_2xx_from_elsewhere_is_none() -> None:
    talk = talking(CoreNode())
    node = taken_over(talk)
    node.book.wire_in(answer(talk.invite, 200, sdp=B_SDP), STRANGER)
    node.book.silence()
    assert node.counters["stray_successes"] == 1
    talk.hang_up()


@pytest.mark.parametrize("method", ["INFO", "UPDATE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_requests_within_the_conversation_go_on(method: str, side: str) -> None:
    talk = talking(CoreNode())
    node = taken_over(talk)
    is_caller = side == "caller"
    near, far = (CALLER, CALLEE) if is_caller else (CALLEE, CALLER)
    for number in (1, 2):
        (talk.from_caller if is_caller else talk.from_callee)(method)
        crossed = node.book.wire_out(f"{method} ", far)
        assert crossed.cseq == talk.invite.cseq + SKIPPED + number or not is_caller
        node.book.wire_in(answer(crossed, 200, contact=f"<sip:{B if is_caller else A}@{far}>"), far)
        assert node.book.wire_out("SIP/2.0 200", near).cseq == (talk.caller_seq if is_caller else talk.callee_seq)
    talk.hang_up()


def test_reinvite_goes_on_and_its_description_is_newer_than_any() -> None:
    talk = talking(CoreNode())
    before = int(sdp_of(talk.invite)["o"].split()[2])
    node = taken_over(talk)
    talk.from_caller("INVITE", sdp=SDP)
    node.book.wire_out("SIP/2.0 100", CALLER)
    crossed = node.book.wire_out("INVITE ", CALLEE)
    _, session_id, version, *_ = sdp_of(crossed)["o"].split()
    assert (session_id, int(version)) == (sdp_of(talk.invite)["o"].split()[1], before + SKIPPED + 1)
    node.book.wire_in(answer(crossed, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=talk.caller_seq)
    assert node.book.wire_out("ACK ", CALLEE).cseq == crossed.cseq
    talk.hang_up()


def test_2xx_of_a_reinvite_that_the_last_run_carried_is_acknowledged() -> None:
    """Its ACK comes for nothing any more; without one the far end would hang up (RFC 3261 §14.2)."""
    talk = talking(CoreNode())
    talk.from_caller("INVITE", sdp=SDP)
    talk.node.book.wire_out("SIP/2.0 100", CALLER)
    crossed = talk.node.book.wire_out("INVITE ", CALLEE)
    node = taken_over(talk)
    node.book.wire_in(answer(crossed, 200, sdp=B_SDP), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert (ack.cseq, ack.to_tag) == (crossed.cseq, "b-tag")
    node.book.silence()
    talk.hang_up()


def test_numbers_skip_further_with_each_run() -> None:
    """What the second run has sent is on no record either."""
    talk = talking(CoreNode())
    seqs = []
    for _ in range(3):
        node = taken_over(talk)
        talk.from_caller("INFO")
        crossed = node.book.wire_out("INFO ", CALLEE)
        seqs.append(crossed.cseq)
        node.book.wire_in(answer(crossed, 200), CALLEE)
        node.book.wire_out("SIP/2.0 200", CALLER)
    assert seqs == [talk.invite.cseq + SKIPPED * times + 1 for times in (1, 2, 3)]
    talk.hang_up()


def test_request_that_the_last_run_has_seen_is_none_again() -> None:
    """Only what the frozen call knows of: later ones may come twice (RFC 3261 §12.2.2)."""
    talk = talking(CoreNode())
    node = taken_over(talk)
    talk.from_caller("INFO", cseq=1)
    node.book.wire_out("SIP/2.0 500", CALLER)
    talk.hang_up()


def test_transfer_goes_on() -> None:
    talk = talking(CoreNode(BOTH_ALLOW))
    talk.node = restarted(talk.node, BOTH_ALLOW, LONG_S)
    talk.from_caller("REFER", "Refer-To: <sip:700123456780002@veil.example>")
    refer = talk.node.book.wire_out("REFER ", CALLEE)
    talk.node.book.wire_in(answer(refer, 202), CALLEE)
    talk.node.book.wire_out("SIP/2.0 202", CALLER)
    talk.from_callee("NOTIFY", f"Event: refer;id={refer.cseq}\nSubscription-State: active")
    notify = talk.node.book.wire_out("NOTIFY ", CALLER)
    talk.node.book.wire_in(answer(notify, 200), CALLER)
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize("gone", ["caller-side", "callee-side"])
def test_call_with_a_peer_that_is_gone_is_ended_on_both_sides(gone: str) -> None:
    talk = talking(CoreNode())
    peers = tuple(replace(p, name="other") if p.name == gone else p for p in SETTINGS.peers)
    node = restarted(talk.node, replace(SETTINGS, peers=peers, routes=()), LONG_S)
    node.book.wire_out("BYE ", CALLER)
    bye = node.book.wire_out("BYE ", CALLEE)
    assert bye.values(h.REASON) == ["Q.850;cause=41"]
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.assert_recorded(release_cause="NODE_RESTART", sip_status=200, q850=41, decided_by="", duration_ms=40_000)


def test_hidden_number_stays_hidden() -> None:
    """What the gate searches for is taken over, too."""
    settings = with_trunk("callee-side", pass_headers=("X-Note",))
    talk = talking(CoreNode(settings))
    node = restarted(talk.node, settings, LONG_S)
    talk.node = node
    talk.from_caller("INFO", f"X-Note: {A}")
    node.book.wire_out("SIP/2.0 403", CALLER)
    node.book.wire_out("BYE ", CALLER)
    node.book.wire_out("BYE ", CALLEE)
    assert node.leaks and node.counters["leaks_stopped"] == 1


def test_second_fork_is_forgotten_and_the_chosen_one_served() -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent, tag="b-tag2")
    ring(node, sent)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    taken_over(talk, 1.0)
    acknowledged(talk)
    talk.hang_up()


def test_limit_of_the_call_counts_from_its_answer() -> None:
    talk = talking(CoreNode())
    node = taken_over(talk, SETTINGS.policy.max_call_s - 10)
    node.wait(9.9)
    node.book.silence()
    node.wait(0.2)
    for to in (CALLER, CALLEE):
        node.book.wire_in(answer(node.book.wire_out("BYE ", to), 200), to)
    node.assert_recorded(release_cause="MAX_DURATION", bill_seconds=int(SETTINGS.policy.max_call_s))


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_repeated_bye_of_a_call_that_ended_before_the_start_is_answered(side: str) -> None:
    talk = talking(CoreNode())
    talk.hang_up()
    talk.node = restarted(talk.node)
    record = talk.node.record
    calls = [("ingress_peer", "caller_call_id"), ("egress_peer", "callee_call_id")]
    talk.node.service.last_run.ended = {str(record[call_id]): {str(record[peer])} for peer, call_id in calls}
    bye, address = (talk.from_caller, CALLER) if side == "caller" else (talk.from_callee, CALLEE)
    bye("BYE")
    talk.node.book.wire_out("SIP/2.0 200", address)
    bye("INFO")
    talk.node.book.wire_out("SIP/2.0 481", address)
    bye("BYE", source=STRANGER)
    talk.node.book.silence()
    talk.node.service.last_run.forget()
    bye("BYE")
    talk.node.book.wire_out("SIP/2.0 481", address)
