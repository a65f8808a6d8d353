"""A call remembered keys and names of any length: 256 of them, each of a whole datagram, were 15 MB for one call."""

from __future__ import annotations

import pytest

from engine.core.session_bodies import OriginRewriter

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


@pytest.mark.parametrize(
    ("line", "longest"),
    [(b"a=ice-pwd:%b", 1014), (b"a=crypto:1 AES inline:%b", 1002), (b"a=fmtp:96 config=%b", 1024), (b"a=msid:%b", 64)],
)
def test_what_is_too_long_to_be_remembered_stays_behind(line: bytes, longest: int) -> None:
    def crosses(octets: int) -> bool:
        crossed = OriginRewriter(1, "203.0.113.7").rewrite(HEAD + line % (b"1" * octets) + b"\r\n")
        return line[:6] in crossed

    assert crosses(longest) and not crosses(longest + 1)
