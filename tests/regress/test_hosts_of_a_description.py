"""Each line of a description was searched for each address in it: a thousand of both took a tenth of a second."""

from __future__ import annotations

import pytest

from engine.core.session_bodies import OriginRewriter
from sipstack.errors import RemoteSipError

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\n"


def description(addresses: int) -> bytes:
    lines = [b"m=audio 9 RTP/AVP 8\r\nc=IN IP4 192.0.2.%d\r\na=x:1.a\r\n" % (step % 250) for step in range(addresses)]
    return HEAD + b"".join(lines)


def test_too_many_addresses_are_refused() -> None:
    with pytest.raises(RemoteSipError) as error:
        OriginRewriter(1, "203.0.113.7").rewrite(description(200))
    assert error.value.status_hint == 488


def test_one_address_may_stand_in_many_lines() -> None:
    body = HEAD + b"m=audio 9 RTP/AVP 8\r\nc=IN IP4 192.0.2.12\r\na=x:1.a\r\n" * 200
    crossed = OriginRewriter(1, "203.0.113.7").rewrite(body)
    assert crossed.count(b"c=IN IP4 192.0.2.12") == 200
    assert crossed.count(b"a=x:1.a") == 200
