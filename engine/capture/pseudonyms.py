"""Pseudonyms of real numbers: as long as the number, equal for equal numbers, and in ranges that nobody has.

A number of another capture has another pseudonym: the key of each is drawn for it and is not kept.
"""

from __future__ import annotations

import hmac
from typing import Final, final

from engine.core.numbers import COUNTRY_CODE, MOBILE_LENGTH
from engine.core.spelling import LONG_FROM

# What a pseudonym begins with, by what the number begins with and its length: no operator has mobiles 169, no place the
# area 26 or 600, nobody access codes 1060 or 9500, no network the code 460 99, and no number begins with 0.
_IMSI: Final = "460"
IMSI_LENGTH: Final = 15
_RANGES: Final = (
    ("1", MOBILE_LENGTH, "169"),
    ("10", 10, "26"),
    ("2", 10, "26"),
    (_IMSI, IMSI_LENGTH, "46099"),
)
_AREAS: Final = "600"
_CODES: Final = {"106": "1060", "95": "9500"}
_SHORT: Final = "0"

# So many numbers of one capture are told apart for certain: of more, two may have one pseudonym.
MAX_REMEMBERED: Final = 50_000
_MAX_DRAWS: Final = 64


def looks_like_imsi(digits: str) -> bool:
    """A subscriber identity of a Chinese network (3GPP TS 23.003 §2.2): private user names and logins have it."""
    return len(digits) == IMSI_LENGTH and digits.startswith(_IMSI)


def _range_of(number: str) -> str:
    """The digits that the pseudonym of `number` begins with."""
    length = len(number)
    if length < LONG_FROM:
        return _SHORT
    for prefix, exact, taken in _RANGES:
        if length == exact and number.startswith(prefix):
            return taken
    for prefix, taken in _CODES.items():
        if number.startswith(prefix):
            return taken
    return _AREAS


@final
class Pseudonyms:
    """Of one capture. `key` is 32 octets of chance."""

    __slots__ = ("_key", "_of", "_taken")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._of: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, number: str) -> str:
        """The pseudonym of digits, as long as they are."""
        known = self._of.get(number)
        if known is not None:
            return known
        drawn = self._drawn(number)
        if len(self._of) < MAX_REMEMBERED:
            self._of[number] = drawn
            self._taken.add(drawn)
        return drawn

    def is_one(self, digits: str) -> bool:
        """Whether it has been given to a number."""
        return digits in self._taken

    def _drawn(self, number: str) -> str:
        head = _range_of(number)
        width = len(number) - len(head)
        drawn = number
        for draw in range(_MAX_DRAWS):
            digest = hmac.digest(self._key, f"{COUNTRY_CODE}{number}:{draw}".encode(), "sha256")
            drawn = head + str(int.from_bytes(digest, "big") % 10**width).zfill(width)
            if drawn not in self._taken and drawn != number:
                break
        return drawn
