"""Bodies: which are taken, and key presses written anew."""

from __future__ import annotations

import pytest

from engine.core.bodies import crossing_keys, crossing_sdp
from engine.core.session_bodies import OriginRewriter
from sipstack.errors import RemoteSipError
from sipstack.message import Message, render
from sipstack.multipart import body_of
from sipstack.parser import parse

OURS = "203.0.113.7"
MINIMAL = b"v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n"


def message(body: bytes, content_type: str = "application/sdp", extra: str = "") -> Message:
    rows = [
        "Via: SIP/2.0/UDP pbx.customer.example:5060;branch=z9hG4bKx",
        "From: <sip:+8613800138000@core.customer.example>;tag=1",
        "To: <sip:700123456780001@callee.customer.example>",
        "Call-ID: 1",
        "CSeq: 1 INFO",
        "Contact: <sip:13800138000@phone.customer.example:5062>",
    ]
    if content_type:
        rows.append(f"Content-Type: {content_type}")
    return parse(render("INFO sip:700@veil.example SIP/2.0", rows + ([extra] if extra else []), body))


# -- which bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/sdp", "application/sdp"),
        ("Application/SDP;charset=utf-8", "application/sdp"),
        ("text/plain ; charset=x", "text/plain"),
        ("multipart/mixed;boundary=application/sdp", "multipart/mixed"),
        ("", ""),
    ],
)
def test_media_type(value: str, expected: str) -> None:
    assert body_of(message(b"x", value)).media_type == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("", False),
        ("Content-Encoding: identity", False),
        ("e: IDENTITY", False),
        ("Content-Encoding: gzip", True),
        ("e: gzip", True),
        ("Content-Encoding: identity, deflate", True),
        ("Content-Transfer-Encoding: base64", True),
        ("content-transfer-encoding: quoted-printable", True),
        ("Content-Transfer-Encoding: 8bit", False),
    ],
)
def test_is_encoded(row: str, expected: bool) -> None:
    assert body_of(message(b"x", extra=row)).is_encoded is expected


@pytest.mark.parametrize(
    ("content_type", "extra", "body"),
    [
        ("", "", MINIMAL),
        ("text/plain", "", MINIMAL),
        ("application/sdp", "Content-Encoding: gzip", MINIMAL),
        ("application/isup", "", MINIMAL),
    ],
)
def test_only_a_session_description_crosses(content_type: str, extra: str, body: bytes) -> None:
    with pytest.raises(RemoteSipError) as refused:
        crossing_sdp(message(body, content_type, extra), OriginRewriter(1, OURS))
    assert refused.value.status_hint == 415


def test_no_body_crosses_as_none() -> None:
    assert crossing_sdp(message(b""), OriginRewriter(1, OURS)) == b""


# -- key presses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", b"Signal=5\r\nDuration=160\r\n"),
        ("application/dtmf-relay", b"signal= 5\nduration= 250", b"Signal=5\r\nDuration=250\r\n"),
        ("application/dtmf-relay", b"Signal: *\r\n", b"Signal=*\r\n"),
        ("APPLICATION/DTMF-RELAY; x=1", b"Signal=16\r\nDuration=90", b"Signal=16\r\nDuration=90\r\n"),
        ("application/dtmf", b"#", b"#\r\n"),
        ("application/dtmf", b"d\r\n", b"d\r\n"),
        ("application/dtmf", b"Signal=11\r\n", b"Signal=11\r\n"),
    ],
)
def test_key_press(content_type: str, body: bytes, expected: bytes) -> None:
    assert crossing_keys(message(body, content_type)) == (expected, content_type.partition(";")[0].lower())


@pytest.mark.parametrize(
    ("content_type", "body", "extra"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\nX-Caller=13800138000\r\n", ""),
        ("application/dtmf-relay", b"Signal=13800138000\r\n", ""),
        ("application/dtmf", b"13800138000", ""),
        ("application/dtmf", b"hello from 192.0.2.12", ""),
        ("application/dtmf", b"5", "Content-Encoding: gzip"),
        ("application/sdp", MINIMAL, ""),
        ("text/plain", b"5", ""),
        ("", b"5", ""),
    ],
)
def test_no_key_press(content_type: str, body: bytes, extra: str) -> None:
    with pytest.raises(RemoteSipError) as refused:
        crossing_keys(message(body, content_type, extra))
    assert refused.value.status_hint == 415


def test_info_without_a_body() -> None:
    assert crossing_keys(message(b"")) == (b"", "")
