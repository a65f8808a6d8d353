"""Session descriptions: which lines cross, and how they are written."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import session_attributes
from engine.core.session_bodies import OriginRewriter
from sipstack.errors import RemoteSipError
from tests.core.descriptions import AUDIO, HOST, MINIMAL, OURS, crossed, crosses, sender

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


@pytest.mark.pure
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


@given(st.text("0123456789 /-.a", max_size=40).map(str.encode))
@example(b"x 12345678 9")
@example(b"1234-5678/9")
@example(b"a 123456789")
@example(b"99999999/999999999")
def test_media_line_is_refused_for_nine_digits_in_a_row(words: bytes) -> None:
    """Whatever stands around them and in between, but for spaces: a word of eight characters is not searched."""
    body = MINIMAL + b"m=" + words + b"\r\n"
    if re.search(rb"(?:[0-9][-./]*){8}[0-9]", words):
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
