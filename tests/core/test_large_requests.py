"""Requests of more than 1300 bytes go by TCP, and by UDP when nobody takes them there (RFC 3261 §18.1.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.large_requests import MOST_UDP_BYTES, REMEMBERED_S
from engine.core.settings import ListenerSettings, TargetSettings
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, SETTINGS, CoreNode, with_trunk
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, message, of_invite, start, talking

BY_TCP = f"tcp:{CALLEE}/1"
LONG_SDP = SDP + "".join(f"a=fmtp:{number} mode=1;octet-align=1;mode-change-neighbor=1\n" for number in range(96, 116))
BOTH = replace(
    SETTINGS,
    listeners=(*SETTINGS.listeners, ListenerSettings("TCP", "127.0.0.11", 5060, "127.0.0.11:5070")),
)


def asked(node: CoreNode, to: str, branch: str = "z9hG4bK-a1", tag: str = "a-tag") -> Message:
    """The INVITE that the callee gets of a caller with a long offer."""
    return start(node, invite(sdp=LONG_SDP, branch=branch, tag=tag), to)


def answered(node: CoreNode, sent: Message, by: str) -> Talk:
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), by)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    return talk


def test_long_invite_goes_by_tcp() -> None:
    node = CoreNode(BOTH)
    sent = asked(node, BY_TCP)
    assert len(sent.to_bytes()) > MOST_UDP_BYTES
    assert sent.line(h.VIA).startswith("Via: SIP/2.0/TCP 127.0.0.11:5070;branch=")
    node.wait(3.0)
    node.book.silence()  # TCP repeats it
    answered(node, sent, BY_TCP).hang_up()


def test_short_invite_goes_by_udp() -> None:
    node = CoreNode(BOTH)
    sent = start(node, to=CALLEE)
    assert sent.line(h.VIA).startswith("Via: SIP/2.0/UDP 127.0.0.11:5060;branch=")
    answered(node, sent, CALLEE).hang_up()


def test_without_a_tcp_listener_all_goes_by_udp() -> None:
    node = CoreNode()
    answered(node, asked(node, CALLEE), CALLEE).hang_up()


def test_who_takes_no_tcp_gets_it_by_udp_with_the_same_branch() -> None:
    node = CoreNode(BOTH)
    by_tcp = asked(node, BY_TCP)
    node.transport_fails(CALLEE)
    by_udp = node.book.wire_out("INVITE ", CALLEE)
    assert by_udp.line(h.VIA).startswith("Via: SIP/2.0/UDP 127.0.0.11:5060;branch=")
    assert by_udp.top_via is not None and by_tcp.top_via is not None
    assert by_udp.top_via.branch == by_tcp.top_via.branch
    assert by_udp.to_bytes().partition(b"\r\nMax-")[2] == by_tcp.to_bytes().partition(b"\r\nMax-")[2]
    node.wait(0.5)
    node.book.wire_out("INVITE ", CALLEE)  # Timer A
    answered(node, by_udp, CALLEE).hang_up()
    assert node.record["attempts"][0][2] == 200  # type: ignore[index]


def test_who_took_no_tcp_is_not_asked_again_for_a_while() -> None:
    node = CoreNode(BOTH)
    asked(node, BY_TCP)
    node.transport_fails(CALLEE)
    answered(node, node.book.wire_out("INVITE ", CALLEE), CALLEE).hang_up()
    for number, (after_s, to) in enumerate(((REMEMBERED_S - 60, CALLEE), (70.0, BY_TCP))):
        node.wait(after_s)
        sent = asked(node, to, f"z9hG4bK-next{number}", f"a-tag{number}")
        node.book.wire_in(answer(sent, 486), to)
        node.book.wire_out("ACK ", to)
        refused = node.book.wire_out("SIP/2.0 486", CALLER)
        node.book.wire_in(of_invite("ACK", refused.to_tag, f"z9hG4bK-next{number}"), CALLER)


def test_who_takes_neither_has_failed() -> None:
    node = CoreNode(BOTH)
    asked(node, BY_TCP)
    node.transport_fails(CALLEE)
    node.book.wire_out("INVITE ", CALLEE)
    node.transport_fails(CALLEE)
    refused = node.book.wire_out("SIP/2.0 480", CALLER)
    node.book.wire_in(of_invite("ACK", refused.to_tag), CALLER)
    node.assert_recorded(release_cause="ALL_TARGETS_FAILED")


def test_call_that_was_taken_back_meanwhile_does_not_leave_by_udp() -> None:
    node = CoreNode(BOTH)
    asked(node, BY_TCP)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    refused = node.book.wire_out("SIP/2.0 487", CALLER)
    node.book.wire_in(of_invite("ACK", refused.to_tag), CALLER)
    node.transport_fails(CALLEE)
    node.book.silence()


def test_cancel_follows_its_invite() -> None:
    node = CoreNode(BOTH)
    sent = asked(node, BY_TCP)
    node.book.wire_in(answer(sent, 100), BY_TCP)
    node.book.wire_in(of_invite("CANCEL"), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLER)
    cancel = node.book.wire_out("CANCEL ", BY_TCP)
    refused = node.book.wire_out("SIP/2.0 487", CALLER)
    assert cancel.line(h.VIA) == sent.line(h.VIA)
    node.book.wire_in(answer(cancel, 200), BY_TCP)
    node.book.wire_in(answer(sent, 487), BY_TCP)
    node.book.wire_out("ACK ", BY_TCP)
    node.book.wire_in(of_invite("ACK", refused.to_tag), CALLER)


def test_long_message_goes_by_tcp() -> None:
    node = CoreNode(BOTH)
    node.book.wire_in(message("快递到了" * 100), CALLER)
    sent = node.book.wire_out("MESSAGE ", BY_TCP)
    node.book.wire_in(answer(sent, 200), BY_TCP)
    node.book.wire_out("SIP/2.0 200", CALLER)


@pytest.mark.parametrize("takes_tcp", [True, False])
def test_long_offer_within_a_call(takes_tcp: bool) -> None:
    node = CoreNode(BOTH)
    talk = talking(node)
    talk.from_caller("INVITE", sdp=LONG_SDP)
    node.book.wire_out("SIP/2.0 100", CALLER)
    by = BY_TCP
    sent = node.book.wire_out("INVITE ", by)
    if not takes_tcp:
        node.transport_fails(CALLEE)
        by = CALLEE
        sent = node.book.wire_out("INVITE ", by)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), by)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK", cseq=talk.caller_seq)
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_target_over_a_stream_stays_there(transport: str) -> None:
    """What is meant for TLS never leaves in clear, whatever its length."""
    secure = ListenerSettings("TLS", "127.0.0.11", 5061, "127.0.0.11:5061")
    targets = (TargetSettings("", "127.0.0.13", 5060, transport),)
    node = CoreNode(replace(with_trunk("callee-side", targets=targets), listeners=(*BOTH.listeners, secure)))
    sent = asked(node, f"{transport.lower()}:{CALLEE}/{1 if transport == 'TCP' else 2}")
    assert sent.line(h.VIA).startswith(f"Via: SIP/2.0/{transport} ")
    node.transport_fails(CALLEE)
    refused = node.book.wire_out("SIP/2.0 480", CALLER)
    node.book.wire_in(of_invite("ACK", refused.to_tag), CALLER)
