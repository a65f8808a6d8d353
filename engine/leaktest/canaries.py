"""What is hidden in messages so that it can be found again: numbers and words that stand nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, final

# 154 is allotted to no operator: a canary that leaves the machine by some accident rings at nobody's.
PREFIX: Final = "154"
WORD_LETTERS: Final = 10

# The last eight digits are searched alone. Numbers that the node makes begin with 200 to 217, so that no eight digits
# of one of them begin with 30 or more.
_FIRST: Final = 30_000_000
_END: Final = 100_000_000
_FOLLOWING: Final = 100
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


@final
@dataclass(frozen=True, slots=True)
class Canary:
    """One planted value: what it is, where it was put, and which party sent it."""

    value: str  # digits, or a word
    place: str
    point: str  # the message that carried it: "INVITE", "200 to UPDATE"
    by: str


@final
class Canaries:
    """Draws canaries; none twice, and none that stands in a number of `avoid`."""

    __slots__ = ("_avoid", "_drawn", "_random")

    def __init__(self, random: Random, avoid: Iterable[str] = ()) -> None:
        self._random = random
        self._avoid = tuple(avoid)
        self._drawn: set[str] = set()

    def number(self, prefix: str = PREFIX) -> str:
        """A real number: eight digits behind `prefix`."""
        while True:
            tail = str(self._random.randrange(_FIRST, _END))
            if tail not in self._drawn and not any(tail in number for number in self._avoid):
                self._drawn.add(tail)
                return prefix + tail

    def count(self) -> int:
        """A number of nine digits that may stand where SIP has a count: a CSeq, a session id.

        A hundred are free behind it, for those that follow on it in a dialog; and none begins as a canary number does,
        whose first nine digits could else be taken for it.
        """
        while True:
            tail = str(self._random.randrange(_FIRST, _END, _FOLLOWING))
            if tail not in self._drawn and not f"1{tail}".startswith(PREFIX):
                self._drawn.add(tail)
                return int(f"1{tail}")

    def word(self) -> str:
        """Random letters that begin with zq: a name, a host, a tag."""
        while True:
            word = "zq" + "".join(self._random.choices(_LETTERS, k=WORD_LETTERS))
            if word not in self._drawn:
                self._drawn.add(word)
                return word
