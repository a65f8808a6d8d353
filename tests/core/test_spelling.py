"""How a real number can be written: what the number check finds, and what it must not take for a number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.numbers import canonical_real
from engine.core.spelling import BETWEEN_DIGITS, LONG_FROM, fold, holds_long_number, holds_number

MOBILE = "13800138000"
LANDLINE = "2088888888"
SERVICE = "95588"

# Canonical real numbers by their length: long ones are searched digit by digit, short ones as words.
MOBILES = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
LANDLINES = st.from_regex(r"2[0-9]{9}", fullmatch=True)
LONG_NUMBERS = MOBILES | LANDLINES
SHORT_NUMBERS = st.sampled_from(["110", "120", "10086", "95588", "12345", "118114", "1008611", "96123456"])
PREFIXES = st.sampled_from(["", "+86", "86", "0086", "+86 ", "(+86)", "+86-", "0086 "])
# Text in which no digit stands, so that a number in it is there because we put it there.
AROUND = st.text(st.characters(exclude_categories=("Nd", "Nl", "No", "Cs", "Lo"), exclude_characters="%"), max_size=8)

CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨"
HAN = "〇一二三四五六七八九"
FULL_WIDTH = "０１２３４５６７８９"
ARABIC = "٠١٢٣٤٥٦٧٨٩"


def in_script(number: str, digits: str) -> str:
    return "".join(digits[int(digit)] for digit in number)


def escaped(text: str) -> str:
    return "".join(f"%{ord(char):02x}" for char in text)


# -- long numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"13800138000",
        b"+8613800138000",
        b"008613800138000",
        b"013800138000",
        b"tel:+86-138-0013-8000",
        b"138 0013 8000",
        b"138\t0013\t8000",
        b"138.0013.8000",
        b"(138) 0013-8000",
        b"1/3/8/0/0/1/3/8/0/0/0",
        b'"1\\3\\8\\0\\0\\1\\3\\8\\0\\0\\0"',  # a quoted string of pairs
        b"sip:13800138000@host;user=phone",
        b"order 99913800138000999 of today",  # within another number: better one message too few
        escaped(MOBILE).encode(),
        escaped("+86 138-0013-8000").encode(),
        b"%31%33%38%30%30%31%33%38%30%30%30",
        b"1%33800138000",
        b"13800138%3000",
        "138零零壹叁捌零零〇".encode(),
        b"138%2D0013%2d8000",
        b"%2531%2533%2538%2530%2530%2531%2533%2538%2530%2530%2530",  # escaped twice
        b"%25252B%252531%252533%252538%252530%252530%252531%252533%252538%252530%252530%252530",  # three times
        b"100% of 13800138000",  # a per cent sign that escapes nothing
        MOBILE.encode("utf-16-le"),
        MOBILE.encode("utf-16-be"),
        "号码138-0013-8000。".encode("utf-16-le"),
        MOBILE.encode("utf-32-be"),
        in_script(MOBILE, FULL_WIDTH).encode(),
        in_script(MOBILE, FULL_WIDTH).encode("gb18030"),
        ("请打" + in_script(MOBILE, FULL_WIDTH) + "，谢谢").encode("gbk"),
        in_script(MOBILE, CIRCLED).encode(),
        in_script(MOBILE, HAN).encode(),
        in_script(MOBILE, ARABIC).encode(),
        "138–0013–8000".encode(),  # en dashes
        "138\u00a00013\u00a08000".encode(),  # no-break spaces
        "1\u200b3800138000".encode(),  # a zero-width space
        "138，0013，8000".encode(),
        b"%EF%BC%91%EF%BC%93800138000",  # full-width digits, escaped
        b"\xff13800138000",  # no UTF-8 before it
    ],
)
def test_found(data: bytes) -> None:
    assert holds_number(data, MOBILE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1380013800",  # a digit is missing at the end,
        b"3800138000",  # or in front
        b"13900139000",
        b"138001\n38000",  # two header rows, two lines of a description
        b"138001\r\n38000",
        b"13800,138000",  # a list
        b"13800:138000",
        b"13800;138000",
        b"13800x138000",
        b"o=- 1380013 8001 IN IP4 127.0.0.1",
        "138零零壹叁捌零〇".encode(),
        b"13800138%300%3",  # the last escape is broken
    ],
)
def test_not_found(data: bytes) -> None:
    assert not holds_number(data, MOBILE)


def test_no_number_is_found_nowhere() -> None:
    assert not holds_number(b"13800138000", "")


@given(
    LONG_NUMBERS, PREFIXES, AROUND, AROUND, st.lists(st.sampled_from(["", "-", " ", ".", "(", ")", "/", "\t", "\\"]))
)
def test_every_promised_spelling_is_found(
    number: str, prefix: str, before: str, after: str, separators: list[str]
) -> None:
    between = (separators or [""]) * len(number)
    text = before + prefix + "".join(d + s for d, s in zip(number, between, strict=False)) + after
    for charset in ("utf-8", "utf-16-le", "utf-16-be"):
        assert holds_number(text.encode(charset), number)


@given(LONG_NUMBERS, st.data())
def test_any_mix_of_escapes_is_found(number: str, data: st.DataObject) -> None:
    text = number
    for _ in range(data.draw(st.integers(1, 3))):
        text = "".join(data.draw(st.sampled_from([char, f"%{ord(char):02x}", f"%{ord(char):02X}"])) for char in text)
    assert holds_number(text.encode(), number)


@given(LONG_NUMBERS, st.data())
def test_any_mix_of_scripts_is_found(number: str, data: st.DataObject) -> None:
    scripts = st.sampled_from([None, FULL_WIDTH, CIRCLED, HAN, ARABIC])
    text = "".join(digit if (s := data.draw(scripts)) is None else s[int(digit)] for digit in number)
    assert holds_number(text.encode(), number)


@given(LONG_NUMBERS, st.binary(max_size=60))
def test_found_means_that_the_digits_are_there(number: str, data: bytes) -> None:
    """In bytes without escapes and without letters above ASCII there is nothing to interpret."""
    plain = bytes(octet & 0x7F for octet in data).replace(b"%", b"")
    assert holds_number(plain, number) == (number.encode() in plain.translate(None, BETWEEN_DIGITS))


@given(LONG_NUMBERS, LONG_NUMBERS)
def test_another_number_is_another_number(number: str, other: str) -> None:
    assert holds_number(f"<sip:+86{other}@host>".encode(), number) == (number in f"86{other}")


# -- short numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("95588", "95588"),
        ("95588", "tel:+8695588"),
        ("95588", "sip:8695588@host"),
        ("95588", "008695588"),
        ("95588", "请拨95588."),
        ("95588", "95588, 95599"),
        ("110", "x-number=110;"),
        ("110", "%31%31%30"),
        ("95588", "９５５８８"),
        ("10086", "call 10086!"),
    ],
)
def test_short_number_as_a_word(number: str, text: str) -> None:
    assert holds_number(text.encode(), number)


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
def test_short_number_in_two_octet_text(charset: str) -> None:
    assert holds_number("拨95588吧".encode(charset), "95588")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("95588", "955881"),
        ("95588", "195588"),
        ("95588", "2890844526095588"),
        ("95588", "955-88"),  # only as a word
        ("95588", "95588.25"),
        ("95588", "0.95588"),
        ("110", "10.110.3.4"),
        ("110", "1101"),
        ("110", "11"),
        ("12345", "86112345"),
        ("96979899", "RTP/AVP 96 97 98 99"),
        ("1008611", "a 100 8 61 1"),
    ],
)
def test_short_number_within_another_word(number: str, text: str) -> None:
    assert not holds_number(text.encode(), number)


@given(SHORT_NUMBERS, st.text("0123456789", max_size=6), st.text("0123456789", max_size=6))
def test_short_number_never_within_digits(number: str, before: str, after: str) -> None:
    text = before + number + after
    words = {number, f"86{number}", f"0086{number}"}
    assert holds_number(text.encode(), number) == (text in words)


# -- anybody's number --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"13900139000", True),
        (b"139 0013-9000", True),
        (b"%31%33900139000", True),
        ("１３９００１３９０００".encode(), True),
        (b"123456789", True),
        (b"12345678", False),
        (b"12345678x9", False),
        (b"PCMA/8000", False),
        (b"1234\n56789", False),
    ],
)
def test_holds_long_number(data: bytes, expected: bool) -> None:
    assert holds_long_number(data) is expected


@given(LONG_NUMBERS, AROUND)
def test_a_real_number_is_a_long_number(number: str, around: str) -> None:
    assert len(number) >= LONG_FROM and canonical_real(number) == number
    assert holds_long_number(f"{around}{number}{around}".encode())


# -- folding -----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80))
def test_folding_keeps_length_and_ascii(text: str) -> None:
    folded = fold(text)
    assert len(folded) == len(text)
    assert all(after == before for before, after in zip(text, folded, strict=True) if before.isascii())
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("１３٣३①⓪三〇壹", "133310301"),
        ("十百", "十百"),  # numbers, but no digits
        ("½Ⅷ", "½8"),
        ("é，。–\u200b", "é    "),
        ("𝟘𝟏", "01"),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_folding_does_not_remember_without_end() -> None:
    """More characters than are remembered still fold right."""
    everything = "".join(chr(code) for code in range(0x80, 0x4000))
    assert len(fold(everything)) == len(everything)
    assert fold("１３８") == "138"


def test_unescaping_ends() -> None:
    """Escapes of escapes: what is unescaped often enough is not read by anybody, and costs nothing."""
    assert not holds_number(b"%" + b"25" * 4000 + b"31", MOBILE)
