"""The row of an answered call, which each change writes anew, grew with its re-INVITEs and with what it was told."""

from __future__ import annotations

import json

from engine.core.records import Step
from engine.core.session_bodies import OriginRewriter
from tests.core.corenode import CALLER, CoreNode
from tests.core.parties import B_SDP, SDP, answer, talking

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


def test_it_does_not_grow_with_its_invites() -> None:
    talk = talking(CoreNode())
    node = talk.node
    for port in range(6000, 6040):
        talk.from_caller("INVITE", sdp=SDP)
        node.book.wire_out("SIP/2.0 100", CALLER)
        sent = node.book.wire_out("INVITE ")
        node.book.wire_in(answer(sent, 200, sdp=B_SDP, contact=f"<sip:b@127.0.0.13:{port}>"), "127.0.0.13:5060")
        node.book.wire_out("SIP/2.0 200", CALLER)
        talk.from_caller("ACK", cseq=talk.caller_seq)
        node.book.wire_out("ACK ")
    sizes = [
        len(json.dumps(done.extra, default=lambda octets: octets.decode("latin-1")))
        for done in node.stored if done.step is Step.CHANGE
    ]  # fmt: skip
    assert len(sizes) == 40
    assert max(sizes) - min(sizes) < 10
    talk.from_caller("BYE")
    node.book.wire_in(answer(node.book.wire_out("BYE "), 200), "127.0.0.13:6039")
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_it_does_not_grow_with_what_a_party_is_told() -> None:
    rewriter = OriginRewriter(1, "203.0.113.7")
    rows = [b"a=ice-pwd:%05d" % number + b"1" * 1000 + b"\r\n" for number in range(200)]
    crossed = rewriter.rewrite(HEAD + b"".join(rows))
    assert len(crossed) < 33_000
    assert rewriter.rewrite(HEAD + b"".join(rows)).count(b"ice-pwd") == crossed.count(b"ice-pwd") == 32
