"""The real numbers that a capture has met: searched in every spelling from then on, whoever writes them.

Two legs of a call share nothing but the 700 number; so what has been seen beside a 700 number is searched in all that
has it, and in all of the same Call-ID.
"""

from __future__ import annotations

import re
from typing import Final, final
from urllib.parse import unquote

from engine.core.numbers import REAL, SEPARATORS, UNKNOWN, read_number
from engine.core.settings import NumberFormat
from engine.core.spelling import LONG_FROM, PARTED_FROM

MAX_NUMBERS: Final = 100_000
_MAX_KEYS: Final = 20_000
_MAX_A_KEY: Final = 8

# 700 numbers, and the Call-ID, that one message may be told by: for what is known of each of them it is searched.
MAX_OF_A_MESSAGE: Final = 8

_USER: Final = re.compile(r"(?:sips?|tel):([^@;>\s\",?]{3,40})", re.IGNORECASE)
_QUAD: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_COUNTRY: Final = re.compile(r"\A(?:\+86|0086|\+)")
_X: Final = re.compile(r"(?<![0-9])(?:86|0086)?(700[0-9]{12})(?![0-9])")
_WITHOUT_SEPARATORS: Final = str.maketrans("", "", SEPARATORS)
_CALL_ID: Final = re.compile(r"(?:^|\n)(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{1,256})", re.IGNORECASE)


@final
class Known:
    """Of one capture; the oldest is forgotten when there are too many."""

    __slots__ = ("_beside", "_numbers", "lengths")

    def __init__(self) -> None:
        self._numbers: dict[str, None] = {}
        self._beside: dict[str, dict[str, None]] = {}
        self.lengths: tuple[int, ...] = ()  # of the numbers, the longest first

    def __contains__(self, digits: str) -> bool:
        return digits in self._numbers

    def add(self, number: str) -> None:
        """From now on it is searched in every spelling."""
        if len(number) < LONG_FROM or number in self._numbers:
            return
        self._numbers[number] = None
        if len(number) not in self.lengths:
            self.lengths = tuple(sorted((*self.lengths, len(number)), reverse=True))
        if len(self._numbers) > MAX_NUMBERS:
            del self._numbers[next(iter(self._numbers))]

    def add_beside(self, key: str, number: str) -> None:
        """A number of a party, and what its messages can be told by: a 700 number or a Call-ID."""
        self.add(number)
        numbers = self._beside.setdefault(key, {})
        numbers[number] = None
        if len(numbers) > _MAX_A_KEY:
            del numbers[next(iter(numbers))]
        if len(self._beside) > _MAX_KEYS:
            del self._beside[next(iter(self._beside))]

    def read(self, head: str) -> set[str] | None:
        """The numbers of the parties that a message is about, as far as any message has named them; None when it is
        about more calls than a message can be."""
        keys = keys_of(head)
        is_read = len(keys) <= MAX_OF_A_MESSAGE
        keys = keys if is_read else []
        for user in _USER.findall(head):
            number = _number_of(user)
            if number:
                for key in keys:
                    self.add_beside(key, number)
                self.add(number)
        return {number for key in keys for number in self._beside.get(key, ())} if is_read else None


def _number_of(user: str) -> str:
    """The real number that a user part may be, "" for none: also in the way of a trunk with number rules, such as a
    local one without its area code. Which trunk has which rules nobody needs to know here."""
    if _QUAD.fullmatch(user):
        return ""  # a host
    dialled = read_number(user, NumberFormat.PREFIX86)
    if dialled is not UNKNOWN:
        return dialled.number if dialled.kind is REAL else ""
    digits = _COUNTRY.sub("", unquote(user).partition(";")[0].translate(_WITHOUT_SEPARATORS))
    return digits if len(digits) >= PARTED_FROM and digits.isascii() and digits.isdigit() else ""


def keys_of(head: str) -> list[str]:
    """What tells the messages of one call: the 700 numbers in a message, and its Call-ID."""
    keys = list(dict.fromkeys(_X.findall(head)))
    call_id = call_id_of(head)
    return [*keys, call_id] if call_id else keys


def call_id_of(head: str) -> str:
    """The Call-ID of a message, "" without one."""
    found = _CALL_ID.search(head)
    return found[1].strip() if found else ""
