"""An answer repeats b= of its offer, so a caller could try numbers in it: the answer was stopped when one was right."""

from __future__ import annotations

import pytest

from engine.core.session_bodies import OriginRewriter

DESCRIPTION = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


@pytest.mark.parametrize("line", [b"b=AS:13900139000", b"b=TIAS:2088888888", b"b=a13900139000:1"])
def test_no_number_in_a_bandwidth(line: bytes) -> None:
    rewriter = OriginRewriter(1, "203.0.113.7")
    assert rewriter.rewrite(DESCRIPTION + line + b"\r\n") == rewriter.rewrite(DESCRIPTION)
    assert rewriter.rewrite(DESCRIPTION + b"b=AS:64\r\n").endswith(b"b=AS:64\r\n")
