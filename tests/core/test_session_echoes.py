"""What a phone repeats of an offer: no number, encoded or not, comes back to who wrote it."""

from __future__ import annotations

import base64
from binascii import hexlify

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import session_attributes
from engine.core.session_bodies import OriginRewriter, description_holds_number
from tests.core.descriptions import AUDIO, LANDLINE, MINIMAL, OURS, A

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
    assert encoded not in there.opposite(2, OURS).rewrite(body)


def test_a_configuration_that_both_phones_have_comes_back() -> None:
    """Two phones of one make: nothing in it can be a number."""
    line = b"a=fmtp:97 profile-level-id=42e01f;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\n"
    there = OriginRewriter(1, OURS)
    assert there.rewrite(MINIMAL + AUDIO + line).endswith(line)
    assert there.opposite(2, OURS).rewrite(MINIMAL + AUDIO + line).endswith(line)


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
        back, fork = there.opposite(2, OURS), there.opposite(3, OURS)
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
    assert there.opposite(2, OURS).rewrite(MINIMAL + AUDIO + line).endswith(line)


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
    echo = there.opposite(2, OURS).rewrite(offer)
    for canonical in (A, LANDLINE):
        assert not description_holds_number(echo, canonical)


def test_what_one_fork_is_told_is_known_of_all() -> None:
    """Each early dialog, in both directions, also when it is the first that has anything to be known of."""
    there = OriginRewriter(1, OURS)
    forks = [(there.in_early_dialog(), there.opposite(2, OURS)) for _ in range(2)]
    nothing = [rewriter.frozen()[2:] for fork in forks for rewriter in fork]
    assert nothing == [((), (), ())] * 4
    key = b"abcdefghijklmnopqrstuv"
    line = b"a=ice-pwd:" + key + b"\r\n"
    body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
    assert line in forks[0][1].rewrite(body + line)  # from the callee of one fork
    known = [rewriter.frozen()[2:4] for fork in forks for rewriter in fork]
    told, heard = ((line[:-2],), ()), ((), (line[:-2],))
    assert known == [heard, told, heard, told]
    assert there.frozen()[2:4] == heard
    assert line not in forks[1][0].rewrite(body + line)
