"""A text that is told at one look to hold nobody's number holds none: in no spelling, in no encoding, behind no escape.

What is written in C takes exactly what Python takes.
"""

from __future__ import annotations

from base64 import b64encode
from quopri import encodestring
from types import ModuleType
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import plain_texts
from engine.core.copies import text_hides
from engine.core.encodings import reordered
from engine.core.plain_texts import KINDS, is_plain_text, read_is_plain_text
from engine.core.spelling import holds_long_number, holds_number
from engine.core.text_bodies import masked_text
from sipstack.scan import SCAN
from tests.sipstack.scans import compile_scan

USUAL: Final = b"Your parcel waits at the door, code 1234. Please call me back on this number."
NUMBERS: Final = ("13900139000", "2088888888", "951234567", "106575001234567890")

PIECES: Final = st.sampled_from([
    b"1", b"12", b"1234", b"11 ", b"31 ", b"MT", b"zk", b"M", b"k ", b" ", b"-", b".", b"\0", b"\n", b"=", b"%", b"&",
    b"\\", b"a", b"hello", b"\x7f", b"\x80", b"\xe4\xb8\x80", b"/", b":", b"@", b"`", b"g5x", b"0",
])  # fmt: skip
TEXTS: Final = st.lists(PIECES, max_size=20).map(b"".join) | st.binary(max_size=60)


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    if SCAN is None:
        return compile_scan(tmp_path_factory.mktemp("scan"))
    from sipstack import head_scan

    assert plain_texts._IN_C is head_scan.has_few_digits
    return head_scan  # type: ignore[return-value]


@given(TEXTS)
@example(USUAL)
@example(b"12345678")
@example(b"123456789")
@example(b"1 2 3 4 5 6 7 8")
@example(b"1 2 3 4 5 6 7 8 9")
@example(b"MNODT")
@example(b"MNODTj")
@example(b"MM MM MM MM")
@example(b"MM MM MM MM M MM")
@example(b"MM MM MM MM MM")
@example(b"MMM MM MM MM MMM")
@example(b"MM MMM MM MM MM")
@example(b"MM MMM MM MM MM MM")
@example(b"MM MM  MM MM MM MM")
def test_takes_what_python_takes(in_c: ModuleType, text: bytes) -> None:
    assert in_c.has_few_digits(text, KINDS) == read_is_plain_text(text)


def test_every_octet_counts_alike(in_c: ModuleType) -> None:
    for octet in range(256):
        for text in (b"%c", b"1234567%c", b"12345678%c", b"MNOD%c", b"MNODT%c", b"MM MM%cMM MM MM", b"MM MM MM MM M%c"):
            made = text % octet
            assert in_c.has_few_digits(made, KINDS) == read_is_plain_text(made), made


@pytest.mark.parametrize("given", [("text", KINDS), (b"text", b"\0"), (b"text", "kinds"), (b"text",), ()])
def test_takes_nothing_but_bytes(in_c: ModuleType, given: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        in_c.has_few_digits(*given)


def spellings(number: str) -> list[bytes]:
    """Ways in which a number is written, or hidden."""
    digits = number.encode()
    wide = number.encode("utf-16-le")
    return [
        digits,
        *[between.join(number).encode() for between in (" ", "-", ".", "/", ",", "_", "*", "\r\n", "\0")],
        *[(b"+86", b"0086", b"0")[at] + digits for at in range(3)],
        f"{number[:3]} {number[3:7]} {number[7:]}".encode(),
        *["".join(chr(ord(zero) + int(digit)) for digit in number).encode() for zero in "０٠𝟎"],
        *[b64encode(b"x" * before + text) for before in range(3) for text in (digits, wide, wide[1:])],
        *[text.hex(between).encode() for between in (" ", ":", "-") for text in (digits, wide)],
        digits.hex().encode(),
        wide.hex().encode(),
        reordered(number).encode() if len(number) % 2 == 0 else reordered(number + "f").encode(),
        quote(number).encode(),
        b"".join(b"%%%02x" % octet for octet in digits),
        b"".join(b"=%02X" % octet for octet in digits),
        b"".join(b"&#%d;" % octet for octet in digits),
        b"".join(b"\\u%04x" % octet for octet in digits),
        b"".join(b"\\x%02x" % octet for octet in digits),
        encodestring(digits),
    ]


@pytest.mark.parametrize("number", NUMBERS)
def test_what_holds_a_number_is_not_plain(number: str) -> None:
    """Each spelling that the masks or the gate would find is left to them."""
    found = 0
    for spelling in spellings(number):
        for text in (spelling, b"call me: " + spelling + b", please", b"x" + spelling):
            if holds_number(text, number) or text_hides(text, number) or masked_text(text, number, "") != text:
                found += 1
                assert not read_is_plain_text(text), text
    assert found > 3 * 20


@given(TEXTS)
def test_what_is_plain_holds_nobody_s_number(text: bytes) -> None:
    if read_is_plain_text(text):
        assert not holds_long_number(text)
        for number in NUMBERS:
            assert not holds_number(text, number)
            assert not text_hides(text, number)


@pytest.mark.parametrize(
    "text",
    [USUAL, b"", b"ok", b"I am at gate 12, row 4, until 18:30", b"Order 4471 has left.\r\nThank you!", b"a\tb\0c"],
)
def test_a_usual_text_is_plain(text: bytes) -> None:
    assert read_is_plain_text(text)
    assert is_plain_text(text) == (SCAN is not None)
