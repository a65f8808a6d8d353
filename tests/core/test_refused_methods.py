"""REFER, SUBSCRIBE, NOTIFY, PUBLISH and REGISTER where nobody allows them: 405 with Allow, and nobody else hears of it.

The node is neither registrar nor notifier nor an agent that calls for others, so the method itself is what it does not
know (RFC 3261 §8.2.1, §21.4.6), before any event package is: the 489 of RFC 6665 §8.3.2 and RFC 3903 §6 is for those
that serve the method, and its Allow-Events could name none.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipstack import headers as h
from sipstack.testing.playbook import wire
from tests.core.corenode import CALLEE, CALLER, SETTINGS, STRANGER, A, B, CoreNode, X, with_trunk
from tests.core.parties import Talk, answer, ring, start, talking

METHODS = ("REFER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REGISTER")
OUR_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, PRACK, UPDATE, INFO"
CANARIES = f"""Contact: <sip:{A}@127.0.0.12:5060>
Refer-To: <sip:{A}@127.0.0.12?Replaces=canary%3Bto-tag%3D1>
Referred-By: <sip:{A}@127.0.0.12>
Target-Dialog: canary;local-tag=a-tag
Event: refer;id=7
Subscription-State: active;expires=60
Expires: 60
Accept: message/sipfrag
SIP-If-Match: {A}
Allow-Events: presence
Authorization: Digest username="{A}"
Content-Type: message/sipfrag

SIP/2.0 200 OK {A}"""

BOTH_ALLOW = replace(SETTINGS, peers=tuple(replace(peer, allow_transfer=True) for peer in SETTINGS.peers))


def outside(method: str, called: str = X, rows: str = CANARIES) -> bytes:
    return wire(
        f"""{method} sip:{called}@veil.example SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-a{method};rport
        Max-Forwards: 70
        From: "Zhang San" <sip:{A}@core.example>;tag=a-tag
        To: <sip:{called}@veil.example>
        Call-ID: 1-4711@127.0.0.12
        CSeq: 7 {method}
        """
        + rows
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("allows", [True, False])
@pytest.mark.parametrize("called", [X, A, "13700137000"])
def test_outside_of_a_dialog(method: str, allows: bool, called: str) -> None:
    """Whoever is named, and whatever a peer is allowed in a dialog; no record, no state."""
    node = CoreNode(with_trunk("caller-side", allow_transfer=allows))
    node.book.wire_in(outside(method, called), CALLER)
    response = node.book.wire_out("SIP/2.0 405 Method Not Allowed", CALLER)
    assert response.value(h.ALLOW) == OUR_ALLOW and not response.body
    ours = {h.VIA, h.FROM, h.TO, h.CALL_ID, h.CSEQ, h.ALLOW, h.CONTENT_LENGTH}
    assert set(response.ids) <= ours
    node.book.silence()
    assert not node.steps and not node.context.attempts and not node.context.dialogs
    assert node.counters["answered_405"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_from_nobody_it_is_answered_nothing(method: str) -> None:
    node = CoreNode()
    node.book.wire_in(outside(method), STRANGER)
    node.book.silence()


@pytest.mark.parametrize("method", METHODS)
def test_with_the_tag_of_no_dialog_it_is_481(method: str) -> None:
    """RFC 3261 §12.2.2; for a NOTIFY RFC 6665 §4.1.3 too."""
    node = CoreNode()
    node.book.wire_in(outside(method).replace(b"veil.example>\r\nCall", b"veil.example>;tag=none\r\nCall"), CALLER)
    node.book.wire_out("SIP/2.0 481", CALLER)
    node.book.silence()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("side", ["caller", "callee"])
@pytest.mark.parametrize("allowing", ["neither", "caller-side", "callee-side"])
def test_in_a_dialog_that_both_sides_do_not_allow(method: str, side: str, allowing: str) -> None:
    """One peer's allow_transfer is not enough, whichever side asks."""
    settings = SETTINGS if allowing == "neither" else with_trunk(allowing, allow_transfer=True)
    node = CoreNode(settings)
    talk = talking(node)
    assert talk.ok.value(h.ALLOW) == talk.invite.value(h.ALLOW) == OUR_ALLOW
    if side == "caller":
        talk.from_caller(method, extra=CANARIES)
    else:
        talk.from_callee(method, extra=CANARIES.replace(A, B))
    response = node.book.wire_out("SIP/2.0 405 ", CALLER if side == "caller" else CALLEE)
    assert response.value(h.ALLOW) == OUR_ALLOW
    node.book.silence()
    talk.hang_up()


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH", "REGISTER"])
def test_in_a_dialog_that_allows_transfers_the_others_are_still_refused(method: str) -> None:
    node = CoreNode(BOTH_ALLOW)
    talk = talking(node)
    talk.from_caller(method, extra=CANARIES)
    response = node.book.wire_out("SIP/2.0 405 ", CALLER)
    assert response.value(h.ALLOW) == f"{OUR_ALLOW}, REFER, NOTIFY"
    node.book.silence()
    talk.hang_up()


@pytest.mark.parametrize("method", METHODS)
def test_in_an_early_dialog(method: str) -> None:
    node = CoreNode()
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent))
    talk.from_caller(method, extra=CANARIES)
    node.book.wire_out("SIP/2.0 405 ", CALLER)
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.book.silence()
