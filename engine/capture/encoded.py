"""Numbers in what no person reads: base64 and hex of digits, semi-octets, septets; found, and written anew in place.

The encodings are those of `engine.core.encodings`. In base64, hex of text and septets digits are digits, and whatever
looks like a number is found. Any octets read as some semi-octets: there a number must be known, or stand as an address
of 3GPP TS 23.040 §9.1.2.5.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Final

from engine.capture.known import Known
from engine.capture.readings import Draft
from engine.capture.shapes import RUN, known_spans, spans_of_run
from engine.core.encodings import (
    BASE64_LETTERS,
    BETWEEN_LINES,
    BETWEEN_OCTETS,
    HEX_OCTETS,
    PACKED_FROM,
    holds_long_encoded,
    reordered,
)
from engine.core.numbers import COUNTRY_CODE

_LETTERS: Final = re.compile(rb"[A-Za-z0-9+/_-]{12,}")
_URL_SAFE: Final = BASE64_LETTERS[:62] + b"-_"
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_VALUE: Final = {letter: value for alphabet in (BASE64_LETTERS, _URL_SAFE) for value, letter in enumerate(alphabet)}

_HEX_TEXT: Final = re.compile(rb"(?:3[0-9][ \t\r\n\-:,\0]*(?:00[ \t\r\n\-:,\0]*)?){9,}")
_HEX_DIGIT: Final = re.compile(rb"3([0-9])")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]")
_TEN_DIGITS: Final = re.compile(r"[0-9]{10,}")
_SEPTET: Final = 7
_SEPTETS_RUN: Final = re.compile(rb"[0-9]{10,}")

# Types of address: national, international and unknown, in the numbering plan ISDN.
_TYPES_OF_ADDRESS: Final = (0x91, 0xA1, 0x81)
_MAX_ADDRESS: Final = 20

Found = Iterator[tuple[str, list[int]]]
"""Digits of a number, and for each of them its place."""

Pseudonym = Callable[[str], str]


# -- base64 ------------------------------------------------------------------------------------------------------------


def mask_base64(draft: Draft, known: Known, pseudonym: Pseudonym) -> None:
    """Numbers in base64 and base64url, wrapped or not, at each offset."""
    data = draft.data
    if not holds_long_encoded(data):
        return
    places = [place for place, octet in enumerate(data) if octet not in BETWEEN_LINES]
    joined = data.translate(None, BETWEEN_LINES)
    for found in _LETTERS.finditer(joined):
        letters = bytearray(found[0])
        for offset in range(4):
            _mask_letters(letters, offset, known, pseudonym)
        for index, letter in enumerate(letters):
            if letter != found[0][index]:
                draft.put(places[found.start() + index], letter)


def _mask_letters(letters: bytearray, offset: int, known: Known, pseudonym: Pseudonym) -> None:
    whole = bytes(letters[offset:])
    whole = whole[: len(whole) - (len(whole) % 4 == 1)]
    decoded = b64decode(whole.translate(_TO_STANDARD) + b"=" * (-len(whole) % 4)).decode("latin-1")
    alphabet = _URL_SAFE if b"-" in letters or b"_" in letters else BASE64_LETTERS
    for digits, at in numbers_in(decoded, known):
        for digit, octet in zip(pseudonym(digits), at, strict=True):
            for bit in range(4):  # a digit's first half is the same for all of them
                where = octet * 8 + 4 + bit
                shift = 5 - where % 6
                place = offset + where // 6
                value = _VALUE[letters[place]]
                changed = value & ~(1 << shift) | (int(digit) >> (3 - bit) & 1) << shift
                if changed != value:
                    letters[place] = alphabet[changed]


def numbers_in(text: str, known: Known) -> Found:
    """The numbers in a text whose digits follow one another, or have a zero octet between them."""
    for run in RUN.finditer(text):
        places = [place for place in range(*run.span()) if text[place] != "\0"]
        digits = run[0].replace("\0", "")
        for start, end in spans_of_run(digits, known):
            yield digits[start:end], places[start:end]


# -- hex ---------------------------------------------------------------------------------------------------------------


def mask_hex(draft: Draft, known: Known, pseudonym: Pseudonym) -> None:
    """Digits as text in hex, of one octet or two each, and semi-octets of known numbers in hex."""
    data = draft.data
    for found in _HEX_TEXT.finditer(data):
        at = [digit.start(1) for digit in _HEX_DIGIT.finditer(data, *found.span())]
        digits = bytes([data[place] for place in at]).decode("ascii")
        for start, end in spans_of_run(digits, known):
            draft.put_digits(pseudonym(digits[start:end]), at[start:end])
    if not known.lengths:
        return
    for found in HEX_OCTETS.finditer(data):
        letters = found[0].translate(None, BETWEEN_OCTETS).decode("ascii").lower()
        for start, end, first in _semi_octets_in(letters, known):
            places = [letter.start() for letter in _HEX.finditer(data, *found.span())]
            order = [places[index] for index in _order(first, len(letters))][start:end]
            draft.put_digits(pseudonym(bytes([data[place] for place in order]).decode("ascii")), order)


def _semi_octets_in(letters: str, known: Known) -> Iterator[tuple[int, int, int]]:
    """Known numbers in semi-octets written in hex: first and last digit in an `_order` of the letters, and which.

    Decimal digits without a letter count only as a whole word: they may be anything else.
    """
    if letters.isdigit():
        word = _read(letters, 0)
        for prefix in ("", "0", COUNTRY_CODE, f"00{COUNTRY_CODE}"):
            if word.startswith(prefix) and len(word) - len(prefix) >= PACKED_FROM and word[len(prefix) :] in known:
                yield len(prefix), len(word), 0
        return
    for first in (_AS_WRITTEN, 0, 1):
        for run in _TEN_DIGITS.finditer(_read(letters, first)):
            for start, end in known_spans(run[0], known, PACKED_FROM):
                yield run.start() + start, run.start() + end, first


_AS_WRITTEN: Final = -1


def _read(letters: str, first: int) -> str:
    """The letters from `first` on with the second of each pair first; _AS_WRITTEN: as they stand."""
    return letters if first == _AS_WRITTEN else reordered(letters[first:])


def _order(first: int, count: int) -> list[int]:
    """The letters that `_read` reads, one after the other."""
    if first == _AS_WRITTEN:
        return list(range(count))
    whole = first + (count - first) // 2 * 2
    return [first + (index - first ^ 1) for index in range(first, whole)] + list(range(whole, count))


# -- octets ------------------------------------------------------------------------------------------------------------


def mask_packed(octets: bytearray, begin: int, known: Known, pseudonym: Pseudonym) -> None:
    """Semi-octets and septets in the octets from `begin` on: a body that is no text."""
    body = bytes(octets[begin:])
    text = body.hex()
    orders = [list(range(len(text))), [index ^ 1 for index in range(len(text))]]
    for order in orders:
        read = "".join([text[index] for index in order])
        for run in _TEN_DIGITS.finditer(read):
            for start, end in known_spans(run[0], known, PACKED_FROM):
                _put_nibbles(octets, begin, pseudonym(run[0][start:end]), order[run.start() + start :])
    for digits, nibbles in _addresses(body, known):
        _put_nibbles(octets, begin, pseudonym(digits), nibbles)
    for shift in range(_SEPTET):
        _mask_septets(octets, begin, shift, known, pseudonym)


def _put_nibbles(octets: bytearray, begin: int, digits: str, nibbles: list[int]) -> None:
    """`nibbles`: the high half of octet n is 2n, the low half 2n + 1."""
    for digit, nibble in zip(digits, nibbles, strict=False):
        place = begin + nibble // 2
        octet = octets[place]
        octets[place] = octet & 0xF0 | int(digit) if nibble % 2 else octet & 0x0F | int(digit) << 4


def _addresses(body: bytes, known: Known) -> Found:
    """Addresses of short messages, by their length in digits (TPDU) or in octets (RP, TS 24.011 §8.2.5.1)."""
    for place in range(1, len(body)):
        if body[place] not in _TYPES_OF_ADDRESS:
            continue
        length = body[place - 1]
        for count in {length, 2 * (length - 1), 2 * (length - 1) - 1}:
            if not PACKED_FROM <= count <= _MAX_ADDRESS:
                continue
            nibbles = [2 * (place + 1) + (index ^ 1) for index in range(count)]
            if max(nibbles) >= 2 * len(body):
                continue
            values = [body[nibble // 2] & 15 if nibble % 2 else body[nibble // 2] >> 4 for nibble in nibbles]
            if max(values) > 9:
                continue
            digits = "".join(map(str, values))
            for start, end in spans_of_run(digits, known):
                yield digits[start:end], nibbles[start:end]


def _mask_septets(octets: bytearray, begin: int, shift: int, known: Known, pseudonym: Pseudonym) -> None:
    body = bytes(octets[begin:])
    bits = int.from_bytes(body, "little") >> shift
    count = (8 * len(body) - shift) // _SEPTET
    septets = bytes([bits >> (_SEPTET * index) & 0x7F for index in range(count)])
    for run in _SEPTETS_RUN.finditer(septets):
        digits = run[0].decode("ascii")
        for start, end in spans_of_run(digits, known):
            for index, digit in enumerate(pseudonym(digits[start:end]), run.start() + start):
                for bit in range(4):
                    where = shift + _SEPTET * index + bit
                    mask = 1 << where % 8
                    place = begin + where // 8
                    octets[place] = octets[place] & ~mask | (mask if int(digit) >> bit & 1 else 0)
