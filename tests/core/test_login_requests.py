"""Every request of the node's own is sent again with its password, in its dialog's own numbers (RFC 3261 §22.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.large_requests import MOST_UDP_BYTES
from engine.core.settings import SessionTimer
from sipstack import headers as h
from sipstack.parser import parse
from tests.core import sms
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, with_policy
from tests.core.logins import ASKED, FIRST, asks, is_shown, logged_in, talking, with_login
from tests.core.lookers import HALF_S, INSIST, talk_of
from tests.core.parties import B_SDP, SDP, answer, invite, refused, send, start
from tests.core.parties import talking as unasked
from tests.core.restart import restarted
from tests.core.test_large_requests import BOTH, BY_TCP
from tests.core.transfers import End, report

# -- everything else that is sent --------------------------------------------------------------------------------------


def test_a_message() -> None:
    node = CoreNode(with_login())
    sent = send(node)
    node.book.wire_in(asks(sent), CALLEE)
    again = node.book.wire_out("MESSAGE ", CALLEE)
    is_shown(sent, again)
    node.book.silence()
    node.book.wire_in(asks(sent), CALLEE)
    node.book.silence()
    node.book.wire_in(answer(again, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(attempts=(("callee-side", FIRST, 200, 0, None),), release_cause="NORMAL")


def test_a_message_is_not_sent_a_third_time() -> None:
    node = CoreNode(with_login())
    node.book.wire_in(asks(send(node)), CALLEE)
    again = node.book.wire_out("MESSAGE ", CALLEE)
    node.book.wire_in(asks(again), CALLEE)
    refused(node, 480, 31)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "BYE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_within_a_call(method: str, side: str) -> None:
    """Each is asked and answered by itself, in the dialog's own numbers."""
    near, far = (CALLER, CALLEE) if side == "caller" else (CALLEE, CALLER)
    node = CoreNode(with_login("callee-side" if side == "caller" else "caller-side"))
    talk = unasked(node)
    sdp = {"INVITE": SDP, "UPDATE": SDP}.get(method, "")
    (talk.from_caller if side == "caller" else talk.from_callee)(method, sdp=sdp)
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", near)
    sent = node.book.wire_out(f"{method} ", far)
    node.book.wire_in(asks(sent, tag=sent.to_tag), far)
    ack = node.book.wire_out("ACK ", far) if method == "INVITE" else None
    assert ack is None or not ack.named("Authorization")
    again = node.book.wire_out(f"{method} ", far)
    is_shown(sent, again)
    contact = f"<sip:{B}@127.0.0.13:5060>" if far == CALLEE else f"<sip:{A}@127.0.0.12:5060>"
    node.book.wire_in(answer(again, 200, sdp=B_SDP if sdp else "", contact=contact, who=""), far)
    node.book.wire_out("SIP/2.0 200", near)
    if method == "INVITE":
        number = {"caller": talk.caller_seq, "callee": talk.callee_seq}[side]
        (talk.from_caller if side == "caller" else talk.from_callee)("ACK", cseq=number)
        ack = node.book.wire_out("ACK ", far)
        assert (ack.cseq, ack.named("Authorization")) == (again.cseq, again.named("Authorization"))
    if method != "BYE":
        talk.hang_up()
        numbers = [
            parse(data).cseq for data in node.sent_to(far) if data.startswith((b"INVITE", b"UPD", b"INF", b"BYE"))
        ]
        assert numbers == sorted(set(numbers))


def test_a_prack_names_the_number_of_the_second_request() -> None:
    node = CoreNode(with_login())
    talk = unasked(node)
    talk.from_caller("INVITE", sdp=SDP)
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(asks(sent, tag=sent.to_tag), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    again = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(again, 183, extra="Require: 100rel\nRSeq: 7"), CALLEE)
    node.book.wire_out("SIP/2.0 183", CALLER)
    number = talk.caller_seq
    talk.from_caller("PRACK", extra=f"RAck: 7 {number} INVITE")
    prack = node.book.wire_out("PRACK ", CALLEE)
    assert prack.value(h.RACK) == f"7 {again.cseq} INVITE"
    assert prack.cseq > again.cseq
    node.book.wire_in(answer(prack, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(answer(again, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=number)
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


def test_an_invite_within_a_call_that_was_taken_back_is_not_sent_again() -> None:
    node = CoreNode(with_login())
    talk = unasked(node)
    talk.from_caller("INVITE", sdp=SDP, branch="z9hG4bK-re")
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    talk.from_caller("CANCEL", cseq=talk.caller_seq, branch="z9hG4bK-re")
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.book.wire_in(asks(sent, tag=sent.to_tag), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 403", CALLER)
    node.book.silence()
    talk.hang_up()


def test_an_ack_shows_the_password_of_its_own_invite_only() -> None:
    node = CoreNode(with_login())
    talk = talking(node, logged_in(node))
    talk.from_caller("INVITE", sdp=SDP)
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=talk.caller_seq)
    assert not node.book.wire_out("ACK ", CALLEE).named("Authorization")
    talk.hang_up()


def test_a_challenge_within_a_call_that_is_not_answered_crosses_as_403() -> None:
    """The other side is not asked for a password that is not its own, and is not told of the trunk's realm."""
    node = CoreNode(with_login())
    talk = talking(node, logged_in(node))
    talk.from_caller("INFO")
    sent = node.book.wire_out("INFO ", CALLEE)
    node.book.wire_in(asks(sent, replace(ASKED, realm="rogue.example"), tag=sent.to_tag), CALLEE)
    response = node.book.wire_out("SIP/2.0 403", CALLER)
    assert not response.named("WWW-Authenticate")
    talk.hang_up()


def test_a_transfer_is_reported_on_by_its_second_number() -> None:
    peers = tuple(replace(peer, allow_transfer=True) for peer in with_login().peers)
    end = End(unasked(CoreNode(replace(with_login(), peers=peers))), "caller")
    refer = end.refers()
    asked = end.seq
    end.node.book.wire_in(asks(refer, tag=refer.to_tag), CALLEE)
    again = end.node.book.wire_out("REFER ", CALLEE)
    is_shown(refer, again)
    end.other.answers(again, 202)
    end.hears("SIP/2.0 202")
    end.other.send("NOTIFY", report(refer.cseq))
    end.other.hears("SIP/2.0 481")
    end.other.send("NOTIFY", report(again.cseq))
    notify = end.hears("NOTIFY ")
    assert notify.named("Event") == [f"refer;id={asked}"]
    end.answers(notify, 200)
    end.other.hears("SIP/2.0 200")
    end.talk.hang_up()


def test_the_node_shows_it_when_it_looks_after_an_end_itself() -> None:
    node = CoreNode(replace(INSIST, peers=with_login().peers))
    talk = talk_of(node, "INVITE", "INVITE")
    node.wait(HALF_S)
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(asks(sent, tag=sent.to_tag), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    again = node.book.wire_out("INVITE ", CALLEE)
    is_shown(sent, again)
    node.book.wire_in(answer(again, 200, sdp=B_SDP), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert (ack.cseq, ack.named("Authorization")) == (again.cseq, again.named("Authorization"))
    other = node.book.wire_out("INVITE ", CALLER)
    assert not other.named("Authorization")
    node.book.wire_in(answer(other, 200, sdp=SDP, contact=f"<sip:{A}@127.0.0.12:5060>", who=""), CALLER)
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_the_next_look_after_an_end_is_answered_by_itself() -> None:
    node = CoreNode(replace(INSIST, peers=with_login().peers))
    talk = talk_of(node, "INVITE", "INVITE")
    for is_asked in (True, False):
        while not node.book.sent:
            node.wait(0.4)  # less than T1: nothing has been repeated then
        sent = node.book.wire_out("INVITE ", CALLEE)
        if is_asked:
            node.book.wire_in(asks(sent, tag=sent.to_tag), CALLEE)
            node.book.wire_out("ACK ", CALLEE)
            sent = node.book.wire_out("INVITE ", CALLEE)
        node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
        assert bool(node.book.wire_out("ACK ", CALLEE).named("Authorization")) == is_asked
        other = node.book.wire_out("INVITE ", CALLER)
        node.book.wire_in(answer(other, 200, sdp=SDP, contact=f"<sip:{A}@127.0.0.12:5060>", who=""), CALLER)
        node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_who_is_asked_while_the_call_ends_shows_nothing() -> None:
    node = CoreNode(replace(INSIST, peers=with_login().peers))
    talk = talk_of(node, "INVITE", "INVITE")
    node.wait(HALF_S)
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, 100), CALLEE)
    talk.hang_up()
    node.book.wire_in(asks(sent, tag=sent.to_tag), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()


def test_a_bye_of_the_nodes_own() -> None:
    node = CoreNode(with_policy(with_login(), session_timer=SessionTimer.OFF))
    talking(node, logged_in(node))
    node.wait(14400.0)
    node.book.wire_out("BYE ", CALLER)
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(asks(bye, tag=bye.to_tag), CALLEE)
    again = node.book.wire_out("BYE ", CALLEE)
    is_shown(bye, again)
    node.book.wire_in(answer(again, 200), CALLEE)
    node.assert_recorded(attempts=(("callee-side", FIRST, 200, 0, 200),), release_cause="MAX_DURATION")


# -- after a restart ---------------------------------------------------------------------------------------------------


def test_both_requests_are_taken_back_after_a_restart() -> None:
    """Which of them has left is on no record: the other one is answered 481."""
    first = CoreNode(with_login())
    again = logged_in(first)
    node = restarted(first, with_login())
    cancels = {node.book.wire_out("CANCEL ", CALLEE).cseq: node for _ in range(2)}
    assert set(cancels) == {again.cseq - 1, again.cseq}
    node.book.silence()


def test_a_late_answer_to_the_second_request_is_ended_after_a_restart() -> None:
    first = CoreNode(with_login())
    again = logged_in(first)
    node = restarted(first, with_login())
    for _ in range(2):
        node.book.wire_in(answer(node.book.wire_out("CANCEL ", CALLEE), 481), CALLEE)
    node.book.wire_in(answer(again, 200), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    bye = node.book.wire_out("BYE ", CALLEE)
    assert ack.cseq == again.cseq
    assert bye.cseq > again.cseq
    node.book.wire_in(answer(bye, 200), CALLEE)


def test_a_report_on_a_short_message() -> None:
    node = CoreNode(with_login("caller-side"))
    first = sms.send(node)
    node.book.wire_in(sms.report(sms.rp_ack(sms.reference_of(first), False), first), CALLEE)
    node.book.wire_out("SIP/2.0 202", CALLEE)
    sent = node.book.wire_out("MESSAGE ", CALLER)
    node.book.wire_in(asks(sent), CALLER)
    again = node.book.wire_out("MESSAGE ", CALLER)
    is_shown(sent, again)
    node.book.wire_in(answer(again, 200, "a-tag", who=""), CALLER)
    node.book.silence()
    assert node.counters["reports_passed"] == 1


# -- long ones ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "first_by"), [(8, CALLEE), (20, BY_TCP)])
def test_what_the_password_makes_too_long_for_a_datagram_goes_by_tcp(lines: int, first_by: str) -> None:
    """RFC 3261 §18.1.1; what has gone by TCP already stays there."""
    node = CoreNode(replace(BOTH, peers=with_login().peers))
    sdp = SDP + "".join(
        f"a=fmtp:{number} mode=1;octet-align=1;mode-change-neighbor=1\n" for number in range(96, 96 + lines)
    )
    sent = start(node, invite(sdp=sdp), first_by)
    assert (len(sent.to_bytes()) > MOST_UDP_BYTES) == (first_by == BY_TCP)
    node.book.wire_in(asks(sent), first_by)
    node.book.wire_out("ACK ", first_by)
    again = node.book.wire_out("INVITE ", BY_TCP)
    assert len(again.to_bytes()) > MOST_UDP_BYTES
    assert again.line(h.VIA).startswith("Via: SIP/2.0/TCP ")
    node.book.wire_in(answer(again, 486), BY_TCP)
    node.book.wire_out("ACK ", BY_TCP)
    refused(node, 486, 17)
    node.assert_recorded(release_cause="BUSY", attempts=(("callee-side", FIRST, 486, 0, None),))
