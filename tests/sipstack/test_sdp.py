"""Session descriptions: lines that leave as they came, and what is no description."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipstack.errors import RemoteSipError
from sipstack.sdp import CONTENT_TYPE, MAX_LINES, parse_sdp, render_sdp
from tests.sipstack.test_vectors import octets

WHOLE: Final = (
    b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)


def test_lines_leave_as_they_came() -> None:
    description = parse_sdp(WHOLE)
    assert description.origin == b"- 1 2 IN IP4 192.0.2.1"
    assert description.lines == WHOLE.split(b"\r\n")[:-1]
    assert render_sdp(description.lines) == WHOLE


def test_media_type() -> None:
    assert CONTENT_TYPE == "application/sdp"


TAKEN: Final = (
    (WHOLE.replace(b"\r\n", b"\n"), WHOLE),
    (WHOLE[:-2], WHOLE),
    (WHOLE + b"\r\n\n\r\n", WHOLE),
    (b"v=0\no=x", b"v=0\r\no=x\r\n"),
    (b"v=0\r\ns=\r\no=\r\n", b"v=0\r\ns=\r\no=\r\n"),
    (
        b"v=0\r\no=x\r\na=\xff\xe5\xbc\xa0 = ;\t\x0b\x85\r\nz=\r\n",
        b"v=0\r\no=x\r\na=\xff\xe5\xbc\xa0 = ;\t\x0b\x85\r\nz=\r\n",
    ),
)


@pytest.mark.parametrize(("body", "rendered"), TAKEN)
def test_taken(body: bytes, rendered: bytes) -> None:
    assert render_sdp(parse_sdp(body).lines) == rendered


ORIGIN: Final = b"o=- 1 2 IN IP4 h\r\n"
WITH_ORIGIN: Final = b"v=0\r\n" + ORIGIN

REFUSED: Final = (
    b"", b"\r\n", b"v=1\r\n" + ORIGIN, b"v=0 \r\n" + ORIGIN, b"V=0\r\n" + ORIGIN, b" v=0\r\n" + ORIGIN,
    b"\r\nv=0\r\n" + ORIGIN, b"\xef\xbb\xbfv=0\r\n" + ORIGIN, ORIGIN, ORIGIN + b"v=0\r\n", b"v=0\r\n",
    b"v=0\r\ns=-\r\n", WITH_ORIGIN + ORIGIN, WITH_ORIGIN + b"m=audio 1 RTP/AVP 0\r\n" + ORIGIN, b"v=0\r\nO=x\r\n",
    WITH_ORIGIN + b"\r\ns=-\r\n", WITH_ORIGIN + b"s\r\n", WITH_ORIGIN + b"s =x\r\n", WITH_ORIGIN + b" i=x\r\n",
    WITH_ORIGIN + b"=x\r\n", WITH_ORIGIN + b"I=13800138000\r\n", WITH_ORIGIN + b"O=x\r\n", WITH_ORIGIN + b"==x\r\n",
    WITH_ORIGIN + b"\xe9=x\r\n", WITH_ORIGIN + b"1=x\r\n", WITH_ORIGIN + b"s=a\rp=b\r\n", WITH_ORIGIN + b"s=a\r\r\n",
    WITH_ORIGIN + b"s=a\x00b\r\n", WITH_ORIGIN + b"\x00=a\r\n", b"v=0\ro=x\r",
)  # fmt: skip


@pytest.mark.parametrize("body", REFUSED, ids=ascii)
def test_refused(body: bytes) -> None:
    with pytest.raises(RemoteSipError, match="session description"):
        parse_sdp(body)


def test_limit_of_lines() -> None:
    body = b"v=0\r\no=x\r\n" + b"a=b\r\n" * (MAX_LINES - 2)
    assert len(parse_sdp(body).lines) == MAX_LINES
    with pytest.raises(RemoteSipError):
        parse_sdp(body + b"a=b\r\n")


LETTERS: Final = st.sampled_from("abcimpstuz")
VALUES: Final = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))
LINE_ENDS: Final = st.sampled_from([b"\r\n", b"\n"])
PIECES: Final = st.sampled_from([b"v=0", b"o=", b"\r\n", b"\n", b"\r", b"=", b"a=1", b"\0", b" "])


@given(st.lists(st.tuples(LETTERS, VALUES), max_size=8), st.integers(0, 8), LINE_ENDS)
def test_what_was_written_is_read(rows: list[tuple[str, str]], place: int, line_end: bytes) -> None:
    lines = [f"{letter}={value}".encode() for letter, value in rows]
    lines.insert(place, b"o=me 1 1 IN IP4 h")
    lines.insert(0, b"v=0")
    description = parse_sdp(line_end.join(lines) + line_end)
    assert description.lines == lines
    assert description.lines[description.origin_index] == b"o=" + description.origin == b"o=me 1 1 IN IP4 h"
    assert parse_sdp(render_sdp(description.lines)).lines == lines


@given(st.binary(max_size=80) | st.lists(PIECES).map(b"".join))
def test_any_bytes(body: bytes) -> None:
    try:
        description = parse_sdp(body)
    except RemoteSipError:
        return
    assert [line for line in description.lines if line.startswith(b"o=")] == [b"o=" + description.origin]
    assert render_sdp(description.lines).replace(b"\r\n", b"\n") == body.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"


@pytest.mark.parametrize(
    "name", ["wsinv", "badinv01", "inv2543", "sdp01", "escruri", "lwsruri", "mismatch02", "baddate"]
)
def test_descriptions_of_the_torture_messages(name: str) -> None:
    body = octets(f"rfc4475/{name}").partition(b"\r\n\r\n")[2]
    assert render_sdp(parse_sdp(body).lines) == body.rstrip(b"\r\n") + b"\r\n"


def line_by_line(body: bytes) -> tuple[list[bytes], int] | None:
    """The rules one after the other, as RFC 4566 §5 and the docstring of `parse_sdp` state them; None: malformed."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    while lines and not lines[-1]:
        lines.pop()
    origins = [index for index, line in enumerate(lines) if line.startswith(b"o=")]
    shapely = all(line[1:2] == b"=" and b"a" <= line[:1] <= b"z" for line in lines)
    clean = not any(octet in line for line in lines for octet in (b"\r", b"\0"))
    if not lines or lines[0] != b"v=0" or not shapely or not clean or len(origins) != 1:
        return None
    return lines, origins[0]


PIECES = [
    b"s=-", b"a=x", b"a=", b"m=audio 1 RTP/AVP 0", b"o=", b"o=b 1 1 IN IP4 h", b"A=1", b"=", b"", b"a", b"\xff=",
    b"a=\r", b"\ra=", b"a=\0", b"a==", b"a=\xff", b" a=1", b"v=0",
]  # fmt: skip
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\n\n", b""]


@settings(max_examples=500)
@given(st.booleans(), st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDS)), max_size=6))
def test_one_look_says_what_the_rules_say(is_begun: bool, rows: list[tuple[bytes, bytes]]) -> None:
    body = (b"v=0\r\no=a 1 1 IN IP4 h\r\n" if is_begun else b"") + b"".join(piece + end for piece, end in rows)
    try:
        description = parse_sdp(body)
    except RemoteSipError:
        assert line_by_line(body) is None
    else:
        assert line_by_line(body) == (description.lines, description.origin_index)
