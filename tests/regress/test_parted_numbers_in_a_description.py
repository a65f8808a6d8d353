"""A number in one word of a media, format or connection line crossed when it had separators, or was escaped.

The rules of these lines looked for nine digits in a row, as they stand in payload types and ports.
"""

from __future__ import annotations

import re

import pytest

from engine.core.copies import body_hides
from engine.core.session_bodies import OriginRewriter, description_holds_number
from sipstack.errors import RemoteSipError
from tests.fuzz.twists import spellings

NUMBER = "13900139000"
HEAD = "v=0\r\no=- 1 1 IN IP4 10.1.2.3\r\ns=-\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
ATTRIBUTES = (
    "rtpmap", "fmtp", "extmap", "framerate", "group", "imageattr", "maxptime", "mid", "ptime", "rid", "rtcp", "rtcp-fb",
    "sctp-port", "sctpmap", "simulcast", "candidate", "ssrc", "msid", "ice-pwd", "setup", "x-foo",
)  # fmt: skip
LINES = (
    "m={} 40000 RTP/AVP 8", "m=audio {} RTP/AVP 8", "m=audio 40000 {}RTP/AVP 8", "m=audio 40000 RTP/AVP {}",
    "c=IN IP4 {}", "c=IN IP4 {}.example", "b=AS:{}", "a=rtpmap:8 {}/8000", "a=fmtp:8 x={};y=1", "a={}",
    "a=rtcp:4 IN IP4 {}",
    *(f"a={name}:8 {{}}" for name in ATTRIBUTES),
)  # fmt: skip
SEPARATORS = re.compile(rb"[-.() \t/\\\0]+")


@pytest.mark.parametrize("line", LINES)
def test_no_spelling_of_a_number_crosses(line: str) -> None:
    for spelling in spellings(NUMBER):
        body = HEAD.encode() + line.encode().replace(b"{}", spelling) + b"\r\n"
        try:
            made = OriginRewriter(200_000_000, "127.0.0.11").rewrite(body)
        except RemoteSipError:
            continue
        if description_holds_number(made, NUMBER) or body_hides(made, "application/sdp", NUMBER):
            continue
        assert NUMBER.encode() not in SEPARATORS.sub(b"", made), (spelling, made)
        assert spelling not in made, (spelling, made)


@pytest.mark.parametrize(
    "line",
    [
        b"m=audio 49170/2 UDP/TLS/RTP/SAVPF 118 114 115 116", b"a=rtpmap:96 H263-1998/90000", b"a=fmtp:101 0-15,32-36",
        b"a=rtpmap:97 L24/192000/2", b"a=rtpmap:102 G7221/32000/1", b"c=IN IP4 172.31.100.200",
        b"c=IN IP4 ip-172-31-100-200.ec2.internal",
    ],
)  # fmt: skip
def test_what_phones_write_crosses_as_it_is(line: bytes) -> None:
    assert line in OriginRewriter(200_000_000, "127.0.0.11").rewrite(HEAD.encode() + line + b"\r\n")
