"""The numbers that a route takes: an expression, which is read once where it is of the kind that nearly all are.

Such a one says from its begin on of each place which digits may stand there, as `^1[3-9][0-9]{9}$` does. To look at two
places costs a tenth of a search, and each call and each message asks.
"""

from __future__ import annotations

import re
from typing import Final, final

# `^`, then places, each a digit, `\d` or digits in brackets, perhaps repeated, and perhaps `$`.
_PLACE: Final = r"([0-9]|\\d|\[(?:[0-9]-[0-9]|[0-9])+\])(?:\{([0-9]{1,2})\})?"
_READABLE: Final = re.compile(rf"\^(?:{_PLACE})*\$?")
_PLACES: Final = re.compile(_PLACE)
_RANGE: Final = re.compile("([0-9])-([0-9])")

_ANY: Final = "0123456789"
_ANYTHING: Final = (".", "^.")  # one digit, whichever


@final
class CalledPattern:
    """One expression. What it takes is what `re.search` finds."""

    __slots__ = ("_digits", "_is_read", "_is_whole", "_length", "_pattern", "_places")

    def __init__(self, text: str) -> None:
        self._pattern: Final = re.compile(text, re.ASCII)
        self._places: list[int] = []  # those at which not every digit may stand
        self._digits: list[bytes] = []  # ... and for each of them ten octets, 1 for a digit that may
        self._length = 1
        self._is_whole = text.endswith("$")
        self._is_read = text in _ANYTHING or _READABLE.fullmatch(text) is not None
        if self._is_read and text not in _ANYTHING:
            self._read(text)

    def _read(self, text: str) -> None:
        allowed: list[str] = []
        for place, times in _PLACES.findall(text):
            allowed += [_digits_of(place)] * int(times or 1)
        self._length = len(allowed)
        for at, digits in enumerate(allowed):
            if digits != _ANY:
                self._places.append(at)
                self._digits.append(bytes([digit in digits for digit in _ANY]))

    def takes(self, number: str) -> bool:
        """True for a canonical national number that it is found in."""
        if not self._is_read or not number.isdigit() or not number.isascii():
            return self._pattern.search(number) is not None
        if len(number) != self._length and (self._is_whole or len(number) < self._length):
            return False
        for index, place in enumerate(self._places):  # noqa: SIM110 - a generator is another function
            if not self._digits[index][ord(number[place]) - 0x30]:
                return False
        return True


def _digits_of(place: str) -> str:
    """The digits that may stand at a place, in order. A range that goes down is an error of the expression itself."""
    if place == r"\d":
        return _ANY
    single = _RANGE.sub("", place)
    ranges = _RANGE.findall(place)
    return "".join([digit for digit in _ANY if digit in single or any(low <= digit <= high for low, high in ranges)])
