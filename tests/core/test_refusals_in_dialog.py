"""What a refusal within a dialog must say: Allow in 405, Accept in 415, Unsupported in 420 (RFC 3261 §21.4)."""

from __future__ import annotations

import pytest

from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, CoreNode, X
from tests.core.parties import Talk, answer, talking
from tests.core.test_refused_methods import BOTH_ALLOW, OUR_ALLOW

REFER_TO = f"Refer-To: <sip:{X}@veil.example>"
KEY = "Content-Type: application/dtmf-relay\n\nSignal=5"
PICTURE = "Content-Type: image/png\n\nx"


def refused_by_us(talk: Talk, method: str, extra: str) -> Message:
    talk.from_caller(method, extra)
    return talk.node.book.wire_out("SIP/2.0 415 Unsupported Media Type", CALLER)


@pytest.mark.parametrize(
    ("method", "extra", "accepted"),
    [
        ("INVITE", PICTURE, "application/sdp"),
        ("UPDATE", PICTURE, "application/sdp"),
        ("INFO", PICTURE, "application/dtmf-relay, application/dtmf"),
        ("REFER", f"{REFER_TO}\n{PICTURE}", ""),
    ],
)
def test_our_415_says_what_is_taken(method: str, extra: str, accepted: str) -> None:
    talk = talking(CoreNode(BOTH_ALLOW))
    assert refused_by_us(talk, method, extra).named("Accept") == [accepted]
    talk.node.book.silence()
    talk.hang_up()


def refused_by_callee(method: str, extra: str, status: int, said: str, allow: bool = False) -> Message:
    """The response that the caller gets for one of the callee."""
    node = CoreNode(BOTH_ALLOW) if allow else CoreNode()
    talk = talking(node)
    talk.from_caller(method, extra)
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out(f"{method} ", CALLEE)
    node.book.wire_in(answer(sent, status, extra=said), CALLEE)
    if method == "INVITE":
        node.book.wire_out("ACK ", CALLEE)
    response = node.book.wire_out(f"SIP/2.0 {status} ", CALLER)
    node.book.silence()
    if method != "INVITE":
        talk.hang_up()
    return response


@pytest.mark.parametrize("method", ["UPDATE", "INFO"])
def test_405_of_the_far_end_allows_the_rest(method: str) -> None:
    """A phone that knows no UPDATE: the other end refreshes with INVITE then (RFC 4028 §7.4)."""
    got = refused_by_callee(method, "", 405, "Allow: INVITE, X-SECRET")
    assert got.values(h.ALLOW) == [", ".join(name for name in OUR_ALLOW.split(", ") if name != method)]


def test_405_to_a_transfer_leaves_the_other_method() -> None:
    got = refused_by_callee("REFER", REFER_TO, 405, "", allow=True)
    assert got.values(h.ALLOW) == [f"{OUR_ALLOW}, NOTIFY"]


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ("Accept: application/DTMF ;q=1, x/secret", "application/dtmf"),
        ("Accept: x/secret", ""),
        ("", ""),
    ],
)
def test_415_of_the_far_end_names_types_of_ours(said: str, accepted: str) -> None:
    assert refused_by_callee("INFO", KEY, 415, said).named("Accept") == [accepted]


@pytest.mark.parametrize(
    ("said", "unsupported"),
    [("Unsupported: Timer, secret", ["timer"]), ("Unsupported: secret", []), ("", [])],
)
def test_420_of_the_far_end_names_options_of_ours(said: str, unsupported: list[str]) -> None:
    assert refused_by_callee("UPDATE", "Require: timer", 420, said).named("Unsupported") == unsupported


@pytest.mark.parametrize("status", [488, 500, 603])
def test_other_failures_say_none_of_it(status: int) -> None:
    got = refused_by_callee("UPDATE", "", status, "Allow: INVITE\nAccept: application/sdp\nUnsupported: timer")
    assert got.first[h.ALLOW] is None and not got.named("Accept") and not got.named("Unsupported")
