"""`session_timer = "insist"`: how the node asks the ends of an answered call whether they are still there."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from sipstack.message import Message
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.lookers import (
    ADDRESS,
    ALLOWS,
    HALF_S,
    INSIST,
    METHODS,
    SIDES,
    asked,
    both_are_there,
    says,
    talk_of,
)
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, sdp_of, start

# -- how an end is asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", METHODS)
@pytest.mark.parametrize("callee", METHODS)
def test_both_ends_are_asked_every_half_interval(caller: str, callee: str) -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, caller, callee)
    for _ in range(3):
        node.wait(HALF_S - 0.1)
        node.book.silence()
        node.wait(0.2)
        both_are_there(node, caller, callee)
    assert node.counters["session_refreshes_sent"] == 6
    talk.hang_up()
    assert "sessions_lost" not in node.counters


@pytest.mark.parametrize("side", SIDES)
def test_what_an_end_is_asked(side: str) -> None:
    """In its dialog, with the next number, and nothing of the other side."""
    node = CoreNode(INSIST)
    talk = talk_of(node, "UPDATE", "UPDATE")
    node.wait(HALF_S)
    callee = asked(node, "callee", "UPDATE")
    says(node, callee, "callee")
    found = {"callee": callee, "caller": asked(node, "caller", "UPDATE")}[side]
    own, theirs = (talk.invite.value(h.FROM), talk.invite.value(h.TO)) if side == "callee" else (
        talk.ok.value(h.TO), talk.ok.value(h.FROM))  # fmt: skip
    assert found.value(h.FROM) == own and (found.value(h.TO) or "").startswith(theirs or "-")
    assert found.first[h.SESSION_EXPIRES] is None and found.first[h.SUPPORTED] is None and not found.body
    assert found.values(h.CONTACT) and found.values(h.ALLOW)
    if side == "callee":
        assert found.cseq == talk.invite.cseq + 1
        says(node, asked_last(node), "caller")
    else:
        says(node, found, "caller")
    talk.hang_up()


def asked_last(node: CoreNode) -> Message:
    """The question that is open."""
    return parse(node.book.log[-1].data)


def test_a_re_invite_offers_what_the_end_has_already() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "INVITE", "INVITE")
    node.wait(HALF_S)
    to_callee = asked(node, "callee", "INVITE")
    assert to_callee.body == talk.invite.body  # its version too (RFC 3264 §8)
    assert to_callee.first[h.SUPPORTED] is None  # nor 100rel: nobody would acknowledge it
    says(node, to_callee, "callee", sdp=B_SDP)
    node.book.wire_out("ACK ", CALLEE)
    to_caller = asked(node, "caller", "INVITE")
    assert to_caller.body == talk.ok.body
    says(node, to_caller, "caller", sdp=SDP)
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_a_re_invite_offers_the_latest_that_counts() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "INVITE", "INVITE")
    held = B_SDP + "a=sendonly\n"
    talk.from_callee("INVITE", sdp=held)
    node.book.wire_out("SIP/2.0 100", CALLEE)
    offer = node.book.wire_out("INVITE ", CALLER)
    says(node, offer, "caller", sdp=SDP + "a=recvonly\n")
    reply = node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.from_callee("ACK", cseq=talk.callee_seq)
    node.book.wire_out("ACK ", CALLER)
    talk.from_caller("INVITE", sdp=SDP.replace("40000", "40002"))  # refused, so it never was
    node.book.wire_out("SIP/2.0 100", CALLER)
    says(node, node.book.wire_out("INVITE ", CALLEE), "callee", 488)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 488", CALLER)
    talk.from_caller("ACK", cseq=talk.caller_seq, branch=f"z9hG4bK-aINVITE{talk.caller_seq}")
    node.wait(HALF_S)
    to_callee = asked(node, "callee", "INVITE")
    assert to_callee.body == reply.body
    says(node, to_callee, "callee", 488)
    node.book.wire_out("ACK ", CALLEE)
    to_caller = asked(node, "caller", "INVITE")
    assert to_caller.body == offer.body
    says(node, to_caller, "caller", sdp=SDP + "a=recvonly\n")
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_a_late_offer_is_remembered() -> None:
    """The callee's offer came in its 2xx, the caller's answer in the ACK."""
    node = CoreNode(INSIST)
    sent = start(node, invite(extra=ALLOWS["INVITE"], sdp=""))
    node.book.wire_in(answer(sent, 200, extra=ALLOWS["INVITE"], sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK", sdp=SDP)
    ack = node.book.wire_out("ACK ", CALLEE)
    node.wait(HALF_S)
    to_callee = asked(node, "callee", "INVITE")
    assert to_callee.body == ack.body != b""
    says(node, to_callee, "callee", sdp=B_SDP)
    node.book.wire_out("ACK ", CALLEE)
    to_caller = asked(node, "caller", "INVITE")
    assert to_caller.body == talk.ok.body
    says(node, to_caller, "caller", 488)
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_an_answer_that_was_sent_reliably_is_remembered() -> None:
    node = CoreNode(INSIST)
    sent = start(node, invite(extra=ALLOWS["INVITE"]))
    node.book.wire_in(answer(sent, 183, extra="Require: 100rel\nRSeq: 1", sdp=B_SDP), CALLEE)
    early = node.book.wire_out("SIP/2.0 183", CALLER)
    node.book.wire_in(answer(sent, 200, extra=ALLOWS["INVITE"]), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.wait(HALF_S)
    says(node, asked(node, "callee", "INVITE"), "callee", sdp=B_SDP)
    node.book.wire_out("ACK ", CALLEE)
    to_caller = asked(node, "caller", "INVITE")
    assert to_caller.body == early.body
    says(node, to_caller, "caller", 488)
    node.book.wire_out("ACK ", CALLER)
    talk.hang_up()


def test_an_end_without_a_description_is_asked_by_options() -> None:
    node = CoreNode(INSIST)
    sent = start(node, invite(extra=ALLOWS["INVITE"], sdp=""))
    node.book.wire_in(answer(sent, 200, extra=ALLOWS["INVITE"], sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")  # the answer is missing
    node.book.wire_out("ACK ", CALLEE)
    node.wait(HALF_S)
    both_are_there(node)
    talk.hang_up()


def test_allow_of_a_later_refresh_counts() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node)
    talk.from_caller("UPDATE", extra=ALLOWS["UPDATE"])
    update = node.book.wire_out("UPDATE ", CALLEE)
    says(node, update, "callee", extra=ALLOWS["INVITE"])
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(HALF_S)
    both_are_there(node, "UPDATE", "INVITE")
    talk.hang_up()


# -- an answer that is news to the other end ---------------------------------------------------------------------------


def test_an_answer_that_changes_something_is_offered_to_the_other_end() -> None:
    """The callee has put the call on hold in its answer (RFC 3264 §8): the caller must hear of it."""
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", "INVITE")
    node.wait(HALF_S)
    says(node, asked(node, "callee", "INVITE"), "callee", sdp=B_SDP + "a=recvonly\n")
    node.book.wire_out("ACK ", CALLEE)
    offer = asked(node, "caller", "INVITE")
    assert sdp_of(offer)["a"] == "recvonly"
    assert sdp_of(offer)["o"].split()[1:3] == [sdp_of(talk.ok)["o"].split()[1], _next(talk.ok)]
    says(node, offer, "caller", sdp=SDP + "a=sendonly\n")
    node.book.wire_out("ACK ", CALLER)
    back = asked(node, "callee", "INVITE")  # and that is news to the callee
    assert sdp_of(back)["a"] == "sendonly"
    says(node, back, "callee", sdp=B_SDP + "a=recvonly\n")
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()  # now both know the same
    node.wait(HALF_S + 0.1)
    says(node, asked(node, "callee", "INVITE"), "callee", sdp=B_SDP + "a=recvonly\n")
    node.book.wire_out("ACK ", CALLEE)
    says(node, asked(node, "caller"), "caller")
    talk.hang_up()


def _next(message: Message) -> str:
    """The version behind the one of its description."""
    return str(int(sdp_of(message)["o"].split()[2]) + 1)


def test_ends_that_never_agree_are_not_asked_for_ever() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "INVITE", "INVITE")
    node.wait(HALF_S)
    for number in range(4):
        side = SIDES[number % 2]
        says(node, asked(node, side, "INVITE"), side, sdp=(B_SDP, SDP)[number % 2].replace("40000", f"4100{number}"))
        node.book.wire_out("ACK ", ADDRESS[side])
    node.book.silence()
    talk.hang_up()


def test_an_answer_that_cannot_be_read_shows_a_sign_of_life() -> None:
    node = CoreNode(INSIST)
    talk = talk_of(node, "OPTIONS", "INVITE")
    node.wait(HALF_S)
    says(node, asked(node, "callee", "INVITE"), "callee", sdp="v=0\nm=audio")
    node.book.wire_out("ACK ", CALLEE)
    says(node, asked(node, "caller"), "caller")
    assert node.counters["refresh_answers_unusable"] == 1
    talk.hang_up()


def test_a_number_in_an_answer_ends_the_call_and_does_not_cross() -> None:
    node = CoreNode(INSIST)
    talk_of(node, "OPTIONS", "INVITE")
    node.wait(HALF_S)
    says(node, asked(node, "callee", "INVITE"), "callee", sdp=B_SDP + "a=x-of:13900139000\n")
    node.book.wire_out("ACK ", CALLEE)
    sent = [node.book.sent.popleft().data for _ in range(len(node.book.sent))]
    assert [data.split(b" ")[0] for data in sent] in ([b"BYE", b"BYE"], [b"OPTIONS"])
