"""Texts on their way to the other party: which are taken, and the sender's own real number masked in them."""

from __future__ import annotations

import re
from typing import Final

from engine.core.body_parts import taken_parts
from engine.core.numbers import mask
from engine.core.spelling import LONG_FROM, fold, word_pattern
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.multipart import BodyPart, join_parts

TEXT_TYPES: Final = ("text/plain",)

# Charsets in which an ASCII digit is its own octet.
_READABLE_CHARSETS: Final = ("utf-8", "us-ascii", "iso-8859-1", "gb2312", "gbk", "gb18030")

_BETWEEN: Final = re.compile(r"[\W_]+")
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")


def crossing_text(message: Message, hidden: str) -> tuple[bytes, str]:
    """The text of a MESSAGE and its Content-Type, both as they cross; (b"", "") without a body.

    Several texts stay several, in a multipart/mixed body of ours. `hidden` is masked in each, "" for nothing. Raises
    RemoteSipError: 415 when there is no text, or something else that must be read, 400 for a malformed body.
    """
    if not message.body:
        return b"", ""
    parts = taken_parts(message, TEXT_TYPES)
    if not parts:
        raise RemoteSipError("message holds no text", 415)
    texts = [(masked_text(part.content, hidden) if hidden else part.content, _text_type(part)) for part in parts]
    return texts[0] if len(texts) == 1 else join_parts(texts)


def _text_type(part: BodyPart) -> str:
    """The Content-Type of a text written anew. Raises RemoteSipError (415) when its charset cannot be looked into."""
    params = part.content_type.lower().replace(" ", "").replace("\t", "").split(";")[1:]
    for param in params:
        name, _, value = param.partition("=")
        if name == "charset":
            charset = value.strip('"')
            if charset not in _READABLE_CHARSETS:
                raise RemoteSipError("charset cannot be looked into", 415)
            return f"text/plain;charset={charset.upper()}"
    return "text/plain"


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
