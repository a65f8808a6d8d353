"""sips: what is asked for so goes by TLS on every hop, or not at all (RFC 3261 §26.2.2, RFC 5630)."""

from __future__ import annotations

from dataclasses import replace

from engine.core.settings import CoreSettings, ListenerSettings, TargetSettings
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, SETTINGS, B, CoreNode, X, with_trunk
from tests.core.parties import B_SDP, Talk, answer, invite, message, of_invite
from tests.core.restart import restarted

BY_TLS = f"tls:{CALLER}/1"
THERE = "tls:127.0.0.13:5061/1"
SECURE = TargetSettings("sips:127.0.0.13", "127.0.0.13", 5061, "TLS", is_secure=True)
ONE_HOP = TargetSettings("sip:127.0.0.14;transport=tls", "127.0.0.14", 5061, "TLS")
PLAIN = TargetSettings("sip:127.0.0.13", "127.0.0.13", 5060)
SIPS_CONTACT = f"<sips:{X}@127.0.0.11:5061>"


def to(*targets: TargetSettings) -> CoreSettings:
    tls = ListenerSettings("TLS", "127.0.0.11", 5061, "127.0.0.11:5061")
    return replace(with_trunk("callee-side", targets=targets), listeners=(*SETTINGS.listeners, tls))


def secured(data: bytes) -> bytes:
    """The same with a sips URI to ask for, and in Contact."""
    rows = data.replace(b" sip:700", b" sips:700", 1).replace(b"Contact: <sip:", b"Contact: <sips:")
    return rows.replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS").replace(b"@127.0.0.12:5060>", b"@127.0.0.12:5061>")


def talking(node: CoreNode, data: bytes, caller: str, contact: str = "") -> tuple[Talk, Message]:
    """INVITE, 200, ACK with the callee that is there."""
    node.book.wire_in(data, caller)
    node.book.wire_out("SIP/2.0 100", caller)
    sent = node.book.wire_out("INVITE ", THERE)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP, contact=contact), THERE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", caller))
    talk.from_caller("ACK", source=caller)
    return talk, node.book.wire_out("ACK ", THERE)


def hang_up(talk: Talk, caller: str) -> Message:
    talk.from_callee("BYE", source=THERE)
    bye = talk.node.book.wire_out("BYE ")
    talk.node.book.wire_in(answer(bye, 200), caller)
    talk.node.book.wire_out("SIP/2.0 200", THERE)
    talk.node.book.silence()
    return bye


def test_sips_goes_to_who_promises_the_same() -> None:
    node = CoreNode(to(PLAIN, ONE_HOP, SECURE))
    talk, ack = talking(node, secured(invite()), BY_TLS, f"<sips:{B}@127.0.0.13:5061>")
    assert talk.invite.uri_text == f"sips:{B}@127.0.0.13:5061"
    assert talk.invite.value(h.CONTACT) == talk.ok.value(h.CONTACT) == SIPS_CONTACT
    assert ack.uri_text == f"sips:{B}@127.0.0.13:5061"
    assert hang_up(talk, BY_TLS).uri_text.startswith("sips:")


def test_sips_goes_nowhere_when_nobody_does() -> None:
    node = CoreNode(to(PLAIN, ONE_HOP))
    node.book.wire_in(secured(invite()), BY_TLS)
    node.book.wire_out("SIP/2.0 100", BY_TLS)
    refused = node.book.wire_out("SIP/2.0 480", BY_TLS)
    node.book.wire_in(secured(of_invite("ACK", refused.to_tag)), BY_TLS)
    assert node.sent_to(CALLEE) == node.sent_to("127.0.0.14:5061") == []
    node.assert_recorded(release_cause="ALL_TARGETS_FAILED")
    node.book.wire_in(secured(message()), BY_TLS)
    node.book.wire_out("SIP/2.0 480", BY_TLS)


def test_sips_that_came_in_clear_is_not_served() -> None:
    node = CoreNode(to(SECURE))
    for data in (secured(invite()), secured(message())):
        node.book.wire_in(data, CALLER)
        refused = node.book.wire_out("SIP/2.0 416", CALLER)
        if refused.method == "INVITE":
            node.book.wire_in(secured(of_invite("ACK", refused.to_tag)), CALLER)
    node.book.silence()
    assert node.records == []


def test_sip_may_go_to_a_sips_target() -> None:
    node = CoreNode(to(SECURE))
    talk, _ = talking(node, invite(), CALLER, f"<sip:{B}@127.0.0.13:5061>")
    assert talk.invite.uri_text.startswith("sips:")
    assert talk.invite.value(h.CONTACT) == SIPS_CONTACT
    assert talk.ok.value(h.CONTACT) == f"<sip:{X}@127.0.0.11:5060>"
    hang_up(talk, CALLER)


def test_both_sides_are_told_the_same_after_a_restart() -> None:
    settings = to(SECURE)
    talk, _ = talking(CoreNode(settings), secured(invite()), BY_TLS, f"<sips:{B}@127.0.0.13:5061>")
    talk.node = restarted(talk.node, settings, after_s=40.0)
    talk.from_callee("UPDATE", extra=f"Contact: <sips:{B}@127.0.0.13:5061>", source=THERE)
    update = talk.node.book.wire_out("UPDATE ", "tls:127.0.0.12:5061/1")
    assert update.value(h.CONTACT) == SIPS_CONTACT
    talk.node.book.wire_in(answer(update, 200, contact="<sips:a@127.0.0.12:5061>"), "tls:127.0.0.12:5061/1")
    assert talk.node.book.wire_out("SIP/2.0 200", THERE).value(h.CONTACT) == SIPS_CONTACT
    hang_up(talk, BY_TLS)
