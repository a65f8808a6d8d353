"""An end that answers the node in any way at all: it is there, or it has left, and nothing else comes of it."""

from __future__ import annotations

import pytest

from tests.core.corenode import CALLEE, A, B, CoreNode
from tests.core.lookers import HALF_S, INSIST, METHODS, asked, talk_of
from tests.core.parties import B_SDP, answer

ROWS = (
    "",
    "Allow: " + ", ".join(["INVITE", "UPDATE"] * 400),
    "Session-Expires: 99999999999999999999",
    "Session-Expires: 1;refresher=uas",
    "Session-Expires: soon",
    "Min-SE: 9\nSession-Expires: 4294967295",
    "RSeq: 1\nRequire: 100rel",
    "Record-Route: <sip:203.0.113.9:53;lr>",
    'WWW-Authenticate: Digest realm="x", nonce="y"',
)
CONTACTS = ("", "*", "<sip:x@203.0.113.9:53>, <sip:y@203.0.113.10>")
BODIES = ("", B_SDP, B_SDP + f"a=ice-pwd:{B * 3}\n", B_SDP.replace("m=audio", "m=audio audio"), "hello")


@pytest.mark.parametrize("status", [183, 200, 202, 302, 401, 407, 408, 481, 491, 500, 603])
@pytest.mark.parametrize("method", METHODS)
def test_whatever_it_answers(method: str, status: int) -> None:
    for rows, contact, body in [(rows, contact, body) for rows in ROWS for contact in CONTACTS for body in BODIES]:
        node = CoreNode(INSIST)
        talk_of(node, method, method)
        node.wait(HALF_S + 0.1)
        said = answer(asked(node, "callee", method), status, extra=rows, sdp=body, contact=contact)
        for _ in range(3):
            node.book.wire_in(said, CALLEE)
        sent = list(node.book.sent)
        assert len(sent) <= 5  # an ACK for each copy, and the question to the other end or a BYE to both
        assert all(message.flow.host.startswith("127.0.0.1") or status in (200, 202) for message in sent)
        for number, host in ((A, "127.0.0.13"), (B, "127.0.0.12")):
            assert not any(number.encode() in message.data for message in sent if message.flow.host == host)
        ended = [step for step, _ in node.steps if step.name == "CLOSE"] or node.counters.get("sessions_lost")
        assert bool(ended) == (status in (408, 481))
        CoreNode.made.clear()
