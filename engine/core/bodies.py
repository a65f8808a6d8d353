"""Bodies on their way to the other party: what is taken, and what is changed in it."""

from __future__ import annotations

import unicodedata
from typing import Final, final

from engine.core.numbers import SEPARATORS, mask
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE
from sipstack.sdp import parse_sdp, render_sdp

# Lines of a description that say who somebody is: information, URI, email, phone (RFC 4566 §5.4-5.6).
_IDENTITY_LINES: Final = (b"i=", b"u=", b"e=", b"p=")

# Key presses in INFO; no other body of INFO has a meaning that both ends could need from us.
INFO_TYPES: Final = ("application/dtmf-relay", "application/dtmf")
TEXT_TYPES: Final = ("text/plain",)


def media_type(message: Message) -> str:
    """The media type of the body in lower case, without parameters; "" when there is no body or no Content-Type."""
    value = message.value(h.CONTENT_TYPE)
    if value is None or not message.body:
        return ""
    return value.partition(";")[0].strip(" \t").lower()


def is_encoded(message: Message) -> bool:
    """True when the body is compressed or otherwise encoded: it cannot be looked into, so it is not taken."""
    value = message.value(h.CONTENT_ENCODING)
    return value is not None and value.lower() != "identity"


@final
class OriginRewriter:
    """The descriptions of one party as the other one sees them: our origin, its version rising with each change.

    `session_id` is ours, `address` the node's own (RFC 3264 §8: a changed description has a version one higher).
    """

    __slots__ = ("_address", "_last_origin", "_session_id", "_version")

    def __init__(self, session_id: int, address: str) -> None:
        self._session_id = session_id
        self._address = address
        self._version = session_id
        self._last_origin = b""

    def rewrite(self, body: bytes) -> bytes:
        """The description without what names its sender. Raises RemoteSipError when it is none."""
        description = parse_sdp(body)
        if description.origin != self._last_origin:
            if self._last_origin:
                self._version += 1
            self._last_origin = description.origin
        family = "IP6" if ":" in self._address else "IP4"
        origin = f"o=- {self._session_id} {self._version} IN {family} {self._address}".encode()
        lines: list[bytes] = []
        for line in description.lines:
            kind = line[:2]
            if kind == b"o=":
                lines.append(origin)
            elif kind == b"s=":
                lines.append(b"s=-")
            elif kind not in _IDENTITY_LINES:
                lines.append(line)
        return render_sdp(lines)


def crossing_sdp(message: Message, rewriter: OriginRewriter) -> bytes:
    """The body of a message that may carry a description or nothing. Raises RemoteSipError (415) for anything else."""
    if not message.body:
        return b""
    if media_type(message) != SDP_TYPE or is_encoded(message):
        raise RemoteSipError("body is no session description", 415)
    return rewriter.rewrite(message.body)


def masked_text(body: bytes, number: str) -> bytes:
    """A text with every spelling of `number` masked: separators between the digits, other scripts' digits.

    A body that is not UTF-8 comes back as it is; the number check of the gate still sees it.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    places: list[int] = []
    digits: list[str] = []
    chars = list(text)
    changed = False
    for place, char in enumerate(chars):
        value = unicodedata.decimal(char, None)
        if value is not None:
            places.append(place)
            digits.append(str(value))
        elif char not in SEPARATORS:
            changed |= _mask_run(chars, places, "".join(digits), number)
            places, digits = [], []
    changed |= _mask_run(chars, places, "".join(digits), number)
    return "".join(chars).encode("utf-8") if changed else body


def _mask_run(chars: list[str], places: list[int], digits: str, number: str) -> bool:
    """Masks the number within one run of digits; True when it stood there."""
    start = digits.find(number)
    if start < 0:
        return False
    kept = mask(number)
    head = kept.index("*")
    tail = len(kept) - kept.rindex("*") - 1
    while start >= 0:
        for place in places[start + head : start + len(number) - tail]:
            chars[place] = "*"
        start = digits.find(number, start + len(number))
    return True
