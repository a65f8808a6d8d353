"""Texts of messages to texts of a scenario: what becomes a keyword is marked first, then all else is made literal.

A message is read with one character an octet, so that characters above these are free to stand for keywords.
"""

from __future__ import annotations

import re
from typing import Final, final

_FIRST: Final = 0xE000
# Brackets open and close keywords, and end a section of XML; a backslash begins the number of a character.
_SPECIAL: Final = re.compile(r"[^\t\n -Z^-~\ue000-\uf8ff]")
_EDGES: Final = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)
_OUTER: Final = re.compile(r"\A\n+|(?<=\n)\n+\Z")


@final
class Marks:
    """The keywords of one scenario, a character each."""

    def __init__(self) -> None:
        self._keywords: list[str] = []
        self._known: dict[str, str] = {}

    def mark(self, keyword: str) -> str:
        """What stands for a keyword, or for any text that is to stay as it is."""
        found = self._known.get(keyword)
        if found is None:
            found = self._known[keyword] = chr(_FIRST + len(self._keywords))
            self._keywords.append(keyword)
        return found

    def line(self, text: str) -> str:
        """One line of a head with its marks, as the scenario has it."""
        return self._named(_literal(text.strip(" \t\r\n")))

    def body(self, text: str) -> str:
        """A body, with LF for each CR LF of it; other line ends, and blanks that a reader would take off, are written
        as numbers of their characters."""
        return self._named(_lines(text))

    def _named(self, text: str) -> str:
        return "".join(self._keywords[ord(char) - _FIRST] if char >= "\ue000" else char for char in text)


def _literal(text: str) -> str:
    return _SPECIAL.sub(lambda found: _number(found[0]), text)


def _number(text: str) -> str:
    return "".join(f"\\x{ord(char):02X}" for char in text)


def _lines(text: str) -> str:
    made = "\n".join(_literal(line).replace("\n", _number("\n")) for line in text.split("\r\n"))
    made = _EDGES.sub(lambda found: _number(found[0]), made)
    return _OUTER.sub(lambda found: _number("\r\n") * len(found[0]), made)
