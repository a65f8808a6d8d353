"""Identifiers of ours: letters only, all different, and numbers in which no real number fits."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.numbers import canonical_real
from engine.core.spelling import LONG_FROM, holds_number
from engine.core.tokens import BRANCH_LETTERS, CALL_ID_LETTERS, TAG_LETTERS, TokenSource
from sipstack.fields import SEQUENCE_LIMIT
from sipstack.grammar import CALL_ID, TOKEN

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEF")
DRAWN = 100_000


def source() -> TokenSource:
    return TokenSource(random.Random(700).randbytes)


def test_every_kind_is_letters_only() -> None:
    tokens = source()
    for _ in range(1000):
        assert set(tokens.tag()) <= LETTERS and set(tokens.call_id()) <= LETTERS
        branch = tokens.branch()
        assert branch.startswith("z9hG4bK") and set(branch[7:]) <= LETTERS


def test_lengths_hold_the_bits_that_are_asked_for() -> None:
    """Five bits a letter: RFC 3261 §19.3 wants 32 for a tag, conformance 41 wants 64 for a branch."""
    tokens = source()
    assert (len(tokens.tag()), len(tokens.branch()) - 7, len(tokens.call_id())) == (
        TAG_LETTERS,
        BRANCH_LETTERS,
        CALL_ID_LETTERS,
    )
    assert TAG_LETTERS * 5 >= 64 and BRANCH_LETTERS * 5 >= 64 and CALL_ID_LETTERS * 5 >= 64


def test_they_are_what_their_fields_allow() -> None:
    tokens = source()
    assert TOKEN.fullmatch(tokens.tag()) and TOKEN.fullmatch(tokens.branch()) and CALL_ID.fullmatch(tokens.call_id())


@pytest.mark.parametrize("kind", ["tag", "branch", "call_id"])
def test_no_two_are_alike(kind: str) -> None:
    tokens = TokenSource(os.urandom)
    drawn = {getattr(tokens, kind)() for _ in range(DRAWN)}
    assert len(drawn) == DRAWN


def test_letters_are_all_alike_frequent() -> None:
    """A byte maps to one of 32 letters without bias: the rarest and the commonest of 800,000 are within 5 %."""
    tokens = source()
    counts = Counter("".join(tokens.letters(20) for _ in range(40_000)))
    assert set(counts) == LETTERS
    assert max(counts.values()) < min(counts.values()) * 1.05


def test_one_dialog_says_nothing_about_the_next() -> None:
    """Tokens drawn one after the other share no letters at the same place beyond chance (1 in 32)."""
    tokens = source()
    pairs = [(tokens.tag(), tokens.tag()) for _ in range(10_000)]
    alike = sum(a == b for one, two in pairs for a, b in zip(one, two, strict=True))
    assert 0.028 < alike / (10_000 * TAG_LETTERS) < 0.035


def test_no_letter_is_used_twice() -> None:
    """Across the end of the pool too: all that is handed out comes from other bytes."""
    drawn: list[int] = []

    def count(size: int) -> bytes:
        drawn.append(size)
        return os.urandom(size)

    tokens = TokenSource(count)
    handed = sum(len(tokens.letters(13)) for _ in range(2000))
    assert handed == 13 * 2000 <= sum(drawn)
    assert len(drawn) <= 2 + handed // 4000  # and a pool serves some hundred tokens


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30))
def test_a_token_has_the_length_that_was_asked_for(sizes: list[int]) -> None:
    tokens = TokenSource(bytes)
    assert [len(tokens.letters(size)) for size in sizes] == sizes


def test_letters_come_from_the_bytes_drawn() -> None:
    assert TokenSource(bytes).letters(3) == "aaa"
    assert TokenSource(lambda count: bytes([31, 32, 255]) * count).letters(3) == "FaF"


@pytest.mark.parametrize(("octets", "expected"), [(b"\0\0\0", 200_000_000), (b"\xff\xff\xff", 216_777_215)])
def test_range_of_numbers(octets: bytes, expected: int) -> None:
    tokens = TokenSource(lambda count: octets)
    assert tokens.first_cseq() == tokens.session_id() == expected < SEQUENCE_LIMIT


def test_numbers_differ() -> None:
    tokens = TokenSource(os.urandom)
    assert len({tokens.first_cseq() for _ in range(1000)}) > 990
    assert tokens.session_id() != tokens.session_id()


@given(st.integers(200_000_000, 299_999_999), st.from_regex(r"[1-9][0-9]{2,19}", fullmatch=True))
def test_no_real_number_fits_into_a_number_of_ours(ours: int, number: str) -> None:
    """As long as it counts up: neither drawn numbers nor parts of ours that would be real numbers by themselves."""
    digits = str(ours)
    parts = {digits[at : at + size] for size in range(3, 10) for at in range(10 - size)}
    for candidate in (*parts, number):
        if canonical_real(candidate) == candidate:
            assert not holds_number(f"CSeq: {digits} INVITE".encode(), candidate)


def test_nine_digits_that_begin_with_two_are_nobodys() -> None:
    assert len("2" * LONG_FROM) == 9
    step = 9973
    assert all(canonical_real(str(ours)) is None for ours in range(200_000_000, 300_000_000, step))
