"""Where a number is found in a description, and which neighbours are none."""

from __future__ import annotations

import pytest

from engine.core.numbers import canonical_real
from engine.core.session_bodies import OriginRewriter, description_holds_number
from engine.core.spelling import BETWEEN_DIGITS, holds_number
from tests.core.descriptions import AUDIO, MINIMAL, OURS, A

# What a browser offers: every kind of line that is a table of numbers, and two random source identifiers.
BROWSER = b"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=msid-semantic: WMS stream
m=audio 54400 UDP/TLS/RTP/SAVPF 111 63 103 104 9 0 8 106 105 13 110 112 113 126
c=IN IP4 138.101.138.102
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0
a=candidate:1467250027 2 udp 2122260222 192.168.0.196 56280 typ host generation 0
a=candidate:435653019 1 tcp 1845501695 192.168.0.196 0 typ host tcptype active generation 0
a=candidate:1853887674 1 udp 1518280447 47.61.61.61 36768 typ srflx raddr 192.168.0.196 rport 36768 generation 0
a=candidate:1 1 UDP 2130706431 10.0.1.1 8998 typ host
a=ice-ufrag:8hhY
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=fingerprint:sha-256 D2:B9:31:8F:DF:24:D8:0E:ED:D2:EF:25:9E:AF:6F:B8:34:AE:53:9C:E6:F3:8F:F2:64:15:FA:E8:7F:53:2D:38
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:110 telephone-event/48000
a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6
m=video 60372 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 121 127 120 125 107 108 109 124 119 123 118 114 115 116
c=IN IP4 217.130.243.155
a=mid:1
a=rtcp-fb:96 goog-remb
a=fmtp:98 profile-id=0
a=ssrc-group:FID 2231627014 632943048
a=ssrc:2231627014 cname:4TOk42mSjXCkVIa6
a=ssrc:2231627014 msid:lgsCFqt9kN2fVKw5wg3NKqGdATQoltEwOdMS daed9400-d0dd-4db3-b949-422499e96e2d
"""


@pytest.mark.parametrize(
    "line",
    [
        "a=fmtp:96 config=13800138000",
        "a=fmtp:96 profile-level-id=1;sprop-parameter-sets=ab13800138000,cd",
        "a=fmtp:96 x=13800138000;config=13800138000",
        "a=ssrc:1380013800 cname:a",
        "a=ice-ufrag:13800138000",
        "a=ice-pwd:138/0013/8000abcdefghijk",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:13800138000",
        "a=tls-id:x13800138000",
    ],
)
def test_number_in_a_description_is_found(line: str) -> None:
    out = OriginRewriter(1, OURS).rewrite(MINIMAL + AUDIO + line.encode() + b"\r\n")
    number = "1380013800" if "ssrc" in line else A
    assert description_holds_number(out, number)
    assert not description_holds_number(out, "13900139000")


def test_neighbours_are_not_one_number() -> None:
    """Real numbers that a plain search over the browser's offer would find: nobody is refused for them."""
    out = OriginRewriter(200000001, OURS).rewrite(BROWSER.replace(b"\n", b"\r\n"))
    joined = out.translate(None, BETWEEN_DIGITS).decode()
    runs = {joined[at : at + size] for size in range(9, 21) for at in range(len(joined))}
    alike = {number for number in runs if number.isdigit() and canonical_real(number) == number}
    assert {"18114115116", "13810113810", "2130706431", "2122260223"} <= alike
    assert all(holds_number(out, number) for number in alike)
    found = {number for number in alike if description_holds_number(out, number)}
    assert found == {"3570614608", "2231627014"}  # sources of 32 random bits: for a given number 2 in 10^10


@pytest.mark.parametrize("number", ["110", "120", "121", "10086", "12306", "95588", "96979899", "118114"])
def test_short_number_in_tables(number: str) -> None:
    body = BROWSER + b"m=audio 10086 RTP/AVP 110 120 121\na=rtcp:12306\nm=audio 12306 RTP/AVP 0\na=ptime:120\n"
    out = OriginRewriter(1, OURS).rewrite(body)
    assert not description_holds_number(out, number)


@pytest.mark.parametrize(
    "line", ["a=x:sip:95588 a", "a=x:TEL:+8695588", "a=x-uri:<sip:95588>", "b=X-sip:95588", "c=IN IP4 95588@gw"]
)
def test_short_number_as_a_user(line: str) -> None:
    body = b"v=0\r\n" + line.encode() + b"\r\n"
    assert description_holds_number(body, "95588")
    assert not description_holds_number(body, "9558")
