"""What of a message is copied from the other side, and whether a number hides in it in an encoding.

Rows and bodies that we write ourselves, of numbers and words that we know, can hold no encoding; they are not searched.
"""

from __future__ import annotations

from typing import Final

from engine.core.encodings import (
    holds_encoded,
    holds_encoded_word,
    holds_packed,
    holds_packed_in_hex,
    may_hold_encoded,
    may_hold_run,
    unescaped,
)
from engine.core.session_attributes import FORMATS
from engine.core.spelling import LONG_FROM, holds_number
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE

# Attributes that an answer repeats of its offer because the RFCs have it do so (RFC 3264 §6, 5888 §9, 8285, 8853). They
# are not searched: a guess in base64 as a=mid would come back, or not, and so tell whether it is right (decision 7).
_REPEATED: Final = FORMATS | {b"msid-semantic", b"setup"}

# Addresses, numbers and hashes, each in a grammar of its own, in which nobody reads a text: a phone that repeats lines
# which it does not understand repeats these, too, and a guess in hex would come back in the groups of an IPv6 address
# or the pairs of a hash. Digits as they are read are searched in them all the same (`session_bodies`).
_NO_TEXT: Final = frozenset((
    b"candidate", b"fingerprint", b"max-message-size", b"remote-candidates", b"ssrc-group",
))  # fmt: skip

_NOT_COPIED: Final = _REPEATED | _NO_TEXT


def text_hides(data: bytes, number: str) -> bool:
    """True when `number` (canonical digits) stands in a copied text or header value in an encoding or escaped."""
    meant = unescaped(data)
    if meant is not None and holds_number(meant, number):
        return True
    if len(number) < LONG_FROM:
        return holds_encoded_word(data, number)
    return may_hold_encoded(data) and (holds_encoded(data, number) or holds_packed_in_hex(data, number))


def body_hides(body: bytes, content_type: str, number: str) -> bool:
    """The same for a body, by what it is: a description, a text, or octets with a meaning of their own."""
    if content_type == SDP_TYPE:
        return _description_hides(body, number)
    if text_hides(body, number):
        return True
    return not content_type.startswith("text/") and len(number) >= LONG_FROM and holds_packed(body, number)


def _description_hides(body: bytes, number: str) -> bool:
    """Only in attributes that hold a text and that no answer repeats.

    Escapes mean nothing there, and short numbers are users or nothing.
    """
    copied = body[body.find(b"\r\na=") :]  # before it stand o=, ours and all digits, and the first addresses
    if len(number) < LONG_FROM or not may_hold_run(copied):
        return False
    return any(holds_encoded(line, number) for line in copied.split(b"\r\n") if _is_copied(line))


def _is_copied(line: bytes) -> bool:
    return line.startswith(b"a=") and line[2:].partition(b":")[0] not in _NOT_COPIED
