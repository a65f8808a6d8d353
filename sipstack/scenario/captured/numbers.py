"""The numbers of a captured call, which a scenario has in the fields of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, final

from sipstack.scenario.captured.marks import Marks

# The user part of a URI that is a number; the country's code stays outside of the field.
_USER: Final = re.compile(r"(?:sips?|tel):\+?(\d{3,32})(?=[@;>,\s?]|\Z)", re.IGNORECASE)
# Any other run of digits that looks like a number of these services: mobile, or of fifteen digits.
_RUN: Final = re.compile(r"(?<!\d)(?:(?:00)?86|0)?(1[3-9]\d{9}|700\d{12})(?!\d)")
_CODE: Final = re.compile(r"(?:00)?86(?=1[3-9]\d{9}\Z|700\d{12}\Z)")
_DIGITS: Final = re.compile(r"\d{7,}")  # as _ANYWHERE
MOST: Final = 5000  # numbers of one call: there are characters for so many (`marks`)
_ANYWHERE: Final = 7  # a number as long as this is one wherever it stands; a shorter one could be a port


@final
class Numbers:
    """`fields` has each number once: what was called, who called, and others in the order in which they stand."""

    def __init__(self, called: str, caller: str, texts: Iterable[str]) -> None:
        """`called` and `caller` are URIs or fields with one, `texts` all messages of the call."""
        found = [*_users(called), *_users(caller)]
        for text in texts:
            found += _users(text)
            found += _RUN.findall(text)
        self.fields: Final = list(dict.fromkeys(found))
        self._places = {number: place for place, number in enumerate(self.fields)}
        self._lengths = sorted({len(number) for number in self.fields if len(number) >= _ANYWHERE}, reverse=True)

    def marked(self, text: str, marks: Marks) -> str:
        """A text with the fields in the place of the numbers."""
        text = _USER.sub(lambda found: self._user(found, marks), text)
        return _DIGITS.sub(lambda run: self._in_run(run[0], marks), text)

    def _in_run(self, digits: str, marks: Marks) -> str:
        """Looked up, each length at each place: a search for one of thousands would take thousands of times as long."""
        made: list[str] = []
        at = rest = 0
        while at < len(digits):
            number = next(
                (found for length in self._lengths if (found := digits[at : at + length]) in self._places), ""
            )
            if len(number) >= _ANYWHERE:
                made += (digits[rest:at], self._field(number, marks))
                at = rest = at + len(number)
            else:
                at += 1
        return "".join((*made, digits[rest:]))

    def _user(self, found: re.Match[str], marks: Marks) -> str:
        number = _core(found[1])
        before = found[0][: len(found[0]) - len(number)]
        return before + self._field(number, marks) if number in self._places else found[0]

    def _field(self, number: str, marks: Marks) -> str:
        return marks.mark(f"[field{self._places[number]}]")


def _users(text: str) -> list[str]:
    return [_core(found) for found in _USER.findall(text)]


def _core(digits: str) -> str:
    return _CODE.sub("", digits, count=1)
