"""Digits that are some in the charset a text names, or stand between letters that nobody sees, were not masked."""

from __future__ import annotations

import pytest

from engine.core.spelling import holds_number
from engine.core.text_bodies import crossing_text, masked_text
from sipstack.errors import RemoteSipError
from sipstack.parser import parse

NUMBER = "13800138000"


@pytest.mark.parametrize(
    ("text", "codec", "charset"),
    [
        ("一3800138000", "gbk", "gbk"),  # the octets of 一 are a letter of UTF-8
        ("一3800138000", "gbk", "gb2312"),
        ("一380013800 0", "gb18030", "gb18030"),
        ("¹³800138000", "latin-1", "iso-8859-1"),  # the octets of ¹³ are a character of GBK
    ],
)
def test_masked_in_the_charset_that_it_names(text: str, codec: str, charset: str) -> None:
    masked = masked_text(text.encode(codec), NUMBER, charset).decode(codec)
    assert masked == text[:3] + "****" + text[7:]


def test_a_text_that_is_not_in_the_charset_it_names() -> None:
    """Digits of ASCII are masked all the same; others are found by the check of what leaves."""
    assert masked_text("妈妈 13800138000".encode(), NUMBER, "gbk").decode() == "妈妈 138****8000"
    assert masked_text("¹³800138000".encode(), NUMBER, "us-ascii").decode() == "¹³8****8000"
    assert holds_number(masked_text("¹³800138000".encode(), NUMBER, "gbk"), NUMBER)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (b"138_0013\xd0_8000", ""),
        (b"138*0013*\xe98000 ok", "utf-8"),
        ("１３８_００１３_".encode() + b"\xff_" + "８０００".encode(), "utf-8"),
        (b"1_380\xfa0_13_8_000_ ok", "gbk"),
        ("１３８_００１３_".encode("gbk") + b"\xff_" + "８０００".encode("gbk"), "gbk"),
    ],
)
def test_one_octet_that_is_no_character_hides_nothing(body: bytes, charset: str) -> None:
    masked = masked_text(body, NUMBER, charset)
    assert masked.count(b"*") - body.count(b"*") == 4
    assert masked_text(masked, NUMBER, charset) == masked


@pytest.mark.parametrize("filler", ["\u115f", "\u1160", "\u3164", "\uffa0"])
def test_letters_that_nobody_sees(filler: str) -> None:
    text = filler.join(("138", "0013", "8000")).encode()
    assert masked_text(text, NUMBER).decode() == filler.join(("138", "****", "8000"))
    assert holds_number(text, NUMBER)


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-16-be", "utf-32-be"])
@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=utf-8"])
def test_a_text_that_says_by_its_first_octets_what_it_is_in(codec: str, kind: str) -> None:
    head = (
        "MESSAGE sip:700123456780001@veil.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n"
        "From: <sip:a@b>;tag=a\r\nTo: <sip:b@b>\r\nCall-ID: a\r\nCSeq: 1 MESSAGE\r\n"
    )
    body = ("" if codec in ("utf-16", "utf-32") else "\ufeff").encode(codec) + "１３８００１３８０００".encode(codec)
    message = parse(f"{head}Content-Type: {kind}\r\n\r\n".encode() + body)
    with pytest.raises(RemoteSipError) as error:
        crossing_text(message, NUMBER)
    assert error.value.status_hint == 415
