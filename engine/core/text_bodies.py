"""Texts on their way to the other party: the sender's own real number is masked in them."""

from __future__ import annotations

import re
from typing import Final

from engine.core.numbers import mask
from engine.core.spelling import LONG_FROM, fold, word_pattern

_BETWEEN: Final = re.compile(r"[\W_]+")
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")


def masked_text(body: bytes, number: str) -> bytes:
    """A text with every spelling of `number` masked: anything but letters between the digits, digits of other scripts.

    Only digits change, each into a `*`; a short number is masked where it stands as a word (`spelling`).
    """
    text, charset = _decoded(body)
    folded = fold(text)
    hidden = _short_places(folded, number) if len(number) < LONG_FROM else _long_places(folded, number)
    if not hidden:
        return body
    return "".join("*" if place in hidden else char for place, char in enumerate(text)).encode(charset)


def _decoded(body: bytes) -> tuple[str, str]:
    """The text and its charset: UTF-8, else GB 18030 if it comes out as it went in, else an octet a character."""
    for charset in ("utf-8", "gb18030"):
        try:
            text = body.decode(charset)
        except UnicodeDecodeError:
            continue
        if charset == "utf-8" or text.encode(charset) == body:
            return text, charset
    return body.decode("latin-1"), "latin-1"


def _shown(number: str) -> tuple[int, int]:
    """How many digits in front and at the end a mask leaves."""
    kept = mask(number)
    return kept.index("*"), len(kept) - kept.rindex("*") - 1


def _short_places(folded: str, number: str) -> set[int]:
    head, tail = _shown(number)
    return {
        place
        for match in word_pattern(number).finditer(folded)
        for place in range(match.start(1) + head, match.end(1) - tail)
    }


def _long_places(folded: str, number: str) -> set[int]:
    squeezed = _BETWEEN.sub("", folded)
    start = squeezed.find(number)
    if start < 0:
        return set()
    head, tail = _shown(number)
    places = [match.start() for match in _LETTER_OR_DIGIT.finditer(folded)]
    hidden: set[int] = set()
    while start >= 0:
        hidden.update(places[start + head : start + len(number) - tail])
        start = squeezed.find(number, start + 1)  # occurrences may overlap
    return hidden
