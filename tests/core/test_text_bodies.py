"""Texts: the sender's own real number is masked in every spelling, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.numbers import mask
from engine.core.spelling import fold, holds_number
from engine.core.text_bodies import _USUAL_CHARSETS, crossing_text, masked_text
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.parser import parse

MOBILE = "13800138000"
LANDLINE = "2088888888"

MOBILES = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
LONG_NUMBERS = MOBILES | st.from_regex(r"2[0-9]{9}", fullmatch=True)
SHORT_NUMBERS = st.sampled_from(["110", "10086", "95588", "118114", "1008611", "96123456"])
BETWEEN = st.text(" -.()/\t\r\n,，、·*_–—+\u00a0\u200b\u3000📞", max_size=3)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
SCRIPTS = ["0123456789", "０１２３４５６７８９", "⓪①②③④⑤⑥⑦⑧⑨", "〇一二三四五六七八九", "٠١٢٣٤٥٦٧٨٩", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"]


def masked(text: str, number: str = MOBILE) -> str:
    return masked_text(text.encode(), number).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13800138000", "138****8000"),
        ("我的号码是13800138000。", "我的号码是138****8000。"),
        ("call 138 0013 8000 now", "call 138 **** 8000 now"),
        ("138-0013-8000", "138-****-8000"),
        ("1.3.8.0.0.1.3.8.0.0.0", "1.3.8.*.*.*.*.8.0.0.0"),
        ("1/3/8/0/0/1/3/8/0/0/0", "1/3/8/*/*/*/*/8/0/0/0"),
        ("138,0013,8000", "138,****,8000"),
        ("1380013\r\n8000", "138****\r\n8000"),
        ("+86 13800138000", "+86 138****8000"),
        ("+8613800138000", "+86138****8000"),
        ("008613800138000", "0086138****8000"),
        ("013800138000", "0138****8000"),
        ("(+86)138 0013 8000", "(+86)138 **** 8000"),
        ("13800138000 或 138-0013-8000", "138****8000 或 138-****-8000"),
        ("13800138000/13900139000", "138****8000/13900139000"),
        ("9913800138000123", "99138****8000123"),
        ("１３８００１３８０００", "１３８****８０００"),
        ("①③⑧⓪⓪①③⑧⓪⓪⓪", "①③⑧****⑧⓪⓪⓪"),
        ("一三八零零一三八零零零", "一三八****八零零零"),
        ("1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣", "1️⃣3️⃣8️⃣*️⃣*️⃣*️⃣*️⃣8️⃣0️⃣0️⃣0️⃣"),
        ("١٣٨٠٠١٣٨٠٠٠", "١٣٨****٨٠٠٠"),
        ("1\u200b3\u200b800138000", "1\u200b3\u200b8****8000"),
        ("https://x.example/?tel=%2B8613800138000", "https://x.example/?tel=%2B86138****8000"),
    ],
)
def test_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "您的快递已到",
        "13900139000",
        "1380013800",
        "3800138000",
        "138 0013 800",
        "13800 ok 138000",  # letters part a number
        "13800元138000",
        "138****8000",
        "单号 2890844526",
    ],
)
def test_left_alone(text: str) -> None:
    assert masked_text(text.encode(), MOBILE) == text.encode()


def test_landline_masks_what_mask_says() -> None:
    assert masked("020-8888-8888", LANDLINE) == "020-****-**88"
    assert masked("+86 20 8888 8888", LANDLINE) == "+86 20 **** **88"


def test_overlapping_occurrences_are_all_masked() -> None:
    """The last digits of one are the first of the next: what the mask of one leaves must not show the other."""
    number = "13800008013"
    text = masked(f"{number}{number[2:]}", number)
    assert text == "138****80138****8013"
    assert not holds_number(text.encode(), number)


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        ("95588", "请拨95588", "请拨9***8"),
        ("95588", "请拨95588.", "请拨9***8."),
        ("95588", "+8695588", "+869***8"),
        ("95588", "0086 95588", "0086 9***8"),
        ("95588", "９５５８８", "９***８"),
        ("110", "打110", "打***"),
        ("110", "1101", "1101"),
        ("95588", "订单1955881", "订单1955881"),
        ("95588", "余额95,588.00元", "余额95,588.00元"),
        ("95588", "955-88", "955-88"),
        ("110", "10.110.3.4", "10.110.3.4"),
        ("10086", "10086、10086", "1***6、1***6"),
    ],
)
def test_short_number_as_a_word_only(number: str, text: str, expected: str) -> None:
    assert masked(text, number) == expected


@pytest.mark.parametrize("charset", ["gb18030", "gbk"])
def test_text_in_a_chinese_charset(charset: str) -> None:
    text = "我的号码是１３８００１３８０００，或者138-0013-8000"
    assert masked_text(text.encode(charset), MOBILE).decode(charset) == (
        "我的号码是１３８****８０００，或者138-****-8000"
    )


def test_four_octet_characters_hold_no_digits() -> None:
    """GB 18030 has octets 0x30-0x39 inside of characters: none of them is a digit of a number."""
    text = "🚚1㐀3㐀8"
    assert masked_text(text.encode("gb18030"), "138") == text.encode("gb18030")
    assert masked_text("🚚13800138000㐀".encode("gb18030"), MOBILE).decode("gb18030") == "🚚138****8000㐀"


def test_text_in_no_known_charset() -> None:
    assert masked_text(b"Zo\xeb: 138 0013 8000", MOBILE) == b"Zo\xeb: 138 **** 8000"
    assert masked_text(b"\xff\xfe\x00", MOBILE) == b"\xff\xfe\x00"


@given(LONG_NUMBERS, TEXTS, TEXTS, st.data())
def test_after_masking_the_check_finds_nothing(number: str, before: str, after: str, data: st.DataObject) -> None:
    """Whatever is written around and between the digits: what is masked passes the gate (escapes are its business)."""
    script = data.draw(st.sampled_from(SCRIPTS))
    written = "".join(script[int(digit)] + data.draw(BETWEEN) for digit in number)
    text = (before + written + after).replace("%", "").replace("\0", "")
    result = masked_text(text.encode(), number)
    assert result != text.encode()
    assert not holds_number(result, number)


@given(LONG_NUMBERS | SHORT_NUMBERS, TEXTS, st.data())
def test_only_digits_of_the_number_change(number: str, text: str, data: st.DataObject) -> None:
    text = text + data.draw(st.sampled_from(["", number, f"+86{number}", f" {number} "])) + text
    result = masked(text, number)
    assert len(result) == len(text)
    changed = [place for place, (old, new) in enumerate(zip(text, result, strict=True)) if old != new]
    assert all(result[place] == "*" and fold(text)[place] in number for place in changed)


@given(LONG_NUMBERS | SHORT_NUMBERS, TEXTS)
def test_masking_twice_changes_nothing_more(number: str, text: str) -> None:
    once = masked(f"{text}{number}{text}", number)
    assert masked(once, number) == once


@given(st.binary(max_size=120), LONG_NUMBERS | SHORT_NUMBERS)
def test_any_bytes_are_taken(body: bytes, number: str) -> None:
    result = masked_text(body, number)
    if number.encode() not in body:
        assert len(result) <= len(body)
    assert masked_text(result, number) == result


@given(MOBILES, MOBILES)
def test_somebody_elses_number_stays(number: str, other: str) -> None:
    text = f"{other}，您好"
    expected = text if number != other else f"{mask(number)}，您好"
    assert masked(text, number) == expected


def texted(body: bytes, *rows: str) -> Message:
    return parse(
        "\r\n".join((
            "MESSAGE sip:a@h SIP/2.0", "Via: SIP/2.0/UDP h;branch=z9hG4bK1", "From: <sip:b@h>;tag=t", "To: <sip:a@h>",
            "Call-ID: c", "CSeq: 1 MESSAGE", "Max-Forwards: 70", *rows, f"Content-Length: {len(body)}", "", "",
        )).encode() + body
    )  # fmt: skip


@pytest.mark.parametrize("written", _USUAL_CHARSETS)
@given(body=st.binary(min_size=1, max_size=20) | TEXTS.map(str.encode) | st.just(b"call 138 0013 8000"))
def test_a_type_in_its_usual_spelling_is_read_like_any_other(written: str, body: bytes) -> None:
    """A field that says nothing more than is meant without it has the type read letter by letter."""
    said: list[object] = []
    for rows in ((f"Content-Type:{written}",), (f"Content-Type:{written}", "Content-Encoding: identity")):
        try:
            said.append(crossing_text(texted(body, *rows), MOBILE))
        except RemoteSipError as error:
            said.append(error.status_hint)
    assert said[0] == said[1]
