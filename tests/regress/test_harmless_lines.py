"""One message could fill the memory of lines that need no second look, for good: each later description cost thrice."""

from __future__ import annotations

from engine.core import session_attributes
from engine.core.session_bodies import OriginRewriter

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


def test_a_new_line_is_remembered_after_too_many() -> None:
    OriginRewriter(1, "203.0.113.7").rewrite(HEAD + b"a=rtpmap:8 PCMA/8000\r\n")  # known by itself, and as all rows
    many = b"".join(b"a=mid:q%d\r\n" % count for count in range(session_attributes.MAX_HARMLESS + 1))
    OriginRewriter(1, "203.0.113.7").rewrite(HEAD + many)
    OriginRewriter(1, "203.0.113.7").rewrite(HEAD + b"a=rtpmap:8 PCMA/8000\r\n")
    assert {b"a=rtpmap:8 PCMA/8000", b"a=sendrecv"} <= session_attributes.HARMLESS
    assert len(session_attributes.HARMLESS) <= session_attributes.MAX_HARMLESS
