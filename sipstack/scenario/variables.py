"""Variables of a scenario: texts, numbers and yes or no, and what each counts for where another is wanted."""

from __future__ import annotations

import re
from typing import Final

Value = str | float | bool

# What strtod reads (C17 §7.22.1.3), blanks before it included.
_NUMBER: Final = re.compile(
    r"[ \t\n\r\f\v]*([+-]?(?:0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?\d+)?"
    r"|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]))"
)


def as_text(value: Value | None) -> str:
    """As `[$name]` writes it; nothing for one that is not set, which, as in SIPp, a number is not while it is 0."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not value:
        return ""
    return value if isinstance(value, str) else f"{value:f}"


def as_number(value: Value | None) -> float:
    """In arithmetic and comparisons: only a number is one, everything else counts 0."""
    return value if isinstance(value, float) else 0.0


def as_string(value: Value | None) -> str:
    """In comparisons of texts: only a text is one, everything else is empty."""
    return value if isinstance(value, str) else ""


def is_set(value: Value | None) -> bool:
    """For `test=` and `condexec=`: a text always, a number that is not 0, and yes."""
    if isinstance(value, str):
        return True
    return bool(value)


def to_number(value: Value | None) -> float | None:
    """`<todouble>`; None for what is none."""
    if value is None:
        return None
    return parse_number(value) if isinstance(value, str) else float(value)


def parse_number(text: str) -> float | None:
    """The number that the whole text is, as C reads it; an empty text is 0."""
    if not text:
        return 0.0
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    digits = found[1].lower()
    try:
        return float.fromhex(digits) if "0x" in digits else float(digits)
    except (OverflowError, ValueError):
        return None
