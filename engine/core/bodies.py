"""Bodies on their way to the other party: which are taken, and by whom each is made."""

from __future__ import annotations

import re
from typing import Final

from engine.core.session_bodies import OriginRewriter
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE

# Key presses in INFO; no other body of INFO has a meaning that both ends could need from us.
INFO_TYPES: Final = ("application/dtmf-relay", "application/dtmf")
TEXT_TYPES: Final = ("text/plain",)

# Content-Transfer-Encodings that leave the octets as they are (RFC 2045 §6.2).
_PLAIN_TRANSFER: Final = ("7bit", "8bit", "binary")


def media_type(message: Message) -> str:
    """The media type of the body in lower case, without parameters; "" when there is no body or no Content-Type."""
    value = message.value(h.CONTENT_TYPE)
    if value is None or not message.body:
        return ""
    if value == SDP_TYPE:
        return SDP_TYPE
    return value.partition(";")[0].strip(" \t").lower()


def is_encoded(message: Message) -> bool:
    """True when the body is compressed or otherwise encoded: it cannot be looked into, so it is not taken."""
    if message.first[h.CONTENT_ENCODING] is None and message.first[h.CONTENT_TRANSFER_ENCODING] is None:
        return False
    encodings = ",".join(message.values(h.CONTENT_ENCODING)).lower().split(",")
    transfers = ",".join(message.values(h.CONTENT_TRANSFER_ENCODING)).lower().split(",")
    return any(name.strip(" \t") not in ("", "identity") for name in encodings) or any(
        name.strip(" \t") not in ("", *_PLAIN_TRANSFER) for name in transfers
    )


def crossing_sdp(message: Message, rewriter: OriginRewriter) -> bytes:
    """The body of a message that may carry a description or nothing. Raises RemoteSipError (415) for anything else."""
    if not message.body:
        return b""
    if media_type(message) != SDP_TYPE or is_encoded(message):
        raise RemoteSipError("body is no session description", 415)
    return rewriter.rewrite(message.body, message)


# -- key presses -------------------------------------------------------------------------------------------------------

# Signal and duration as Cisco and everybody after them write them; application/dtmf may hold the key alone.
_KEY: Final = rb"([0-9]{1,2}|[A-Da-d*#!])"
_KEY_PRESS: Final = re.compile(
    rb"\s*(?:Signal\s*[=:]\s*%b(?:\s+Duration\s*[=:]\s*([0-9]{1,5}))?|%b)\s*" % (_KEY, _KEY), re.IGNORECASE
)


def crossing_keys(message: Message) -> tuple[bytes, str]:
    """The key press of an INFO, written anew, and its media type; (b"", "") without a body.

    Raises RemoteSipError (415) for a body that is anything else.
    """
    if not message.body:
        return b"", ""
    kind = media_type(message)
    match = _KEY_PRESS.fullmatch(message.body)
    if kind not in INFO_TYPES or is_encoded(message) or match is None:
        raise RemoteSipError("INFO holds no key press", 415)
    signal, duration, key = match.groups()
    if key is not None:
        return bytes(key) + b"\r\n", kind
    lines = b"Signal=%b\r\n" % signal
    return lines + b"Duration=%b\r\n" % duration if duration else lines, kind
