"""Bodies on their way to the other party: which are taken, and by whom each is made."""

from __future__ import annotations

import re
from typing import Final

from engine.core.body_parts import says_more, taken_parts
from engine.core.session_bodies import OriginRewriter
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.multipart import BodyPart
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE

_USUAL_TYPE: Final = f" {SDP_TYPE}"  # as it stands behind the colon

# Key presses in INFO; no other body of INFO has a meaning that both ends could need from us.
INFO_TYPES: Final = ("application/dtmf-relay", "application/dtmf")


def crossing_sdp(message: Message, rewriter: OriginRewriter) -> bytes:
    """The description that crosses of a message that may carry one; b"" when it carries nothing that must be read.

    It leaves as the only body, whatever stood beside it. Raises RemoteSipError: 415 for another body that must be read
    or for two descriptions, 400 for a malformed one.
    """
    if not message.body:
        return b""
    if message.first[h.CONTENT_TYPE] == _USUAL_TYPE and not says_more(message):
        return rewriter.rewrite(message.body, message)  # nearly always
    part = _only_part(message, (SDP_TYPE,))
    return b"" if part is None else rewriter.rewrite(part.content, message)


def _only_part(message: Message, types: tuple[str, ...]) -> BodyPart | None:
    parts = taken_parts(message, types)
    if len(parts) > 1:
        raise RemoteSipError("two bodies of a kind", 415)
    return parts[0] if parts else None


# -- key presses -------------------------------------------------------------------------------------------------------

# Signal and duration as Cisco and everybody after them write them; application/dtmf may hold the key alone.
_KEY: Final = rb"([0-9]{1,2}|[A-Da-d*#!])"
_KEY_PRESS: Final = re.compile(
    rb"\s*(?:Signal\s*[=:]\s*%b(?:\s+Duration\s*[=:]\s*([0-9]{1,5}))?|%b)\s*" % (_KEY, _KEY), re.IGNORECASE
)


def crossing_keys(message: Message) -> tuple[bytes, str]:
    """The key press of an INFO, written anew, and its media type; (b"", "") without a body.

    Raises RemoteSipError (415) for a body that is anything else and must be read.
    """
    part = _only_part(message, INFO_TYPES) if message.body else None
    if part is None:
        return b"", ""
    kind = part.media_type
    match = _KEY_PRESS.fullmatch(part.content)
    if match is None:
        raise RemoteSipError("INFO holds no key press", 415)
    signal, duration, key = match.groups()
    if key is not None:
        return bytes(key) + b"\r\n", kind
    lines = b"Signal=%b\r\n" % signal
    return lines + b"Duration=%b\r\n" % duration if duration else lines, kind
