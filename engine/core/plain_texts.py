"""A text in which no number can stand, told in one look: nearly every one.

What it says is of numbers of nine digits and more, however they are written: as digits, whatever stands between them,
and in each encoding and escape that `encodings` and `spelling` know. Shorter ones stand in texts by chance.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from engine.core.encodings import NUMBER_LETTERS, may_hold_encoded
from engine.core.spelling import LONG_FROM

# What may mean another octet or be a digit of another script: escapes, and whatever is not ASCII.
_REFUSED: Final = rb"%&=\\\x80-\xff"
_FEW_DIGITS: Final = re.compile(rb"[^0-9%b]*+(?:[0-9][^0-9%b]*+){0,%d}" % (_REFUSED, _REFUSED, LONG_FROM - 1))

# The same for who looks in C: 1 a letter of an encoding, 2 a digit, which is one too, 4 what is refused.
KINDS: Final = bytes(
    (chr(octet) in NUMBER_LETTERS) | 2 * (0x30 <= octet <= 0x39) | 4 * (octet > 0x7F or octet in b"%&=\\")
    for octet in range(256)
)


def _compiled() -> Callable[[bytes, bytes], bool] | None:
    """The look, where the build has compiled it."""
    try:
        from sipstack.head_scan import has_few_digits
    except ImportError:
        return None
    return has_few_digits


_IN_C: Final = _compiled()


def is_plain_text(text: bytes) -> bool:
    """True for a text that can hold nobody's number: too few digits, nothing escaped, no letters that encode one.

    Where nothing is compiled none is told: in Python the look takes as long as the searches that it spares.
    """
    return _IN_C is not None and _IN_C(text, KINDS)


def read_is_plain_text(text: bytes) -> bool:
    """What the look in C means."""
    return _FEW_DIGITS.fullmatch(text) is not None and not may_hold_encoded(text)
