"""A description of one medium is judged as a whole where its attributes are known: what leaves is the same.

The same description with line ends of LF alone is always read line by line (RFC 4566 §5), and leaves alike.
"""

from __future__ import annotations

from base64 import b64encode
from itertools import product
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import session_attributes
from engine.core.copies import body_hides
from engine.core.session_attributes import HARMLESS, HARMLESS_ROWS
from engine.core.session_bodies import OriginRewriter, description_holds_number, is_plain
from engine.core.spelling import BETWEEN_DIGITS, LONG_FROM
from sipstack.errors import RemoteSipError
from sipstack.sdp import CONTENT_TYPE, plain_attributes
from tests.core.descriptions import OURS

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n"
AUDIO = b"m=audio 40000 RTP/AVP 8 101\r\n"
KNOWN = b"a=rtpmap:8 PCMA/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
KEY = b"a=ice-pwd:abcdefghijklmnopqrstuv\r\n"

LINES = st.sampled_from(
    """v=0|o=- 1 1 IN IP4 192.0.2.12|o=zhang 8675309 8675310 IN IP6 2001:db8::1|s=-|s=Zhang San|i=x|c=IN IP4 192.0.2.12
c=IN IP4 192.0.2.12 zhang|c=IN IP4 gw.example|c=IN IP6 2001:db8::1|b=AS:64|b=AS:13900139000|b=TIAS:64000|b=X-A:1|t=0 0
t=3900000000 0|k=clear:1|m=audio 40000 RTP/AVP 8 101|m=audio 40000 RTP/AVP 1139|m=video 9 x 1|a=rtpmap:8 PCMA/8000
a=sendrecv|a=ptime:20|a=mid:139001390|a=mid:audio|a=rtcp:9 IN IP4 192.0.2.12|a=tool:x|a=fmtp:101 0-15|a=fmtp:96 x=1
a=fmtp:104 mode-set=0,1,2,3,4,5,6,7,8; octet-align=1|a=fmtp:96 profile-level-id=139001390;x=1|a=fmtp:96 95588@|a=fmtp
a=fmtp:96 x=139 001 390 00|a=fmtp:9 x=MTM5MDAxMzkwMDA|a=fmtp:96 a=313339303031333930|a=curr:qos local none|a=curr:95588@
a=des:qos optional remote sendrecv|a=conf:139-001-39000|a=des:sip:95588|a=curr:%31%33%39001390|a=conf:MTM5MDAxMzkwMDA=
a=ice-pwd:abcdefghijklmnopqrstuv|a=msid:a b|a=candidate:1 1 UDP 1 192.0.2.12 9 typ host|a=x:sip:95588@x|a=""".replace(
        "\n", "|"
    )
    .encode()
    .split(b"|")
)
ENDS = st.sampled_from((b"", b"a=sendrecv", b"\r\n", b"a=\0\r\n", b"a=x\ra=y\r\n", b"garbage\r\n", b"a=sendrecv\n"))


def version_and_rest(rewriter: OriginRewriter, bodies: list[bytes]) -> list[bytes | int]:
    """What becomes of the descriptions of one dialog; for one that is refused the status."""
    found: list[bytes | int] = []
    for body in bodies:
        try:
            found.append(rewriter.rewrite(body))
        except RemoteSipError as error:
            found.append(error.status_hint)
    return found


def whole(head: bool, lines: list[bytes], end: bytes) -> bytes:
    return (HEAD + AUDIO if head else b"v=0\r\n") + b"".join(line + b"\r\n" for line in lines) + end


@given(st.lists(st.builds(whole, st.booleans(), st.lists(LINES, max_size=9), ENDS), max_size=3))
@example([HEAD + AUDIO + KNOWN])
@example([HEAD + AUDIO])
@example([HEAD])
@example([HEAD + AUDIO + KEY])
@example([HEAD + AUDIO + b"a=mid:audio\r\n" + b"i=x\r\n"])
@example([HEAD.replace(b"t=0", b"b=AS:64\r\nt=0") + AUDIO + b"c=IN IP4 192.0.2.1\r\nb=AS:64\r\n" + KNOWN])
@example([HEAD + AUDIO + b"a=rtpmap:8 A/8000\n"])
def test_leaves_as_it_does_line_by_line(bodies: list[bytes]) -> None:
    bodies = bodies * 2  # the second time what is harmless is known
    there, by_line = OriginRewriter(200000001, OURS), OriginRewriter(200000001, OURS)
    back, back_by_line = there.opposite(200000002, OURS), by_line.opposite(200000002, OURS)
    lines = [body.replace(b"\r\n", b"\n") for body in bodies]
    assert version_and_rest(there, bodies) == version_and_rest(by_line, lines)
    assert version_and_rest(back, bodies) == version_and_rest(back_by_line, lines)


@pytest.mark.parametrize(
    "other",
    [
        (b"o=- 1 1", b"o=- 1 2"),  # changed, though nothing else is
        (b"o=- 1 1", b"o=\0 1 1"),
        (b"o=- 1 1", b"o=- 1 1\r\no=- 1 1"),
        (b"s=-", b"s=\0"),
        (b"s=-", b"s=a\rb"),
        (b"s=-\r\n", b""),
        (b"s=-", b"s=-\r\ni=x"),
        (b"t=0 0", b"t=3900000000 0"),
        (b"t=0 0", b"t=0 0\r\nb=AS:139001390"),
        (b"t=0 0", b"b=AS:139001390\r\nt=0 0"),
        (b"c=IN IP4 192.0.2.12", b"c=IN IP4 192.0.2.12 zhang"),
        (b"c=IN IP4 192.0.2.12", b"c=IN IP4 192.0.2.1390013900"),
        (b"audio 40000", b"audio 139001390"),
        (b"8 101", b"8 1390013900"),
    ],
)
def test_known_attributes_let_nothing_else_pass(other: tuple[bytes, bytes]) -> None:
    usual = HEAD + AUDIO + KNOWN
    bodies = [usual, usual.replace(*other), usual]
    there, by_line = OriginRewriter(200000001, OURS), OriginRewriter(200000001, OURS)
    lines = [body.replace(b"\r\n", b"\n") for body in bodies]
    assert version_and_rest(there, bodies) == version_and_rest(by_line, lines)


def test_known_or_not_is_no_change() -> None:
    """RFC 3264 §8: the version stays as long as the description does, however it is read."""
    rewriter = OriginRewriter(200000001, OURS)
    body = HEAD + AUDIO + b"a=ptime:35\r\n"
    assert b"a=ptime:35\r\n" not in HARMLESS_ROWS
    first = rewriter.rewrite(body)
    assert b"a=ptime:35\r\n" in HARMLESS_ROWS
    assert first == rewriter.rewrite(body) == rewriter.rewrite(body.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize(
    "rows",
    [
        KEY,  # what has crossed to a party does not cross back
        b"a=msid:a b\r\n",
        b"a=fmtp:96 x=1.5\r\n",  # may name a host of its sender
        b"a=rtpmap:8 PCMA/8000\r\na=x:1\r\n",
        b"a=rtpmap:8 PCMA/8000\r\nm=video 9 RTP/AVP 96\r\n",
        b"a=rtpmap:8 PCMA/8000",
        b"a=fmtp:96 x=139001390\r\n",  # stays behind
        b"a=fmtp:96 config=139001390\r\n",  # crosses one way
        b"a=fmtp:96 x=MTM5MDAxMzkwMDA=\r\n",
        b"a=fmtp:96 x=95588@\r\n",
        b"a=des:qos mandatory local 1390013900\r\n",
        b"a=des:qos optional local 192.0.2.12\r\n",
        b"a=des:qos optional local MTM5MDAxMzkwMDA=\r\n",
        b"a=rtpmap:8 PCMA/8000\r\n" * 60,
    ],
)
def test_what_one_call_has_is_not_remembered_for_another(rows: bytes) -> None:
    OriginRewriter(1, OURS).rewrite(HEAD + AUDIO + rows)
    assert rows not in HARMLESS_ROWS


def test_no_party_fills_the_memory_for_good() -> None:
    for count in range(2 * session_attributes.MAX_HARMLESS_ROWS):
        rows = b"a=ptime:%d\r\n" % count
        OriginRewriter(1, OURS).rewrite(HEAD + AUDIO + rows)
        assert rows in HARMLESS_ROWS and session_attributes.are_harmless(rows)
        assert len(HARMLESS_ROWS) <= session_attributes.MAX_HARMLESS_ROWS


def test_rows_that_are_forgotten_are_judged_anew() -> None:
    rows = b"a=ptime:20\r\n"
    OriginRewriter(1, OURS).rewrite(HEAD + AUDIO + rows)
    assert session_attributes.are_harmless(rows) and session_attributes.are_harmless(rows)
    assert not session_attributes.are_harmless(b"") and not session_attributes.are_harmless(rows + rows)
    for count in range(100, 100 + session_attributes.MAX_HARMLESS_ROWS):
        OriginRewriter(1, OURS).rewrite(HEAD + AUDIO + b"a=ptime:%d\r\n" % count)
    assert session_attributes.are_harmless(rows) is (rows in HARMLESS_ROWS) is False


# -- what the gate need not search -------------------------------------------------------------------------------------

PLAIN = b"v=0\r\no=- 200000001 200000001 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n" + AUDIO + KNOWN


def numbers_in(body: bytes) -> set[str]:
    """Every row of three digits or more that can be read in a description, across what people put between digits."""
    found: set[str] = set()
    for line in body.split(b"\r\n"):
        for text in (line, line.translate(None, BETWEEN_DIGITS)):
            digits = "".join(char if char.isdigit() else " " for char in text.decode("latin-1"))
            rows = digits.split()
            found |= {row[at : at + size] for row in rows for at in range(len(row)) for size in (3, 5, 8, 9, 11, 12)}
    return {number for number in found if len(number) >= 3}


BEFORE: Final = ("", "a", "ab", "1", "+86")
BETWEEN: Final = ("", "-", ".", ",", " ", ":")
WRITTEN: Final = ("%s", "x=%s;y=1", "x=%s@", "sip:%s", "mode-set=%s", "config=%s", "x=1; sprop-sps=%s")


@pytest.mark.parametrize("number", ["13800138000", "208888888"])
@pytest.mark.parametrize("name", ["fmtp:96 ", "curr:", "des:qos ", "conf:qos "])
def test_a_number_in_a_steady_line_is_not_plain(name: str, number: str) -> None:
    """However it is spelled or encoded: where the search would find it, there is a search."""
    for before, between, written in product(BEFORE, BETWEEN, WRITTEN):
        text = before + between.join(number)
        for spelling in (
            text,
            b64encode(text.encode()).decode(),
            b64encode(text.encode("utf-16-le")).decode(),
            text.encode().hex(),
            text.encode().hex(" "),
            text.encode("utf-16-be").hex(),
        ):
            line = f"a={name}{written % spelling}\r\n".encode()
            made = OriginRewriter(200000001, "203.0.113.7").rewrite(HEAD + AUDIO + line)
            for body in (made, PLAIN.replace(KNOWN, line)):
                if description_holds_number(body, number) or body_hides(body, CONTENT_TYPE, number):
                    assert not is_plain(body), body


@pytest.mark.parametrize(
    "line",
    [
        b"a=fmtp:104 mode-set=0,1,2,3,4,5,6,7,8; mode-change-capability=2;max-red=0;octet-align=1",
        b"a=fmtp:105 0-15",
        b"a=curr:qos local none",
        b"a=des:qos mandatory local sendrecv",
        b"a=conf:qos remote sendrecv",
    ],
)
def test_what_a_phone_of_a_mobile_network_writes_is_plain(line: bytes) -> None:
    """Parameters of AMR, and preconditions: judged once, and then carried and left unsearched as a whole."""
    made = OriginRewriter(200000001, "203.0.113.7").rewrite(HEAD + AUDIO + KNOWN + line + b"\r\n")
    assert line in HARMLESS
    assert is_plain(made)


def test_a_usual_description_is_plain() -> None:
    there = OriginRewriter(200000001, "203.0.113.7")
    there.rewrite(HEAD + AUDIO + KNOWN)
    assert there.rewrite(HEAD + AUDIO + KNOWN) == PLAIN
    assert is_plain(PLAIN)


@given(st.lists(LINES, max_size=9), ENDS)
@example([], KNOWN)
@example([b"a=ptime:20", b"a=mid:audio"], b"")
def test_what_is_plain_holds_nobody_s_number(lines: list[bytes], end: bytes) -> None:
    rewriter = OriginRewriter(200000001, "203.0.113.7")
    try:
        made = rewriter.rewrite(whole(True, lines, end))
    except RemoteSipError:
        return
    for body in (made, made.replace(b"m=audio 40000", b"m=audio 13800"), whole(True, lines, end)):
        for number in numbers_in(body) if is_plain(body) else ():
            assert not description_holds_number(body, number)
            assert not body_hides(body, CONTENT_TYPE, number)


@pytest.mark.parametrize(
    "other",
    [
        (b"o=- 2", b"o=zhang 2"),
        (b"o=- 200000001", b"o=- 200000001 sip:95588@x"),
        (b"203.0.113.7", b"tel:95588"),
        (b"s=-", b"s=13800138000"),
        (b"s=-", b"s=-\r\ni=13800138000"),
        (b"c=IN IP4 192.0.2.12", b"c=IN IP4 13800138000.example"),
        (b"c=IN IP4 192.0.2.12", b"c=IN IP4 192.0.2.12 13800138000"),
        (b"t=0 0", b"t=13800138000 0"),
        (b"t=0 0", b"b=AS:13800138000\r\nt=0 0"),
        (b"t=0 0", b"b=AS:138001380\r\nt=0 0"),
        (b"t=0 0", b"t=0 0\r\nk=clear:13800138000"),
        (b"audio 40000", b"audio 13800138000"),
        (b"audio 40000", b"13800138000 40000"),
        (b"RTP/AVP", b"RTP/AVP/13800138000"),
        (b"8 101\r\n", b"8 13800138000\r\n"),
        (b"a=sendrecv", b"a=sendrecv:13800138000"),
        (b"a=sendrecv\r\n", b"a=sendrecv\r\na=x:MTM4MDAxMzgwMDA=\r\n"),
        (b"a=sendrecv\r\n", b"a=sendrecv\r\n13800138000"),
    ],
)
def test_what_may_hold_one_is_not_plain(other: tuple[bytes, bytes]) -> None:
    OriginRewriter(1, OURS).rewrite(HEAD + AUDIO + KNOWN)
    assert other[0] in PLAIN and not is_plain(PLAIN.replace(*other))


def test_a_row_of_digits_that_could_be_a_number_is_in_no_plain_description() -> None:
    """The stack says how many a bandwidth has, and this service from how many on a row may be a number."""
    for digits in (LONG_FROM - 1, LONG_FROM):
        body = HEAD.replace(b"t=0", b"b=AS:" + b"1" * digits + b"\r\nt=0") + AUDIO + KNOWN
        assert (plain_attributes(body) is not None) is (digits < LONG_FROM)
