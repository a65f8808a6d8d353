"""In an attribute that nobody knows, a host crossed that its sender does not name as its own elsewhere."""

from __future__ import annotations

import pytest

from engine.core.session_bodies import OriginRewriter

DESCRIPTION = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


@pytest.mark.parametrize("line", [b"a=x:sbc.b-tel.cn", b"a=X-relay:2001:db8::5", b"a=x:::1", b"a=pbx.home"])
def test_no_host_in_an_unknown_attribute(line: bytes) -> None:
    rewriter = OriginRewriter(1, "203.0.113.7")
    assert rewriter.rewrite(DESCRIPTION + line + b"\r\n") == rewriter.rewrite(DESCRIPTION)


@pytest.mark.parametrize("line", [b"a=x:2.5", b"a=X-nat:0", b"a=rtcp-xr:all:10000 a=b", b"a=silenceSupp:off - - - -"])
def test_numbers_and_words_cross(line: bytes) -> None:
    assert OriginRewriter(1, "203.0.113.7").rewrite(DESCRIPTION + line + b"\r\n").endswith(line + b"\r\n")
