"""How a real number can be written, and whether bytes hold one in any of these spellings.

Found are the digits in a row, whatever stands before and behind them (so +86, 0086 and trunk 0 too); with visual
separators between them (RFC 3966 §5.1.1; space, tab, slash), with the backslashes of a quoted string, with the zero
octets of two-octet text; percent-escaped, up to three times over; in the digits of other scripts (full-width, circled,
Arabic, Chinese numerals) in UTF-8 and GB 18030.

Encodings that no person reads stand in `encodings`.

A number of less than nine digits (95588, 110) stands in ports, payload types and seconds by chance: it counts only as a
word of its own, with or without the country code. A local number (a trunk with number rules may spell a landline so) is
found with separators, too.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, final
from urllib.parse import unquote_to_bytes

from engine.core.encodings import MAX_UNESCAPED, holds_long_encoded
from engine.core.numbers import COUNTRY_CODE

# Shorter numbers are searched as whole words; every mobile and landline number has ten digits or more.
LONG_FROM: Final = 9

# Local numbers, without their area code, have so many digits, or one more.
PARTED_FROM: Final = 7

# So many digits in a row may be anybody's number; the highest count that is none.
LONG_RUN: Final = re.compile(rb"[0-9]{%d}" % LONG_FROM)
MOST_COUNT: Final = 10 ** (LONG_FROM - 1) - 1

# The same with what people put between digits; but a space begins another word, and a slash another part of one: of
# formats L24/192000/2 and H263-1998/90000 are no number.
LONG_PARTED_RUN: Final = re.compile(rb"[0-9](?:[-.()\\\t\0]*[0-9]){%d}" % (LONG_FROM - 1))

# Taken out before the search, so that 138-0013-8000, 138 0013 8000 and UTF-16 are found like 13800138000.
BETWEEN_DIGITS: Final = b"-.() \t/\\\0"

_PERCENT: Final = 0x25  # as a number: bytes are first taken for one, which costs more than the search

# Characters whose folding is remembered: the common Chinese ones fit.
_MAX_FOLDED: Final = 8192


@final
class _Folding(dict[int, str]):
    """Code point -> one character, made when it is asked for (a table for str.translate)."""

    def __missing__(self, code: int) -> str:
        folded = _folded_char(chr(code))
        if len(self) < _MAX_FOLDED:
            self[code] = folded
        return folded


_FOLDING: Final = _Folding()


# Letters that nobody sees: the fillers of Hangul (default ignorable in Unicode).
_BLANK_LETTERS: Final = "\u115f\u1160\u3164\uffa0"


def _folded_char(char: str) -> str:
    """An ASCII digit for a digit of any script, a space for what is neither letter nor digit, else the character."""
    if char.isascii():
        return char
    if char in _BLANK_LETTERS:
        return " "
    value = unicodedata.numeric(char, -1.0)
    if 0 <= value <= 9 and value.is_integer():
        return str(int(value))
    return char if char.isalnum() else " "


def fold(text: str) -> str:
    """`text` with every digit as an ASCII digit, and other scripts' punctuation as spaces; as long as it was."""
    return text if text.isascii() else text.translate(_FOLDING)


@lru_cache(maxsize=256)
def word_pattern(number: str) -> re.Pattern[str]:
    """A short number as a word, its own digits as group 1; 110.5 and 10.110.0.1 are other words.

    A local one may have separators between its digits, 8888-8888; a service number of that length begins with 1 or 9.
    """
    is_local = len(number) >= PARTED_FROM and number[0] in "2345678"
    digits = "[-.() \\t]?".join(number) if is_local else number
    before, after = r"(?<![0-9])(?<![0-9][.,])", r"(?![0-9]|[.,][0-9])"
    return re.compile(f"{before}(?:\\+?{COUNTRY_CODE}|00{COUNTRY_CODE})?({digits}){after}")


def holds_number(data: bytes, number: str) -> bool:
    """True when `number` (canonical digits, "" for none) stands in `data` in a spelling that can be read back."""
    if not number:
        return False
    if _PERCENT in data or not data.isascii():
        data = b"\n".join(_readings(data))
    if len(number) < LONG_FROM:
        return word_pattern(number).search(data.replace(b"\0", b"").decode("latin-1")) is not None
    return data.translate(None, BETWEEN_DIGITS).find(number.encode("ascii")) >= 0


def holds_long_number(data: bytes) -> bool:
    """True when nine digits or more stand together, separators between them or not: it may be anybody's number.

    In base64 and hex too: what is searched for in an encoding must not come back as an echo either (decision 7).
    """
    if _PERCENT in data or not data.isascii():
        data = b"\n".join(_readings(data))
    return LONG_RUN.search(data.translate(None, BETWEEN_DIGITS)) is not None or holds_long_encoded(data)


def _readings(data: bytes) -> list[bytes]:
    """`data` as it stands, unescaped, and with the digits of other scripts as ASCII digits."""
    found = [data]
    for _ in range(MAX_UNESCAPED):
        if b"%" not in found[-1]:
            break
        unescaped = unquote_to_bytes(found[-1])
        if unescaped == found[-1]:
            break
        found.append(unescaped)
    return found + [folded for reading in found if not reading.isascii() for folded in _folded(reading)]


def _folded(data: bytes) -> list[bytes]:
    try:
        return [fold(data.decode("utf-8")).encode("utf-8")]
    except UnicodeDecodeError:
        texts = (data.decode("utf-8", "ignore"), data.decode("gb18030", "ignore"))
        return [fold(text).encode("utf-8") for text in texts]
