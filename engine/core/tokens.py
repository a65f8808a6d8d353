"""Identifiers of ours: unguessable, alike for nobody, and without a digit.

A token of letters can never hold a number, so that no identifier needs a look by the number check
(decision 7). Randomness comes in as a function: the core asks no operating system.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

# 32 letters, five bits each; a byte maps to one of them without bias.
ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyzABCDEF"
LETTERS: Final = bytes(ALPHABET[octet % 32] for octet in range(256))

BRANCH_LETTERS: Final = 16  # 80 bits (RFC 3261 §8.1.1.7 asks for uniqueness, conformance for 64 random bits)
TAG_LETTERS: Final = 13  # 65 bits (RFC 3261 §19.3 asks for 32)
CALL_ID_LETTERS: Final = 20  # 100 bits
RECORD_LETTERS: Final = 12  # 60 bits, within one millisecond
ICID_LETTERS: Final = 20  # 100 bits (RFC 7315 §4.6: an icid-value is unique worldwide for a month)
_POOL_BYTES: Final = 4096
_NUMBER_POOL_BYTES: Final = 3 * 256

# Numbers of ours have nine digits, the first a 2, for as long as they can count (24 random bits, then 83 million
# steps). Shorter real numbers count as whole words only, no real number of nine digits begins with 2, and longer ones
# do not fit in. CSeq must start below 2**31 (§8.1.1.5).
FIRST_NUMBER: Final = 200_000_000


@final
class TokenSource:
    """Draws from `random_bytes(count)` a pool at a time: one system call for some hundred tokens."""

    __slots__ = ("_cookie", "_digits", "_digits_place", "_place", "_pool", "_random_bytes", "owner")

    def __init__(self, random_bytes: Callable[[int], bytes], owner: str = "") -> None:
        """`owner` is the letter of one of several workers: what its messages are known by begins with it."""
        self._random_bytes = random_bytes
        self.owner: Final = owner
        self._cookie: Final = f"z9hG4bK{owner}"
        self._pool = ""
        self._place = 0
        self._digits = b""
        self._digits_place = 0

    def letters(self, count: int) -> str:
        """A token of `count` letters."""
        place = self._place
        if place + count > len(self._pool):
            self._pool = self._random_bytes(max(count, _POOL_BYTES)).translate(LETTERS).decode("ascii")
            place = 0
        self._place = place + count
        return self._pool[place : place + count]

    def branch(self) -> str:
        """A branch with the magic cookie."""
        return self._cookie + self.letters(BRANCH_LETTERS)

    def tag(self) -> str:
        """A tag for From or To."""
        return self.owner + self.letters(TAG_LETTERS)

    def call_id(self) -> str:
        """A Call-ID without a host part: a host would tell where we are."""
        return self.owner + self.letters(CALL_ID_LETTERS)

    def first_cseq(self) -> int:
        """A random start for the sequence numbers of one dialog."""
        place = self._digits_place
        if place + 3 > len(self._digits):
            self._digits = self._random_bytes(_NUMBER_POOL_BYTES)
            place = 0
        self._digits_place = place + 3
        octets = self._digits
        return FIRST_NUMBER + (octets[place] << 16 | octets[place + 1] << 8 | octets[place + 2])

    def fraction(self) -> float:
        """At least 0, less than 1: what is done at random moments is spread by it."""
        return (self.first_cseq() - FIRST_NUMBER) / 2**24

    def session_id(self) -> int:
        """A session id for an SDP origin, and the start of its versions."""
        return self.first_cseq()
