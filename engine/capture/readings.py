"""The readings of a message in which a digit is a digit, and where in its octets each of them is written.

As it stands, unescaped up to three times (percent; quoted-printable, entities, \\u and \\x), and with the digits of
other scripts in UTF-8 as digits: what `engine.core.spelling` and `engine.core.encodings` read, with a way back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

from engine.core.encodings import ESCAPES, MAX_UNESCAPED
from engine.core.spelling import fold

_ASCII_ZERO: Final = 0x30

# Where a digit is written: the octet of an ASCII digit that says which; or (first octet, octets) of a character in
# UTF-8; or the two octets of a decimal entity.
Cell = int | tuple[int, int] | tuple[int, int, str]
Match = re.Match[str]

_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(ESCAPES)
_MARKS: Final = re.compile(r"[%\x80-\xff]|&(?:#|amp;)|\\[ux]|=(?:3|E|e|[ \t]*\r?\n)")
_SOFT_END: Final = re.compile(r"=[ \t]*\r?\n")
_UTF_8: Final = re.compile(r"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

# A digit of a script whose characters take so many octets, as pseudonyms are written there.
_ZERO_BY_OCTETS: Final = {2: 0x0660, 3: 0xFF10, 4: 0x1D7CE}


class Unwritable(Exception):
    """A digit stands in a way in which no other one can be put in its place."""


@final
class Draft:
    """A message that is being masked. `taken`: 1 for each octet in which a pseudonym stands already."""

    __slots__ = ("data", "octets", "taken")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.octets = bytearray(data)
        self.taken = bytearray(len(data))

    def put(self, place: int, octet: int) -> None:
        """One octet of a pseudonym."""
        self.octets[place] = octet
        self.taken[place] = 1

    def put_digits(self, digits: str, places: Sequence[int]) -> None:
        """ASCII digits, each at its place."""
        for digit, place in zip(digits, places, strict=True):
            self.put(place, ord(digit))


@final
class Reading:
    """`text`, one character for each that is read of the message `data`; `cells`: where each is written."""

    __slots__ = ("cells", "data", "text")

    def __init__(self, data: bytes, text: str, cells: Sequence[Cell]) -> None:
        self.data = data
        self.text = text
        self.cells = cells

    def put(self, place: int, digit: str, draft: Draft) -> None:
        """Writes another digit for the one at `place` of the text. Raises Unwritable."""
        cell = self.cells[place]
        if isinstance(cell, int):
            if self.data[cell] != ord(self.text[place]):
                raise Unwritable  # such as a Chinese numeral that is escaped
            draft.put(cell, ord(digit))
        elif len(cell) == 2:
            for at, octet in enumerate(chr(_ZERO_BY_OCTETS[cell[1]] + int(digit)).encode("utf-8"), cell[0]):
                draft.put(at, octet)
        else:
            draft.put_digits(str(_ASCII_ZERO + int(digit)), cell[:2])

    def is_taken(self, place: int, draft: Draft) -> bool:
        """Whether a pseudonym stands there already."""
        cell = self.cells[place]
        return draft.taken[cell if isinstance(cell, int) else cell[0]] != 0


def readings_of(data: bytes) -> list[Reading]:
    """All readings of a message: of each line what it may mean, then all of it as it stands.

    What has most meanings comes first: a number whose first digit is escaped is not taken for the rest of it. No number
    goes over the end of a line, except where the end is escaped.
    """
    text = data.decode("latin-1")
    plain = Reading(data, text, range(len(data)))
    if not _MARKS.search(text):
        return [plain]
    if _SOFT_END.search(text):
        return [*_meanings(plain), plain]
    found: list[Reading] = []
    at = 0
    for line in text.split("\n"):
        if _MARKS.search(line):
            found += _meanings(Reading(data, line, range(at, at + len(line))))
        at += len(line) + 1
    return [*found, plain]


def _meanings(plain: Reading) -> list[Reading]:
    found: list[Reading] = []
    if "%" in plain.text:
        found += _rounds(plain, _PERCENT, _percent_meant)
    unescaped = [*_rounds(plain, _ESCAPE, _escape_meant)]
    found += unescaped
    if unescaped and "%" in unescaped[-1].text:
        found += _rounds(unescaped[-1], _PERCENT, _percent_meant)
    found += [_folded(one) for one in (plain, *found) if not one.text.isascii()]
    return found[::-1]


Meant = Callable[[Reading, Match], tuple[str, list[Cell]]]


def _rounds(reading: Reading, pattern: re.Pattern[str], meant: Meant) -> Iterator[Reading]:
    for _ in range(MAX_UNESCAPED):
        again = _replaced(reading, pattern, meant)
        if again is None:
            return
        yield again
        reading = again


def _replaced(reading: Reading, pattern: re.Pattern[str], meant: Meant) -> Reading | None:
    """The reading with each match as what it means; None without a match."""
    text: list[str] = []
    cells: list[Cell] = []
    at = 0
    for found in pattern.finditer(reading.text):
        chars, places = meant(reading, found)
        text += (reading.text[at : found.start()], chars)
        cells += reading.cells[at : found.start()]
        cells += places
        at = found.end()
    if at == 0:
        return None
    text.append(reading.text[at:])
    cells += reading.cells[at:]
    return Reading(reading.data, "".join(text), cells)


def _percent_meant(reading: Reading, found: Match) -> tuple[str, list[Cell]]:
    return chr(int(found[1], 16)), [reading.cells[found.end(1) - 1]]


def _escape_meant(reading: Reading, found: Match) -> tuple[str, list[Cell]]:
    in_hex, decimal, unit, octet, ampersand = found.groups()
    if octet is not None:
        return chr(int(octet, 16)), [reading.cells[found.end(4) - 1]]
    if ampersand is not None:
        return "&", [reading.cells[found.start()]]
    if in_hex is None and decimal is None and unit is None:
        return "", []
    code = int(decimal) if decimal is not None else int(in_hex or unit, 16)
    if code >= 0x110000 or 0xD800 <= code < 0xE000:
        return " ", [reading.cells[found.start()]]
    group = 2 if decimal is not None else 1 if in_hex is not None else 3
    last = reading.cells[found.end(group) - 1]
    if decimal is not None and len(decimal) == 2:
        tens = reading.cells[found.end(2) - 2]
        last = (tens, last, "decimal") if isinstance(tens, int) and isinstance(last, int) else last
    return (char if (char := _as_digit(chr(code))).isascii() else "x"), [last]


def _folded(reading: Reading) -> Reading:
    """Characters of several octets as one: a digit, a space, or a letter."""
    return _replaced(reading, _UTF_8, _utf_8_meant) or reading


def _utf_8_meant(reading: Reading, found: Match) -> tuple[str, list[Cell]]:
    char = found[0].encode("latin-1").decode("utf-8", "replace")[0]
    meant = _as_digit(char)
    cells = reading.cells[found.start() : found.end()]
    first, last = cells[0], cells[-1]
    if isinstance(first, int) and isinstance(last, int) and last - first == len(cells) - 1:
        return meant if meant.isascii() else "x", [(first, len(cells))]
    return meant if meant.isascii() else "x", [last]


def _as_digit(char: str) -> str:
    return fold(char) if unicodedata.numeric(char, -1.0) >= 0 or not char.isalnum() else char
