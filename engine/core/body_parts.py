"""Bodies of one part or several: which parts are taken, and when the message cannot be.

A part that is not read here never crosses. Where its sender lets a receiver leave it unread (handling=optional), it is
dropped and the rest goes on; else the message is refused (RFC 3261 §20.11: handling is required when nothing is said).
"""

from __future__ import annotations

from typing import Final, final

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.multipart import MAX_DEPTH, MAX_PARTS, UNENCODED, BodyPart, body_of, split_parts
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE

_NOT_TAKEN: Final = 415

# What a description is for: one for early media of its own (RFC 3959) is none of the session.
_SESSION: Final = ("", "session")


def says_more(message: Message) -> bool:
    """True when fields say more of a body than its type does: how it is encoded, or what it is for."""
    first = message.first
    return (
        first[h.CONTENT_DISPOSITION] is not None
        or first[h.CONTENT_ENCODING] is not None
        or first[h.CONTENT_TRANSFER_ENCODING] is not None
    )


def taken_parts(message: Message, types: tuple[str, ...]) -> list[BodyPart]:
    """The parts of a message of the media types `types`, in order; none when all that is there may be left unread.

    Raises RemoteSipError: 415 for a part of another type that must be read, 400 for a malformed multipart body.
    """
    body = body_of(message)
    if body.encodings == UNENCODED and not body.disposition and body.media_type in types:
        return [body]  # nearly always
    return _Reader(types).read(body, 1)


@final
class _Reader:
    """One body on its way through; counts the parts of all levels."""

    __slots__ = ("_left", "_types")

    def __init__(self, types: tuple[str, ...]) -> None:
        self._types = types
        self._left = MAX_PARTS

    def read(self, part: BodyPart, depth: int) -> list[BodyPart]:
        """What is taken of a part. Raises RemoteSipError when it is not and must be."""
        try:
            return self._read(part, depth)
        except RemoteSipError as error:
            if error.status_hint != _NOT_TAKEN or not part.is_optional:
                raise
            return []

    def _read(self, part: BodyPart, depth: int) -> list[BodyPart]:
        kind = part.media_type
        if not part.is_encoded:
            if kind.startswith("multipart/") and depth < MAX_DEPTH:
                return self._read_parts(part, kind, depth)
            if kind in self._types and (kind != SDP_TYPE or part.disposition_type in _SESSION):
                return [part]
        raise RemoteSipError("body is of a type that is not taken", _NOT_TAKEN)

    def _read_parts(self, body: BodyPart, kind: str, depth: int) -> list[BodyPart]:
        parts = split_parts(body, self._left)
        self._left -= len(parts)
        if kind == "multipart/alternative":
            return self._last_taken(parts, depth)
        return [taken for part in parts for taken in self.read(part, depth + 1)]

    def _last_taken(self, parts: list[BodyPart], depth: int) -> list[BodyPart]:
        """Of alternatives the last that can be taken is meant (RFC 2046 §5.1.4)."""
        for part in reversed(parts):
            try:
                taken = self._read(part, depth + 1)
            except RemoteSipError as error:
                if error.status_hint != _NOT_TAKEN:
                    raise
                continue
            if taken:
                return taken
        raise RemoteSipError("no alternative can be taken", _NOT_TAKEN)
