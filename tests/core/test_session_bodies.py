"""Session descriptions: what crosses, how it is written, and where a number is found in them."""

from __future__ import annotations

import base64
import re
from binascii import hexlify

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import session_attributes
from engine.core.numbers import canonical_real
from engine.core.session_bodies import OriginRewriter, description_holds_number
from engine.core.spelling import BETWEEN_DIGITS, holds_number
from sipstack.errors import RemoteSipError
from sipstack.message import Message, render
from sipstack.parser import parse

A = "13800138000"
LANDLINE = "2088888888"
HOST = "192.0.2.12"  # of the sender
OURS = "203.0.113.7"

MINIMAL = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n"
AUDIO = b"m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"

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


def sender(status: int = 0) -> Message:
    """The message that carries a description; with a status the response of the other side."""
    start = f"SIP/2.0 {status} OK" if status else "INVITE sip:700@veil.example SIP/2.0"
    rows = [
        "Via: SIP/2.0/UDP pbx.customer.example:5060;branch=z9hG4bKx",
        "From: <sip:+8613800138000@core.customer.example>;tag=1",
        "To: <sip:700123456780001@callee.customer.example>",
        "Call-ID: 1",
        "CSeq: 1 INVITE",
        "Contact: <sip:13800138000@phone.customer.example:5062>",
    ]
    return parse(render(start, rows))


def crossed(body: bytes, carrier: Message | None = None) -> list[str]:
    """The lines that come out of a description."""
    return OriginRewriter(200000001, OURS).rewrite(body, carrier).decode().removesuffix("\r\n").split("\r\n")


def crosses(line: str) -> bool:
    """True when one more line of the description comes out as it went in."""
    return line in crossed(MINIMAL + AUDIO + line.encode() + b"\r\n", sender())


# -- lines -------------------------------------------------------------------------------------------------------------


def test_origin_session_and_time_are_ours() -> None:
    body = b"v=0\r\no=13800138000 7 8 IN IP4 192.0.2.12\r\ns=Zhang San\r\nt=3900000000 3900003600\r\n" + AUDIO
    assert crossed(body) == [
        "v=0",
        f"o=- 200000001 200000001 IN IP4 {OURS}",
        "s=-",
        "t=0 0",
        "m=audio 40000 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
    ]


def test_connection_is_three_words() -> None:
    lines = crossed(MINIMAL + AUDIO + b"c=IN IP4 198.51.100.1 zhang san\r\n")
    assert lines[-1] == "c=IN IP4 198.51.100.1"


def test_what_is_judged_once_is_judged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are remembered up to a bound; with and without it the same crosses."""
    monkeypatch.setattr(session_attributes, "MAX_HARMLESS", len(session_attributes.HARMLESS) + 2)
    body = MINIMAL + b"".join(f"a=rtpmap:{n} CODEC{n}/8000\r\na=mid:139001390{n}\r\n".encode() for n in range(90, 99))
    first = crossed(body)
    assert first == crossed(body) and len(first) == 5 + 9
    assert len(session_attributes.HARMLESS) <= session_attributes.MAX_HARMLESS


def test_origin_over_ipv6() -> None:
    body = OriginRewriter(5, "2001:db8::7").rewrite(MINIMAL)
    assert b"o=- 5 5 IN IP6 2001:db8::7\r\n" in body


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n", ""])
def test_line_ends(end: str) -> None:
    lines = MINIMAL.decode().split("\r\n")[:-1]
    assert crossed((end if end.startswith("\n") else "\r\n").join(lines).encode() + end.encode()) == [
        "v=0",
        f"o=- 200000001 200000001 IN IP4 {OURS}",
        "s=-",
        "c=IN IP4 192.0.2.12",
        "t=0 0",
    ]


IDENTITY_LINES = [
    "i=13800138000 calling",
    "u=http://192.0.2.12/zhang",
    "e=zhang@customer.example (Zhang San)",
    "p=+86 138 0013 8000",
    "k=clear:13800138000",
    "r=604800 3600 0 90000",
    "z=2882844526 -1h",
    "y=0100000001",
    "b=X-zhang:zhang",
    "b=AS:64 zhang",
    "s=Zhang San",
    "a=tool:ExamplePhone 1.0",
    "a=identity:eyJpZCI6InpoYW5nIn0=",
    "a=cat:zhang.private",
    "a=keywds:zhang",
]


@pytest.mark.parametrize("line", IDENTITY_LINES)
def test_identity_lines_stay_behind(line: str) -> None:
    """At session level, at media level and of the second medium."""
    at_session = crossed(MINIMAL + line.encode() + b"\r\n" + AUDIO)
    at_media = crossed(MINIMAL + AUDIO + line.encode() + b"\r\n" + AUDIO + line.encode() + b"\r\n")
    for lines in (at_session, at_media):
        assert line not in lines and [row for row in lines if row[0] not in "vosctma"] == []
        assert lines.count("s=-") == 1
    assert "m=audio 40000 RTP/AVP 8 101" in at_session and at_media.count("a=rtpmap:8 PCMA/8000") == 2


@pytest.mark.parametrize(
    "line",
    [
        "c=IN IP4 198.51.100.1",
        "c=IN IP6 2001:db8::1",
        "b=AS:64",
        "b=TIAS:64000",
        "m=video 49170/2 RTP/AVP 31 34",
        "m=image 49170 udptl t38",
        "a=rtpmap:96 L24/192000/10",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=fmtp:96 profile-level-id=1;config=400026203fc0",  # RFC 6416: nine digits in a row
        "a=fmtp:110 br=5.9-24.4; bw=nb-swb",
        "a=fmtp:63 111/111/111/111",
        "a=fmtp:97 mode-set=0,1,2,3,4,5,6,7; octet-align=1",
        "a=ptime:20",
        "a=sendonly",
        "a=inactive",
        "a=rtcp:53020",
        "a=rtcp-fb:96 nack pli",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32",
        "a=fingerprint:sha-256 12:34:56:78:90:12:34:56:78:90:12:34:56:78:90:12:34:56:78:90",
        "a=remote-candidates:1 192.0.2.12 8998",
        "a=ice-ufrag:8hhY",
        "a=mid:audio",
        "a=group:BUNDLE 0 1 2 3 4 5 6 7 8 9 10",
        "a=curr:qos local sendrecv",
        "a=des:qos mandatory remote sendrecv",
        "a=max-message-size:65536",
        "a=ssrc-group:FID 3570614608 2231627014",
        "a=tls-id:abc3de65cddef001be82123456789",
        "a=T38FaxMaxBuffer:200",
        "a=T38FaxUdpEC:t38UDPFEC",
        "a=silenceSupp:off - - - -",
        "a=x-vendor:short words of any kind",
        "a=extmap:1 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=setup:actpass",
        "a=end-of-candidates",
        "a=ice-options:trickle renomination",
        "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics",
        "a=tcap:1 UDP/TLS/RTP/SAVPF UDP/TLS/RTP/SAVP RTP/SAVPF RTP/SAVP RTP/AVPF",
        "a=pcfg:1 t=1|2 a=1,[2]",
        "a=3gpp_sync_info:No Sync",
    ],
)
def test_media_lines_cross_as_they_are(line: str) -> None:
    assert crosses(line)


@pytest.mark.parametrize(
    "line",
    [
        "a=x-caller:13800138000",
        "a=x-caller:138 0013-8000",
        "a=x-caller:%31%33800138000",
        "a=x-caller:１３８００１３８０００",
        "a=x-anybody:13900139000",
        "a=x-anybody:MTM4MDAxMzgwMDA=",
        "a=x-anybody:3133383030313338303030",
        "a=MTM4MDAxMzgwMDA",
        "a=x-anybody:张三",
        "a=x-uri:sip:95588",
        "a=x-uri:TEL:+8695588",
        "a=x-uri:95588@x",
        "a=mid:95588@x",
        "a=mid:138-0013-8000",
        "a=mid:%31%33%38%30%30%31%33%38%30%30%30",
        "a=extmap:1 sip:95588",
        "a=fmtp:96 sip:95588",
        "a=fmtp:96 x=%31%33%38%30%30%31%33%38%30%30%30",
        "a=fmtp:96 x=１３８００１３８０００",
        "a=fmtp:96 x=13800138000",
        "a=fmtp:13800138000 config=1",
        "a=ice-ufrag:tel:95588",
        "a=ice-pwd:%31%33800138000",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc zhang@pbx.customer.example",
        "a=fingerprint:sha-256 pbx.customer.example",
        "a=fingerprint:sha-256 13800138000",
        "a=fingerprint:1380013 80:00",
        "a=ssrc:13800138000 cname:a",
        "a=ssrc:1 label:13800138000",
        "a=ssrc:1 information:zhang",
        "a=ssrc-group:13800138000 1 2",
        "a=ssrc-group:FID 13800138000",
        "a=msid-semantic:13800138000 *",
        "a=max-message-size:13800138000x",
        "a=candidate:1 1 UDP 1 13800138000.example 9 typ host",
        "a=candidate:1 1 UDP 13800138000 192.0.2.1 9 typ host",
        "a=candidate:1 1 UDP 1 8f1d9400-d0dd-4db3-b949-013800138000.local 9 typ host",
        "a=candidate:1 1 UDP 1 192.0.2.1 9 typ 13800138000",
        "a=remote-candidates:1 13800138000.example 9",
        "a=cs-correlation:callerid:+8613800138000",
        "a=key-mgmt:mikey AQAFgM0XflABAAAAAAAAAAAAAAsAyO",
        "a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0",
        "a=path:msrp://192.0.2.12:7394/2s93i9ek2a;tcp",
        "a=mid:13900139000",
        "a=rid:13900139000 send",
        "a=ptime:13900139000",
        "a=rtpmap:96 13900139000/8000",
        "a=extmap:1 urn:x:13900139000",
        "a=mid:１３９",
        "a=x:MTM4MDAx/UDP/TLS/RTP/SAVP/MzgwMDA=",
        "a=x:MTM4MDArenominationzgwMDA=",
        "a=x:renominations",
    ],
)
def test_a_long_number_does_not_cross_in_an_attribute(line: str) -> None:
    """Whosever it is: this must not depend on the other party's number (see test_disclosure_echo)."""
    assert not crosses(line)


@pytest.mark.parametrize(
    "line",
    [
        f"a=x-host:{HOST}",
        f"a=fmtp:96 x=zhang@{HOST}",
        "a=x:zhang@anything",
        "a=source-filter: incl IN IP4 * somewhere",
        "a=x-other:10.20.30.40",  # any address: of the sender's network, if not its own
        "a=x-via:pbx.customer.example",
        "a=x-from:CORE.customer.example",
        "a=x-contact:phone.customer.example;x",
        "a=alt:1 1 : UDP a b 192.0.2.12 4000",
        "a=rtcp:IN IP4 192.0.2.12",
    ],
)
def test_hosts_of_the_sender_cross_in_no_attribute(line: str) -> None:
    assert not crosses(line)


def test_host_of_a_response() -> None:
    response = sender(200)
    own, ours = "a=extmap:1 http://callee.customer.example", "a=extmap:1 http://pbx.customer.example"  # of our own Via
    assert own not in crossed(MINIMAL + f"{own}\r\n".encode(), response)
    assert ours in crossed(MINIMAL + f"{ours}\r\n".encode(), response)


@pytest.mark.parametrize(
    "line",
    ["a=x-v:1.0", "a=extmap:1 http://mypbx.customer.example", "a=extmap:1 http://pbx.customer.example.org-1"],
)
def test_other_names_are_no_hosts_of_the_sender(line: str) -> None:
    assert crosses(line) is ("example.org" not in line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "a=candidate:13800138000 1 udp 2122260223 192.168.0.196 46243 typ host generation 0 network-id 1",
            "a=candidate:id1 1 udp 2122260223 192.168.0.196 46243 typ host generation 0",
        ),
        (
            "a=candidate:2 1 UDP 1694498815 198.51.100.3 8998 typ srflx raddr 192.0.2.12 rport 8998 ufrag 13800138000",
            "a=candidate:id1 1 UDP 1694498815 198.51.100.3 8998 typ srflx raddr 0.0.0.0 rport 9",
        ),
        (
            "a=candidate:3 2 tcp 1 2001:db8::1 9 typ relay raddr fe80::1 rport 1 tcptype active",
            "a=candidate:id1 2 tcp 1 2001:db8::1 9 typ relay raddr :: rport 9 tcptype active",
        ),
        ("a=ssrc:3570614608 cname:zhang@192.0.2.12", "a=ssrc:3570614608 cname:party"),
        ("a=ssrc:3570614608 cname:13800138000", "a=ssrc:3570614608 cname:party"),
        ("a=ssrc:1 msid:13800138000 zhang@pbx.customer.example", "a=ssrc:1 msid:id1 id2"),
        ("a=msid:13800138000 zhang", "a=msid:id1 id2"),
        ("a=msid:- zhang", "a=msid:- id1"),
        ("a=msid-semantic: WMS zhang 13800138000", "a=msid-semantic: WMS id1 id2"),
        ("a=msid-semantic:WMS *", "a=msid-semantic: WMS *"),
        ("a=max-message-size:1073741823", "a=max-message-size:99999999"),
        ("a=max-message-size:13800138000", "a=max-message-size:99999999"),
        ("a=fmtp:96 x=1;y=13800138000;config=1f400026203f", "a=fmtp:96 x=1;config=1f400026203f"),
    ],
)
def test_words_of_the_sender_become_ours(line: str, expected: str) -> None:
    assert crossed(MINIMAL + AUDIO + line.encode() + b"\r\n", sender())[-1] == expected


def test_the_same_name_stays_the_same() -> None:
    """A stream is known again in another line, in the next description, and by no more names than a phone has."""
    rewriter = OriginRewriter(200000001, OURS)
    names = b"a=msid:zhang li\r\na=msid:li wang\r\na=ssrc:1 msid:wang zhang\r\n"
    first = rewriter.rewrite(MINIMAL + AUDIO + names)
    again = rewriter.rewrite(MINIMAL + AUDIO + b"a=msid:wang li\r\n")
    assert first.endswith(b"a=msid:id1 id2\r\na=msid:id2 id3\r\na=ssrc:1 msid:id3 id1\r\n")
    assert again.endswith(b"a=msid:id3 id2\r\n")
    many = b"".join(b"a=msid:stream%d x\r\n" % n for n in range(400))
    assert rewriter.rewrite(MINIMAL + AUDIO + many).count(b"a=msid") < 256


ENCODED = [code(before + number + b"!") for number in (A.encode(), A.encode("utf-16-le"), A.encode("utf-16-be"))
           for code in (base64.b64encode, hexlify) for before in (b"", b"x", b"xy")]  # fmt: skip
ENCODED += [hexlify(A.encode(), between) for between in ":- ,"] + [
    b" ".join(ENCODED[0][n : n + 4] for n in range(0, 16, 4))
]


@pytest.mark.parametrize("encoded", ENCODED)
@pytest.mark.parametrize("line", ["a=x:{}", "a={}", "a=fmtp:96 {}", "a=fmtp:96 y={}", "a=fmtp:96 {}=1", "a=msid:{} {}"])
def test_an_encoded_number_does_not_cross(line: str, encoded: bytes) -> None:
    assert encoded not in OriginRewriter(1, OURS).rewrite(
        MINIMAL + AUDIO + line.replace("{}", encoded.decode()).encode() + b"\r\n"
    )


@pytest.mark.parametrize("encoded", ENCODED[:18])
@pytest.mark.parametrize("line", ["a=fmtp:96 config={}", "a=fmtp:96 x=1;sprop-parameter-sets={}", "a=ice-pwd:{}"])
def test_an_encoded_number_does_not_come_back(line: str, encoded: bytes) -> None:
    body = MINIMAL + AUDIO + line.replace("{}", encoded.decode()).encode() + b"\r\n"
    there = OriginRewriter(1, OURS)
    assert encoded in there.rewrite(body)
    assert encoded not in there.opposite(2).rewrite(body)


def test_a_configuration_that_both_phones_have_comes_back() -> None:
    """Two phones of one make: nothing in it can be a number."""
    line = b"a=fmtp:97 profile-level-id=42e01f;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\n"
    there = OriginRewriter(1, OURS)
    assert there.rewrite(MINIMAL + AUDIO + line).endswith(line)
    assert there.opposite(2).rewrite(MINIMAL + AUDIO + line).endswith(line)


LONG_LINES = [
    "a=ice-pwd:13800138000abcdefghijkl",
    "a=ice-ufrag:138/0013/8000",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:13800138000",
    "a=tls-id:13800138000",
    "a=fmtp:96 config=13800138000",
    "a=ssrc:1380013800 cname:x",
    "a=ssrc-group:FID 1380013800 2",
]


@pytest.mark.parametrize("line", LONG_LINES)
def test_a_long_row_does_not_come_back_to_who_wrote_it(line: str) -> None:
    """Over all dialogs of a fork, for the whole call, and from either side; others see their own kept."""
    for turned in (False, True):
        there = OriginRewriter(1, OURS)
        back, fork = there.opposite(2), there.opposite(3)
        if turned:
            there, back = back, there
        body = MINIMAL + AUDIO + line.encode() + b"\r\n"
        kept = there.rewrite(body)
        assert kept.count(b"\r\n") == body.count(b"\r\n")
        there.rewrite(MINIMAL + AUDIO)
        for rewriter in (back,) if turned else (back, fork):
            assert rewriter.rewrite(body).count(b"\r\n") == body.count(b"\r\n") - 1
            other = body.replace(b"138", b"188")
            assert rewriter.rewrite(other).count(b"\r\n") == other.count(b"\r\n")
        assert there.rewrite(body).count(b"\r\n") == body.count(b"\r\n")


def test_what_both_sides_may_have_in_common_comes_back() -> None:
    """One switch on both sides of a call has one certificate, and offers one format."""
    there = OriginRewriter(1, OURS)
    line = b"a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\na=fmtp:96 x=1\r\n"
    assert there.rewrite(MINIMAL + AUDIO + line).endswith(line)
    assert there.opposite(2).rewrite(MINIMAL + AUDIO + line).endswith(line)


def test_rows_that_a_call_remembers_are_bounded() -> None:
    there = OriginRewriter(1, OURS)
    many = b"".join(b"a=tls-id:1380013%04d\r\n" % n for n in range(400))
    assert there.rewrite(MINIMAL + many).count(b"a=tls-id") == 256
    assert there.rewrite(MINIMAL + many).count(b"a=tls-id") == 256
    assert there.rewrite(MINIMAL + b"a=tls-id:13900139000\r\n").count(b"a=tls-id") == 0


ATTRIBUTE_NAMES = sorted(
    session_attributes.TABLES
    | session_attributes._RANDOM
    | session_attributes._NEVER_CROSS
    | session_attributes._RULES.keys()
    | {b"x", b"setup", b"T38FaxUdpEC"}
)


@given(
    st.sampled_from(ATTRIBUTE_NAMES),
    st.sampled_from([b"", b"96 ", b"1 1 udp 1 192.0.2.1 9 typ host ", b"96 config=", b"1 cname:", b"FID "]),
    st.text(".-/ :;=%3@abIN １", max_size=6).map(str.encode),
    st.sampled_from([b"13800138000", b"138-0013-8000", b"2088888888", b"%31%33800138000", "１３800138000".encode()]),
    st.text(".-/ :;=a@", max_size=4).map(str.encode),
)
def test_what_is_found_is_not_there_when_it_comes_back(
    name: bytes, head: bytes, before: bytes, number: bytes, after: bytes
) -> None:
    """The oracle: a phone repeats a line of the offer, and its answer is stopped when the guess is right.

    Whatever the line is, either nothing of it is found, or it does not go back.
    """
    line = b"a=" + name + b":" + head + before + number + after
    there = OriginRewriter(1, OURS)
    offer = there.rewrite(MINIMAL + AUDIO + line + b"\r\n")
    echo = there.opposite(2).rewrite(offer)
    for canonical in (A, LANDLINE):
        assert not description_holds_number(echo, canonical)


def test_rtcp_keeps_its_port_only() -> None:
    """RFC 3605 §2.1: without an address it is the one of the c= line."""
    for address in ("IN IP4 192.0.2.12", "IN IP6 2001:db8::1", "IN IP4 rtp.customer.example"):
        lines = crossed(MINIMAL + AUDIO + f"a=rtcp:53020 {address}\r\n".encode())
        assert lines[-1] == "a=rtcp:53020"


@pytest.mark.parametrize(
    "line",
    [
        b"m=13900139000 0 RTP/AVP 0",
        b"m=audio 9 x13900139000 0",
        b"m=audio 9 RTP/AVP 139001390",
        b"m=\xe9 0 x 0",
        b"m=audio 9 sip:95588 0",
        b"m=audio 9 95588@x 0",
        b"c=IN IP4 13900139000.gw.example",
        b"c=IN IP4 95588@gw.example",
        b"c=IN IP6 tel:95588",
        b"c=IN IP4 %31%33900139000",
        b"c=PSTN E164 +8613900139000",  # RFC 7195 §5.2.1: a call over the telephone network
        b"c=zhang IP4 192.0.2.1",
        b"c=IN IP4",
    ],
)
def test_media_line_that_no_phone_writes(line: bytes) -> None:
    """An answer repeats its words even to refuse it (RFC 3264 §6)."""
    with pytest.raises(RemoteSipError) as refused:
        OriginRewriter(1, OURS).rewrite(MINIMAL + line + b"\r\n")
    assert refused.value.status_hint == 488


@given(st.text("0123456789 /a", max_size=40).map(str.encode))
@example(b"x 12345678 9")
@example(b"a 123456789")
@example(b"99999999/999999999")
def test_media_line_is_refused_for_nine_digits_in_a_row(words: bytes) -> None:
    """Whatever stands around them: a word of eight characters is not searched, one of nine is."""
    body = MINIMAL + b"m=" + words + b"\r\n"
    if re.search(rb"[0-9]{9}", words):
        with pytest.raises(RemoteSipError):
            OriginRewriter(1, OURS).rewrite(body)
    else:
        assert b"m=" + words in OriginRewriter(1, OURS).rewrite(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"hello",
        b"v=1\r\n" + MINIMAL[5:],
        b"v=0\r\ns=-\r\n",
        MINIMAL + b"o=- 1 1 IN IP4 1.1.1.1\r\n",
        MINIMAL + b"a=x\rp=13800138000\r\n",
        MINIMAL + b"garbage\r\n",
    ],
)
def test_no_description(body: bytes) -> None:
    with pytest.raises(RemoteSipError):
        OriginRewriter(1, OURS).rewrite(body)


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_whatever_comes_in_nothing_but_known_lines_comes_out(lines: list[bytes]) -> None:
    body = MINIMAL + AUDIO + b"".join(line + b"\r\n" for line in lines)
    try:
        out = OriginRewriter(200000001, OURS).rewrite(body)
    except RemoteSipError:
        return
    assert out.endswith(b"\r\n") and out.count(b"\r\n") == out.count(b"\n") == out.count(b"\r")
    rows = out.split(b"\r\n")[:-1]
    assert rows[:3] == [b"v=0", f"o=- 200000001 200000001 IN IP4 {OURS}".encode(), b"s=-"]
    assert all(row[:2] in (b"c=", b"t=", b"b=", b"m=", b"a=") for row in rows[3:])


# -- the version (RFC 3264 §8) -----------------------------------------------------------------------------------------


def version(body: bytes) -> int:
    return int(body.split(b"\r\n")[1].split(b" ")[2])


def test_version_rises_by_one_with_each_change_and_stays_without() -> None:
    rewriter = OriginRewriter(200000001, OURS)
    first = MINIMAL + AUDIO
    held = first + b"a=sendonly\r\n"
    newer = first.replace(b"o=- 1 1", b"o=- 1 2")
    versions = [version(rewriter.rewrite(body)) for body in (first, first, newer, newer, held, held, first)]
    assert versions == [200000001, 200000001, 200000002, 200000002, 200000003, 200000003, 200000004]


def test_change_that_does_not_cross_is_none() -> None:
    rewriter = OriginRewriter(200000001, OURS)
    bodies = [MINIMAL + AUDIO, MINIMAL + b"i=other\r\n" + AUDIO, MINIMAL + AUDIO + b"a=x:13900139000\r\n"]
    assert len({rewriter.rewrite(body) for body in bodies}) == 1


def test_origin_of_the_sender_is_nowhere() -> None:
    body = b"v=0\r\no=zhang 8675309 8675310 IN IP4 192.0.2.99\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n" + AUDIO
    out = OriginRewriter(200000001, OURS).rewrite(body)
    for secret in (b"zhang", b"8675309", b"8675310", b"192.0.2.99"):
        assert secret not in out


# -- the number check on descriptions ----------------------------------------------------------------------------------


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
