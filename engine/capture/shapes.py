"""What looks like a real number among digits, whosever it may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from engine.capture.known import Known
from engine.capture.pseudonyms import looks_like_imsi
from engine.core.numbers import REAL, is_privacy_number, read_number
from engine.core.settings import NumberFormat
from engine.core.spelling import BETWEEN_DIGITS, LONG_FROM

Span = tuple[int, int]  # first digit and the one behind the last

_MOBILE: Final = re.compile(r"1[3-9][0-9]{9}")
_PRIVACY: Final = re.compile(r"(?:86|0086)?(700[0-9]{12})")

# Digits that follow one another; in text of two octets a character each has a zero beside it.
RUN: Final = re.compile(rf"[0-9](?:\0?[0-9]){{{LONG_FROM - 1},}}")

# The same with all that the gate takes out.
_TAKEN_OUT: Final = BETWEEN_DIGITS.decode("ascii")
WITHOUT_PARTS: Final = str.maketrans("", "", _TAKEN_OUT)
PARTED_RUN: Final = re.compile(rf"[0-9](?:[{re.escape(_TAKEN_OUT)}]*[0-9]){{{LONG_FROM - 1},}}")

# Numbers in groups, as people write them. Without a country code or trunk 0 nothing else tells a landline.
_BETWEEN: Final = r"[-. ()/\t]{0,3}"
_COUNTRY: Final = rf"(?:\(?(?:\+|00)?86{_BETWEEN})"
GROUPED: Final = re.compile(
    rf"(?<![0-9])(?<![0-9][.]){_COUNTRY}?0?{_BETWEEN}1{_BETWEEN}[3-9](?:{_BETWEEN}[0-9]){{9}}(?![0-9])"
    rf"|(?<![0-9])(?<![0-9][.])(?:{_COUNTRY}|0|\(0)[0-9]{{2,3}}[-. ()/\t]{{1,3}}[0-9]{{3,4}}[-. ]?[0-9]{{4}}(?![0-9])"
)
_QUAD: Final = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}[0-9]{1,3}")
_DIGIT: Final = re.compile(r"[0-9]")


def spans_of_run(digits: str, known: Known) -> Iterator[Span]:
    """The real numbers in digits that follow one another: those that are known, then what has the shape of one.

    A 700 number is none, whatever stands in it. What is one from end to end, prefixes aside, becomes known.
    """
    yield from known_spans(digits, known)
    if _PRIVACY.fullmatch(digits):
        return
    if looks_like_imsi(digits):
        yield 0, len(digits)
        return
    dialled = read_number(digits, NumberFormat.PREFIX86)
    if dialled.kind is REAL:
        if len(dialled.number) >= LONG_FROM:
            known.add(dialled.number)
            yield len(digits) - len(dialled.number), len(digits)
        return
    for found in _MOBILE.finditer(digits):
        yield found.span()


def known_spans(digits: str, known: Known, shortest: int = LONG_FROM) -> Iterator[Span]:
    """The places of numbers that are known, of so many digits or more."""
    if is_privacy_number(digits):
        return
    count = len(digits)
    for length in known.lengths:
        if length >= shortest:
            for start in range(count - length + 1):
                if digits[start : start + length] in known:
                    yield start, start + length


def places_of(text: str, span: Span) -> list[int]:
    """Where the digits of a part of a text stand."""
    return [at.start() for at in _DIGIT.finditer(text, *span)]


def grouped_places(text: str) -> Iterator[list[int]]:
    """The places of the digits of each number that stands in groups in a text that people read."""
    for found in GROUPED.finditer(text):
        places = places_of(text, found.span())
        if _QUAD.fullmatch(text, places[0], places[-1] + 1):
            continue
        dialled = read_number("".join([text[place] for place in places]), NumberFormat.PREFIX86)
        if dialled.kind is REAL and len(dialled.number) >= LONG_FROM:
            yield places[-len(dialled.number) :]
