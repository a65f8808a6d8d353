"""Texts of TPDUs: the sender's own number is masked in place, and every other bit stays as it came."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.text_bodies import masked_text
from engine.core.tpdu import Tpdu, TpduKind, parse_tpdu, render_tpdu
from engine.core.tpdu_text import masked_tpdu, tpdu_text
from sipstack.errors import RemoteSipError
from tests.core.smsvectors import REAL, TAKEN

GSM7, UCS2 = 0x00, 0x08
ESCAPE = 0x1B
PART = bytes.fromhex("0500035a0201")
TURNED = b"\xff\xfe"  # the mark of the other order of octets


def gsm7(septets: list[int], header: bytes = b"", fill: int = 0) -> Tpdu:
    """A SUBMIT of these septets; `fill` stands in the bits that no septet takes."""
    start = (len(header) * 8 + 6) // 7
    count = start + len(septets)
    octets = (count * 7 + 7) // 8
    spare = octets * 8 - count * 7
    bits = int.from_bytes(header, "little") | (0x0D if spare == 7 else fill & (1 << spare) - 1) << 7 * count
    if header:
        bits |= (fill & ((1 << (start * 7 - len(header) * 8)) - 1)) << 8 * len(header)
    for place, septet in enumerate(septets, start):
        bits |= septet << 7 * place
    return submit(GSM7, count, bits.to_bytes(octets, "little"), header)


def ucs2(octets: bytes, header: bytes = b"") -> Tpdu:
    return submit(UCS2, len(header + octets), header + octets, header)


def submit(coding: int, length: int, user_data: bytes, header: bytes) -> Tpdu:
    first = 0x41 if header else 0x01
    octets = bytes((first, 0, 3, 0xA1, 0x11, 0xF0, 0, coding, length)) + user_data
    tpdu = parse_tpdu(octets, from_mobile=True)
    assert tpdu.kind is TpduKind.SUBMIT
    return tpdu


def ascii_septets(text: str) -> list[int]:
    """Characters that stand in the default alphabet where they stand in ASCII."""
    return [ord(char) for char in text]


@pytest.mark.parametrize("row", TAKEN, ids=lambda row: row["name"])
def test_masked_octets_are_those_of_the_library(row: dict[str, str]) -> None:
    tpdu = parse_tpdu(bytes.fromhex(row["octets"]), row["from_mobile"] == "True")
    assert render_tpdu(masked_tpdu(tpdu, REAL)).hex() == row["masked"]
    assert render_tpdu(tpdu).hex() == row["octets"]


@pytest.mark.parametrize("row", TAKEN, ids=lambda row: row["name"])
def test_a_text_without_the_number_is_the_same_object(row: dict[str, str]) -> None:
    tpdu = parse_tpdu(bytes.fromhex(row["octets"]), row["from_mobile"] == "True")
    assert masked_tpdu(tpdu, "13911112222") is tpdu


def test_a_digit_behind_an_escape_is_that_digit() -> None:
    """TS 23.038 §6.2.1.1: a phone shows the character of the default alphabet, so the number can be read."""
    septets = [code for char in REAL for code in (ESCAPE, ord(char))]
    tpdu = gsm7(septets)
    assert tpdu_text(tpdu) == REAL
    assert tpdu_text(masked_tpdu(tpdu, REAL)) == "138****8000"


@pytest.mark.parametrize(
    ("septets", "text"),
    [
        ([ESCAPE], ""),
        ([ESCAPE, ESCAPE, 0x31], " 1"),
        ([0x31, ESCAPE, 0x65, 0x32], "1€2"),
        ([ESCAPE, 0x41], "A"),
        ([0x00, 0x0D], "@\r"),
    ],
)
def test_escapes(septets: list[int], text: str) -> None:
    assert tpdu_text(gsm7(septets)) == text


def test_a_short_number_is_masked_as_a_word() -> None:
    tpdu = masked_tpdu(gsm7(ascii_septets("dial 95588, not 955880")), "95588")
    assert tpdu_text(tpdu) == masked_text(b"dial 95588, not 955880", "95588").decode()
    assert tpdu_text(tpdu).endswith("not 955880")


def test_half_a_surrogate_pair_is_a_character() -> None:
    tpdu = ucs2(b"\xd8\x3d" + REAL.encode("utf-16-be") + b"\xde\x00\xd8\x3d")
    assert tpdu_text(tpdu) == f"\ufffd{REAL}\ufffd\ufffd"
    masked = masked_tpdu(tpdu, REAL)
    assert tpdu_text(masked) == "\ufffd138****8000\ufffd\ufffd"
    assert masked.user_data == b"\xd8\x3d" + "138****8000".encode("utf-16-be") + b"\xde\x00\xd8\x3d"


@given(
    st.lists(st.integers(0, 0x7F), max_size=30),
    st.lists(st.integers(0, 0x7F), max_size=30),
    st.sampled_from([b"", PART]),
    st.integers(0, 0x7F),
)
def test_only_septets_of_the_number_change(before: list[int], after: list[int], header: bytes, fill: int) -> None:
    tpdu = gsm7(before + ascii_septets(REAL) + after, header, fill)
    masked = masked_tpdu(tpdu, REAL)
    assert REAL not in tpdu_text(masked)
    changed = int.from_bytes(tpdu.user_data, "little") ^ int.from_bytes(masked.user_data, "little")
    start = (len(header) * 8 + 6) // 7
    places = [place for place in range(200) if changed >> 7 * place & 0x7F]
    assert set(range(start + len(before) + 3, start + len(before) + 7)) <= set(places)
    septets = before + ascii_septets(REAL) + after
    assert all(chr(septets[place - start]).isdigit() for place in places)
    assert masked.user_data_length == tpdu.user_data_length and masked.user_data[: len(header)] == header


# Hypothesis tries constants of the modules that are loaded, and so this mark wherever they stand in one process.
@example(TURNED, b"", b"")
@given(st.binary(max_size=60), st.binary(max_size=40), st.sampled_from([b"", PART]))
def test_only_units_of_the_number_change(before: bytes, after: bytes, header: bytes) -> None:
    before, after = before[: len(before) & ~1], after[: len(after) & ~1]
    number = REAL.encode("utf-16-be")
    if before.startswith(TURNED):
        with pytest.raises(RemoteSipError, match="other order"):
            ucs2(before + number + after, header)
        return
    tpdu = ucs2(before + number + after, header)
    masked = masked_tpdu(tpdu, REAL)
    assert len(masked.user_data) == len(tpdu.user_data)
    if before[-2:-1] >= b"\xd8" and before[-2:-1] <= b"\xdb":
        return  # half a pair takes nothing of what follows, but the text is another
    start = len(header) + len(before)
    assert masked.user_data[start : start + 22] == "138****8000".encode("utf-16-be")
    for place in range(0, len(tpdu.user_data), 2):
        unit = masked.user_data[place : place + 2]
        assert unit == tpdu.user_data[place : place + 2] or unit == b"\0*"


@given(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=25).filter(lambda text: text[:1] != "\ufffe"),
    st.text("０１２３４５６７８９-, 𝟎", max_size=10),
)
def test_a_text_is_masked_as_a_plain_one_is(text: str, between: str) -> None:
    """Character for character but for digits outside of the basic plane, which become two asterisks."""
    written = text + REAL[:5] + between + REAL[5:]
    tpdu = ucs2(written.encode("utf-16-be"))
    plain = masked_text(written.encode(), REAL).decode()
    pairs = zip(written, plain, strict=True)
    wide = "".join("**" if old != new and ord(old) > 0xFFFF else new for old, new in pairs)
    assert tpdu_text(masked_tpdu(tpdu, REAL)) == wide
