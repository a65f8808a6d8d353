"""Texts on their way to the other party: which are taken, and the sender's own real number masked in them."""

from __future__ import annotations

import re
from typing import Final

from engine.core.body_parts import says_more, taken_parts
from engine.core.numbers import mask
from engine.core.plain_texts import is_plain_text
from engine.core.spelling import LONG_FROM, fold, word_pattern
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.multipart import BodyPart, join_parts

TEXT_TYPES: Final = ("text/plain",)

# Charsets in which an ASCII digit is its own octet.
_READABLE_CHARSETS: Final = ("utf-8", "us-ascii", "iso-8859-1", "gb2312", "gbk", "gb18030")

# Octets that no text in these begins with, and by which a program takes it for UTF-16 or UTF-32 whatever it says.
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_MARKING: Final = (0xFF, 0xFE, 0)  # the first octet of any

# How they are written.
_TYPE_OF: Final = {"": "text/plain", **{name: f"text/plain;charset={name.upper()}" for name in _READABLE_CHARSETS}}
TYPES: Final = tuple(_TYPE_OF.values())

# Nearly every Content-Type: the charset of each, by the value as it stands behind the colon.
_USUAL_CHARSETS: Final = {
    " text/plain": "",
    **{
        f" text/plain;{space}charset={spelling}": name
        for name in _READABLE_CHARSETS
        for spelling in (name, name.upper())
        for space in ("", " ")
    },
}

_NO_DIGIT: Final = bytes(octet for octet in range(256) if not 0x30 <= octet <= 0x39)
_BETWEEN: Final = re.compile(r"[\W_]+")
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")


def crossing_text(message: Message, hidden: str, spellings: tuple[str, ...] = ()) -> tuple[bytes, str]:
    """The text of a MESSAGE and its Content-Type, both as they cross; (b"", "") without a body.

    Several texts stay several, in a multipart/mixed body of ours. `hidden` is masked in each, "" for nothing,
    and so are other spellings of it. Raises
    RemoteSipError: 415 when there is no text, or something else that must be read, 400 for a malformed body.
    """
    if not message.body:
        return b"", ""
    charset = _usual_charset(message)
    if charset is not None:  # nearly always
        return _crossing_text(message.body, charset, hidden, spellings)
    parts = taken_parts(message, TEXT_TYPES)
    if not parts:
        raise RemoteSipError("message holds no text", 415)
    texts = [_crossing_text(part.content, _charset(part), hidden, spellings) for part in parts]
    return texts[0] if len(texts) == 1 else join_parts(texts)


def _usual_charset(message: Message) -> str | None:
    """The charset of a body that is one text, "" where it names none; None where more is to be read to know that."""
    if says_more(message):
        return None
    return _USUAL_CHARSETS.get(message.first[h.CONTENT_TYPE] or "")


def _crossing_text(content: bytes, charset: str, hidden: str, spellings: tuple[str, ...]) -> tuple[bytes, str]:
    if content and content[0] in _MARKING and content.startswith(_UTF_16_MARKS):
        raise RemoteSipError("text is in another charset than it says", 415)
    if hidden:
        content = masked_text(content, hidden, charset)
    for number in spellings:
        content = masked_text(content, number, charset)
    return content, _TYPE_OF[charset]


def _charset(part: BodyPart) -> str:
    """The charset that a text says it is in, "" for none. Raises RemoteSipError (415) when it cannot be looked into."""
    if ";" not in part.content_type:
        return ""
    params = part.content_type.lower().replace(" ", "").replace("\t", "").split(";")[1:]
    for param in params:
        name, _, value = param.partition("=")
        if name == "charset":
            charset = value.strip('"')
            if charset not in _READABLE_CHARSETS:
                raise RemoteSipError("charset cannot be looked into", 415)
            return charset
    return ""


def masked_text(body: bytes, number: str, charset: str = "") -> bytes:
    """A text with every spelling of `number` masked: anything but letters between the digits, digits of other scripts.

    Only digits change, each into a `*`; a short number is masked where it stands as a word (`spelling`). `charset` is
    what the text says of itself, which its receiver will believe.
    """
    if len(number) >= LONG_FROM and (is_plain_text(body) or (body.isascii() and not _has_digits(body, number))):
        return body  # nearly always in Latin letters: all of these charsets read it alike
    for codec, errors in _readings(body, charset):
        body = _masked(body, number, codec, errors)
    return body


def _masked(body: bytes, number: str, codec: str, errors: str) -> bytes:
    text = body.decode(codec, errors)
    folded = fold(text)
    hidden = _short_places(folded, number) if len(number) < LONG_FROM else _long_places(folded, number)
    if not hidden:
        return body
    return "".join("*" if place in hidden else char for place, char in enumerate(text)).encode(codec, errors)


# What a text is read as first, by the charset that it names; UTF-8 for all others.
_CODECS: Final = {"iso-8859-1": "latin-1", "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030"}

# A text that is not in its charset is masked in each of these: whoever shows it shows something for what is no
# character, and the digits around it. Octets of one charset may be others in another: "\u4e00", a one, is a Cyrillic
# letter when GBK is read as UTF-8.
_WHATEVER: Final = (("utf-8", "surrogateescape"), ("gb18030", "surrogateescape"), ("latin-1", "strict"))


def _readings(body: bytes, charset: str) -> tuple[tuple[str, str], ...]:
    """How a text is read, as codecs and what they do about errors: those by which it comes out as it went in."""
    usual = (_CODECS.get(charset, "utf-8"), "strict")
    if _is_whole(body, *usual):
        return (usual,)
    return tuple([reading for reading in _WHATEVER if _is_whole(body, *reading)])


def _is_whole(body: bytes, codec: str, errors: str) -> bool:
    try:
        return body.decode(codec, errors).encode(codec, errors) == body
    except UnicodeError:
        return False


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
        if folded[place].isdigit()
    }


def _has_digits(text: bytes, number: str) -> bool:
    """False when the digits of `number` do not follow one another in `text`, whatever stands between: nearly always."""
    return text.translate(None, _NO_DIGIT).find(number.encode("ascii")) >= 0


def _long_places(folded: str, number: str) -> set[int]:
    if not _has_digits(folded.encode("ascii", "ignore"), number):
        return set()
    squeezed = _BETWEEN.sub("", folded)
    start = squeezed.find(number)
    head, tail = _shown(number)
    places = [match.start() for match in _LETTER_OR_DIGIT.finditer(folded)]
    hidden: set[int] = set()
    while start >= 0:
        hidden.update(places[start + head : start + len(number) - tail])
        start = squeezed.find(number, start + 1)  # occurrences may overlap
    return hidden
