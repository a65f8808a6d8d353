"""Which number of a pool a binding gets, where it names none: the order in which numbers are tried, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from engine.domain.gates import BLOCK_DIGITS

RANDOM: Final = "random"
STICKY: Final = "sticky"
LEAST_RECENTLY_USED: Final = "least_recently_used"
CHOICES: Final = (RANDOM, STICKY, LEAST_RECENTLY_USED)

BLOCK_SIZE: Final = 10_000
DRAWS: Final = 32  # before the numbers are gone through one by one

Draw = Callable[[int], int]  # a number from 0 up to, not including, the argument


def drawn(prefixes: Sequence[str], draw: Draw) -> Iterator[str]:
    """Some at random."""
    total = len(prefixes) * BLOCK_SIZE
    for _ in range(DRAWS if total else 0):
        yield numbered(prefixes, draw(total))


def one_by_one(prefixes: Sequence[str], draw: Draw) -> Iterator[str]:
    """Each once, from a random place on."""
    total = len(prefixes) * BLOCK_SIZE
    first = draw(total) if total else 0
    for step in range(total):
        yield numbered(prefixes, (first + step) % total)


def numbered(prefixes: Sequence[str], place: int) -> str:
    """The number at a place, blocks one behind the other."""
    return f"{prefixes[place // BLOCK_SIZE]}{place % BLOCK_SIZE:04d}"


def block_of(number: str) -> str:
    return number[:BLOCK_DIGITS]
