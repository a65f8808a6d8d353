"""Which parts of a body are taken, which are dropped, and when the message cannot be taken."""

from __future__ import annotations

import pytest

from engine.core.bodies import crossing_keys, crossing_sdp
from engine.core.body_parts import taken_parts
from engine.core.session_bodies import OriginRewriter
from engine.core.text_bodies import crossing_text
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.multipart import MAX_DEPTH, MAX_PARTS
from tests.core.test_bodies import MINIMAL, OURS, message

NUMBER = "13800138000"

SDP = "application/sdp"
OPTIONAL = "signal;handling=optional"

UNREAD = [
    "application/isup;version=itu-t92+;base=itu-t92+",
    "application/qsig",
    "message/sipfrag",
    "message/sip",
    "message/cpim",
    "application/pidf+xml",
    "application/vnd.etsi.mcid+xml",
    "application/vnd.3gpp.ussd",
    "application/vnd.3gpp.sms",
    "application/resource-lists+xml",
    "application/pkcs7-mime",
    "image/png",
    "text/html",
    "x",
    "",
]


def part(kind: str, content: bytes, *rows: str) -> bytes:
    head = "".join(f"{row}\r\n" for row in ([f"Content-Type: {kind}"] if kind else []) + list(rows))
    return head.encode() + b"\r\n" + content


def several(*parts: bytes, kind: str = "mixed", boundary: str = "bound", rows: str = "") -> Message:
    return message(joined(*parts, boundary=boundary), f"multipart/{kind};boundary={boundary}", rows)


def joined(*parts: bytes, boundary: str = "bound") -> bytes:
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + content + b"\r\n" for content in parts) + mark + b"--\r\n"


def nested(*parts: bytes, depth: int, kind: str = "mixed") -> Message:
    content, boundary = joined(*parts, boundary="deep"), "deep"
    for level in range(depth - 1):
        content = joined(part(f"multipart/{kind};boundary={boundary}", content), boundary=f"level{level}")
        boundary = f"level{level}"
    return message(content, f"multipart/{kind};boundary={boundary}")


def description(request: Message) -> bytes:
    return crossing_sdp(request, OriginRewriter(1, OURS))


PLAIN = description(message(MINIMAL))
SDP_PART = part(SDP, MINIMAL)


def refusal(request: Message) -> int:
    with pytest.raises(RemoteSipError) as refused:
        description(request)
    return refused.value.status_hint


@pytest.mark.parametrize("kind", ["mixed", "related", "alternative", "MIXED", "parallel"])
def test_the_description_crosses_alone(kind: str) -> None:
    assert description(several(part(SDP, MINIMAL, "Content-ID: <a@13800138000>"), kind=kind)) == PLAIN


@pytest.mark.parametrize("kind", UNREAD)
def test_what_is_not_read_goes_when_it_may_and_stops_all_when_it_may_not(kind: str) -> None:
    named = kind or "application/x"
    content = f"number {NUMBER}".encode()
    unread = part(named, content, f"Content-Disposition: {OPTIONAL}")
    for parts in ([unread, SDP_PART], [SDP_PART, unread], [unread, SDP_PART, unread]):
        assert description(several(*parts)) == PLAIN
    assert description(several(unread)) == b""
    for row in ("Content-Disposition: signal;handling=required", "Content-Disposition: signal", "X: y"):
        assert refusal(several(part(named, content, row), SDP_PART)) == 415
        assert refusal(several(SDP_PART, part(named, content, row))) == 415


@pytest.mark.parametrize("kind", UNREAD)
def test_a_single_body_that_is_not_read(kind: str) -> None:
    content = b"number 13800138000"
    assert description(message(content, kind, f"Content-Disposition: {OPTIONAL}")) == b""
    assert refusal(message(content, kind, "Content-Disposition: signal;handling=required")) == 415
    assert refusal(message(content, kind)) == 415


@pytest.mark.parametrize("row", ["Content-Encoding: gzip", "Content-Transfer-Encoding: base64", "e: deflate"])
def test_an_encoded_part_is_not_read(row: str) -> None:
    assert refusal(several(part(SDP, MINIMAL, row))) == 415
    assert refusal(several(SDP_PART, rows=row)) == 415
    kept = several(part(SDP, MINIMAL, row, f"Content-Disposition: {OPTIONAL}"), SDP_PART)
    assert description(kept) == PLAIN


@pytest.mark.parametrize(
    ("disposition", "taken"), [("session", True), ("SESSION;handling=required", True), ("early-session", False)]
)
def test_a_description_is_one_of_the_session(disposition: str, taken: bool) -> None:
    row = f"Content-Disposition: {disposition}"
    for request in (message(MINIMAL, SDP, row), several(part(SDP, MINIMAL, row))):
        if taken:
            assert description(request) == PLAIN
        else:
            assert refusal(request) == 415
    both = several(SDP_PART, part(SDP, MINIMAL, "Content-Disposition: early-session;handling=optional"))
    assert description(both) == PLAIN


def test_two_descriptions_are_none() -> None:
    assert refusal(several(SDP_PART, SDP_PART)) == 415


def test_of_alternatives_the_last_that_is_read_counts() -> None:
    other = MINIMAL.replace(b"192.0.2.12\r\nt=", b"192.0.2.77\r\nt=")
    choice = several(SDP_PART, part(SDP, other), part("application/isup", b"1"), kind="alternative")
    assert b"c=IN IP4 192.0.2.77" in description(choice)
    assert refusal(several(part("image/png", b"1"), part("text/html", b"2"), kind="alternative")) == 415
    optional = part("image/png", b"1", f"Content-Disposition: {OPTIONAL}")
    assert description(several(SDP_PART, optional, kind="alternative")) == PLAIN


def test_parts_within_parts_are_read_to_a_depth() -> None:
    for kind in ("mixed", "alternative", "related"):
        for depth in range(1, MAX_DEPTH):
            assert description(nested(SDP_PART, depth=depth, kind=kind)) == PLAIN
        assert refusal(nested(SDP_PART, depth=MAX_DEPTH, kind=kind)) == 415


def test_an_optional_multipart_goes_as_a_whole() -> None:
    inner = joined(part("application/isup", b"1"), SDP_PART, boundary="inner")
    outer = part("multipart/mixed;boundary=inner", inner, f"Content-Disposition: {OPTIONAL}")
    assert description(several(SDP_PART, outer)) == PLAIN
    assert refusal(several(SDP_PART, part("multipart/mixed;boundary=inner", inner))) == 415


def test_parts_of_all_levels_are_counted_together() -> None:
    optional = part("a/b", b"", f"Content-Disposition: {OPTIONAL}")
    inner = part("multipart/mixed;boundary=inner", joined(*[optional] * (MAX_PARTS // 2), boundary="inner"))
    assert description(several(inner, SDP_PART)) == PLAIN
    assert refusal(several(inner, inner, SDP_PART)) == 400


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/mixed", joined(SDP_PART)),
        ("multipart/mixed;boundary=other", joined(SDP_PART)),
        ("multipart/mixed;boundary=bound", joined(SDP_PART)[:-6]),
        ("multipart/mixed;boundary=bound", b"--bound\r\n" + MINIMAL),
        ("multipart/mixed;boundary=bound", joined(part(SDP, b""))),  # no description is no description
    ],
)
def test_malformed(kind: str, content: bytes) -> None:
    assert refusal(message(content, kind)) == 400
    with pytest.raises(RemoteSipError):
        description(message(content, kind, f"Content-Disposition: {OPTIONAL}"))


def test_key_press_in_a_part() -> None:
    keys = part("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "Content-Disposition: render")
    picture = part("image/png", b"13800138000", f"Content-Disposition: {OPTIONAL}")
    assert crossing_keys(several(keys, picture)) == (b"Signal=5\r\nDuration=160\r\n", "application/dtmf-relay")
    assert crossing_keys(message(b"13800138000", "image/png", f"Content-Disposition: {OPTIONAL}")) == (b"", "")
    for parts in ([keys, keys], [keys, part("image/png", b"1")], [SDP_PART]):
        with pytest.raises(RemoteSipError) as refused:
            crossing_keys(several(*parts))
        assert refused.value.status_hint == 415


# -- texts -------------------------------------------------------------------------------------------------------------

TEXT = f"call {NUMBER}".encode()
MASKED = b"call 138****8000"


def test_one_text_crosses_plainly() -> None:
    picture = part("image/png", NUMBER.encode(), f"Content-Disposition: {OPTIONAL};filename={NUMBER}")
    request = several(part("text/plain;charset=GBK;x=13800138000", TEXT), picture)
    assert crossing_text(request, NUMBER) == (MASKED, "text/plain;charset=GBK")
    assert crossing_text(request, "") == (TEXT, "text/plain;charset=GBK")


def test_several_texts_stay_several_between_boundaries_of_ours() -> None:
    body, kind = crossing_text(several(part("text/plain", TEXT), part("", b""), boundary=f"x{NUMBER}"), NUMBER)
    assert kind == "multipart/mixed;boundary=boundary-of-parts"
    head = b"--boundary-of-parts\r\nContent-Type: text/plain\r\n\r\n"
    assert body == head + MASKED + b"\r\n" + head + b"\r\n--boundary-of-parts--\r\n"


def test_of_alternatives_the_text_is_taken() -> None:
    html = part("text/html", f"<b>{NUMBER}</b>".encode())
    assert crossing_text(several(part("", TEXT), html, kind="alternative"), NUMBER) == (MASKED, "text/plain")


@pytest.mark.parametrize(
    "request_",
    [
        message(TEXT, "image/png", f"Content-Disposition: {OPTIONAL}"),  # nothing is left that could be delivered
        message(TEXT, "message/cpim"),
        several(part("", TEXT), part("message/cpim", TEXT)),
        several(part("", TEXT), part("text/html", TEXT)),
        several(part("text/plain;charset=utf-7", TEXT)),
        several(part("text/plain", TEXT, "Content-Encoding: gzip")),
        several(SDP_PART),
    ],
)
def test_no_text(request_: Message) -> None:
    with pytest.raises(RemoteSipError) as refused:
        crossing_text(request_, NUMBER)
    assert refused.value.status_hint == 415


def test_parts_are_taken_as_they_came() -> None:
    request = several(part("text/plain", b"\0\r\n a"), part("a/b", b"", f"Content-Disposition: {OPTIONAL}"))
    assert [taken.content for taken in taken_parts(request, ("text/plain",))] == [b"\0\r\n a"]
