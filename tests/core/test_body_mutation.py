"""Every translation of a body is missed when it is taken out: what the gate's tables are for header fields.

Each case is a conversation that is private as the node stands, and is not, or does not come about, with one function or
table of the bodies replaced by one that lets through what came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.core import relay, session_attributes, session_bodies, sms, sms_attempt, text_bodies
from sipstack.testing.playbook import wire
from tests.core.corenode import CALLEE, CALLER, A, B, CoreNode, X
from tests.core.parties import SDP, invite, message, start, talking
from tests.core.sms import send, submit, submitted, tp_address, tpdu_of
from tests.core.test_refused_methods import BOTH_ALLOW

pytestmark = pytest.mark.pure

WORD = "zqword"
STRANGER = "13500135000"  # a number of nobody here: the number check does not stop it

# One hostile line for each rule of an attribute: a word, a host or a long number where the rule leaves none.
HOSTILE = {
    "candidate": f"a=candidate:{WORD} 1 UDP 1 10.1.2.3 6000 typ srflx raddr 127.0.0.12 rport 5",
    "fingerprint": f"a=fingerprint:sha-256 {WORD}",
    "fmtp": f"a=fmtp:8 {WORD}={STRANGER}",
    "max-message-size": f"a=max-message-size:{STRANGER}",
    "msid": f"a=msid:{WORD} track",
    "msid-semantic": f"a=msid-semantic: WMS {WORD}",
    "remote-candidates": f"a=remote-candidates:1 {WORD} 6000",
    "ssrc": f"a=ssrc:1234 cname:{WORD}@host",
    "ssrc-group": f"a=ssrc-group:FID {WORD}",
}


def assert_noticed(check: Callable[[], None]) -> None:
    """With the translation gone the check fails; what its node has sent is looked at here, and not once more."""
    kept = list(CoreNode.made)
    with pytest.raises(AssertionError):
        check()
    CoreNode.made[:] = kept


def as_it_came(value: Any, *_: object) -> Any:
    return value


def offered(line: str) -> bytes:
    """The body of the callee's INVITE, for an offer with one more line."""
    node = CoreNode()
    sent = start(node, invite(sdp=f"{SDP}{line}"))
    return sent.body


def assert_left_out(line: str) -> None:
    body = offered(line)
    for secret in (WORD, STRANGER, "127.0.0.12", "Zhang", A):
        assert secret.encode() not in body, body


def test_there_is_a_line_for_each_rule() -> None:
    assert set(HOSTILE) == {name.decode() for name in session_attributes._RULES}


@pytest.mark.parametrize("name", HOSTILE)
def test_rule_of_an_attribute(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_left_out(HOSTILE[name])
    monkeypatch.setitem(session_attributes._RULES, name.encode(), as_it_came)
    assert_noticed(lambda: assert_left_out(HOSTILE[name]))


# An attribute with so long a name would stay behind as an unknown one, too.
NEVER_CROSS = session_attributes._NEVER_CROSS - {b"cs-correlation"}


@pytest.mark.parametrize("name", sorted(name.decode() for name in NEVER_CROSS))
def test_attribute_that_never_crosses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_left_out(f"a={name}:{WORD}")
    monkeypatch.setattr(session_attributes, "_NEVER_CROSS", frozenset())
    assert_noticed(lambda: assert_left_out(f"a={name}:{WORD}"))


@pytest.mark.parametrize(
    ("module", "name", "by", "line"),
    [
        (session_attributes, "_random", as_it_came, f"a=ice-pwd:{WORD}@127.0.0.12"),
        (session_attributes, "_may_hide", lambda *_: False, f"a=x-unknown:{WORD}{WORD}"),
        (session_bodies, "_without_host", as_it_came, "a=rtcp:40001 IN IP4 127.0.0.12"),
        (session_bodies, "_connection", as_it_came, f"c=IN IP4 10.1.2.3 {WORD}"),
        (session_bodies.OriginRewriter, "rewrite", lambda _, body, *__: body, ""),
    ],
)
def test_rest_of_a_description(
    module: object, name: str, by: Callable[..., object], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_left_out(line)
    monkeypatch.setattr(module, name, by)
    assert_noticed(lambda: assert_left_out(line))


# -- other bodies ------------------------------------------------------------------------------------------------------


def text_crosses_masked() -> None:
    node = CoreNode()
    node.book.wire_in(message(text=f"I am {A}"), CALLER)
    assert node.book.wire_out("MESSAGE ", CALLEE).body == b"I am 138****8000\r\n"


def key_press_is_ours() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.node.book.wire_in(in_dialog(talk, "INFO", "application/dtmf-relay", "signal = 5"), CALLER)
    body = node.book.wire_out("INFO ", CALLEE).body
    talk.hang_up()
    assert body == b"Signal=5\r\n"


def report_is_a_status_line() -> None:
    node = CoreNode(BOTH_ALLOW)
    talk = talking(node)
    talk.from_callee("REFER", f"Refer-To: <sip:{X}@veil.example>")
    asked = node.book.wire_out("REFER ", CALLER)
    node.book.wire_in(in_dialog(talk, "NOTIFY", "message/sipfrag", f"SIP/2.0 200 {WORD}", asked.cseq), CALLER)
    body = node.book.wire_out("NOTIFY ", CALLEE).body
    talk.hang_up()
    assert body == b"SIP/2.0 200 OK\r\n"


def short_message_is_for_b() -> None:
    tpdu = tpdu_of(send(CoreNode(), submitted()))
    assert tp_address(B) in tpdu
    assert tp_address(X) not in tpdu


def short_message_is_masked() -> None:
    sent = send(CoreNode(), submitted(submit(text=f"I am {A}")))
    assert tpdu_of(sent) == submit(B, "I am 138****8000")


def in_dialog(talk: Any, method: str, kind: str, body: str, refer: int = 0) -> bytes:
    """A request of the caller's with any body."""
    talk.caller_seq = 77
    event = f"Event: refer;id={refer}\nSubscription-State: active;expires=60\n" if refer else ""
    return wire(
        f"""{method} sip:{X}@127.0.0.11:5060 SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-a{method};rport
        Max-Forwards: 70
        From: {talk.ok.value(2)}
        To: {talk.ok.value(3)}
        Call-ID: {talk.ok.call_id}
        CSeq: 77 {method}
        {event}Content-Type: {kind}

        {body}"""
    )


@pytest.mark.parametrize(
    ("conversation", "module", "name", "by"),
    [
        (text_crosses_masked, text_bodies, "masked_text", as_it_came),
        (key_press_is_ours, relay, "crossing_keys", lambda came: (came.body, "application/dtmf-relay")),
        (report_is_a_status_line, relay, "crossing_report", lambda came: (came.body, "message/sipfrag")),
        (short_message_is_for_b, sms, "with_number", as_it_came),
        (short_message_is_masked, sms_attempt, "veiled_text", as_it_came),
    ],
)
def test_other_bodies(
    conversation: Callable[[], None],
    module: object,
    name: str,
    by: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conversation()
    monkeypatch.setattr(module, name, by)
    assert_noticed(conversation)
