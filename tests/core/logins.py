"""A trunk that asks the node for its password, and what the node answers."""

from __future__ import annotations

from dataclasses import replace

from engine.core.settings import CoreSettings
from sipstack import headers as h
from sipstack.digest import SHA_256, Challenge, challenge_value, hashed_secret, matches, parse_credentials
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, TWO_TARGETS, CoreNode, with_trunk
from tests.core.parties import B_SDP, Talk, answer, start

USER = "veil"
PASSWORD = "trunk secret"
REALM = "carrier.example"
ASKED = Challenge(REALM, "their nonce", SHA_256)
ANSWERS = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
FIELDS = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}
FIRST = "sip:127.0.0.13:5060"


def with_login(side: str = "callee-side", **changes: object) -> CoreSettings:
    return with_trunk(side, username=USER, password=PASSWORD, realm=REALM, **changes)


def two_targets() -> CoreSettings:
    there = replace(with_login().peers[1], targets=TWO_TARGETS.peers[1].targets)
    return replace(TWO_TARGETS, peers=(TWO_TARGETS.peers[0], there))


def asks(request: Message, *challenges: Challenge, status: int = 401, tag: str = "asking") -> bytes:
    """The 401 or 407 of whoever got the request."""
    rows = "\n".join(f"{FIELDS[status]}: {challenge_value(one)}" for one in challenges or (ASKED,))
    return answer(request, status, tag, rows)


def is_shown(first: Message, again: Message, status: int = 401, password: str = PASSWORD) -> None:
    """The same request again: another branch, the next number, and right credentials, which say for whom they are."""
    assert first.top_via is not None and again.top_via is not None
    assert again.top_via.branch != first.top_via.branch
    assert (again.cseq, again.method, again.uri_text) == (first.cseq + 1, first.method, first.uri_text)
    changed = (h.VIA, h.CSEQ, h.OTHER)
    rows = [[row for row, id in zip(m.lines, m.ids, strict=True) if id not in changed] for m in (first, again)]
    assert rows[0] == rows[1] and first.body == again.body
    (row,) = again.named(ANSWERS[FIELDS[status]])
    credentials = parse_credentials(row)
    assert credentials is not None
    assert (credentials.username, credentials.realm, credentials.uri) == (USER, REALM, first.uri_text)
    secret = hashed_secret(credentials.algorithm, USER, REALM, password)
    assert matches(credentials, secret, first.method, first.body)


def logged_in(node: CoreNode, status: int = 401, data: bytes = b"") -> Message:
    """An INVITE is asked for the password, and sent again with it."""
    sent = start(node, data)
    node.book.wire_in(asks(sent, status=status), CALLEE)
    ack = node.book.wire_out("ACK ", CALLEE)
    assert (ack.cseq, ack.to_tag) == (sent.cseq, "asking")
    again = node.book.wire_out("INVITE ", CALLEE)
    node.book.silence()
    is_shown(sent, again, status)
    return again


def talking(node: CoreNode, again: Message) -> Talk:
    node.book.wire_in(answer(again, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, again, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    ack = node.book.wire_out("ACK ", CALLEE)
    assert ack.cseq == again.cseq
    fields = list(ANSWERS.values())
    assert [ack.named(field) for field in fields] == [again.named(field) for field in fields]  # RFC 3261 §22.1
    return talk
