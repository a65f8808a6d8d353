"""Bodies of several parts, read strictly and written anew (RFC 2046 §5.1, RFC 5621).

Strict, since parts are dropped by what they are: whoever finds a part where we find none would read what we dropped.
"""

from __future__ import annotations

import re
from typing import Final, final

from sipstack.errors import RemoteSipError
from sipstack.grammar import CONTROL
from sipstack.headers import CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TRANSFER_ENCODING, CONTENT_TYPE, header_id
from sipstack.message import ENCODING, ERRORS, Message

# Parts of one body on all levels together, and levels: SIP-I has two or three parts on one.
MAX_PARTS: Final = 32
MAX_DEPTH: Final = 4

# Header fields of one part; more describe nothing.
MAX_PART_LINES: Final = 32

_MAX_BOUNDARY_CHARS: Final = 70  # RFC 2046 §5.1.1
_BOUNDARY: Final = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"]*)"|([^";\s]*))', re.IGNORECASE)
_ALPHANUMERIC: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BOUNDARY_CHARS: Final = frozenset(_ALPHANUMERIC + "'()+_,-./:=? ")

# In letters: a boundary is in no text that anybody would write, and in no number.
_OUR_BOUNDARY: Final = b"boundary-of-parts"

# Content-Transfer-Encodings that leave the octets as they are (RFC 2045 §6.2).
_PLAIN_TRANSFER: Final = ("", "7bit", "8bit", "binary")

UNENCODED: Final = ("", "")


@final
class BodyPart:
    """One body, alone or as a part: what it says it is, and its octets.

    `content_type` and `disposition` are values as they came, "" when absent; `encodings` are the values of
    Content-Encoding and Content-Transfer-Encoding.
    """

    __slots__ = ("content", "content_type", "disposition", "encodings")

    def __init__(self, content_type: str, disposition: str, encodings: tuple[str, str], content: bytes) -> None:
        self.content_type = content_type
        self.disposition = disposition
        self.encodings = encodings
        self.content = content

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.content_type.partition(";")[0].strip(" \t").lower()

    @property
    def is_encoded(self) -> bool:
        """True when the octets are compressed or otherwise encoded."""
        coding, transfer = self.encodings
        return any(name.strip(" \t") not in ("", "identity") for name in coding.lower().split(",")) or any(
            name.strip(" \t") not in _PLAIN_TRANSFER for name in transfer.lower().split(",")
        )

    @property
    def is_optional(self) -> bool:
        """True when its sender says that a receiver may leave it unread (RFC 3261 §20.11: it must not, by default)."""
        return any(
            name.strip(" \t") == "handling" and value.strip(" \t").strip('"') == "optional"
            for name, _, value in (param.partition("=") for param in self.disposition.lower().split(";")[1:])
        )

    @property
    def disposition_type(self) -> str:
        """What it is for ("session", "render"), in lower case; "" when its sender does not say."""
        return self.disposition.partition(";")[0].strip(" \t").lower()


def body_of(message: Message) -> BodyPart:
    """The body of a message as the only part."""
    encodings = UNENCODED
    if message.first[CONTENT_ENCODING] is not None or message.first[CONTENT_TRANSFER_ENCODING] is not None:
        encodings = ",".join(message.values(CONTENT_ENCODING)), ",".join(message.values(CONTENT_TRANSFER_ENCODING))
    disposition = message.value(CONTENT_DISPOSITION) or ""
    return BodyPart(message.value(CONTENT_TYPE) or "", disposition, encodings, message.body)


def split_parts(body: BodyPart, budget: int = MAX_PARTS) -> list[BodyPart]:
    """The parts of a multipart body, in order; preamble and epilogue are left out (RFC 2046 §5.1.1).

    Raises RemoteSipError (400) when the boundary is missing, malformed or never closed, when there are more than
    `budget` parts, or when the header of one is malformed.
    """
    delimiter = b"\r\n--" + _boundary(body.content_type)
    content = b"\r\n" + body.content
    if not 1 <= content.count(delimiter) - 1 <= budget:
        raise RemoteSipError("multipart body has no part, no end or too many parts")
    pieces = content.split(delimiter)[1:]
    last = pieces.pop()
    if not last.startswith(b"--") or last[2:].partition(b"\r\n")[0].strip(b" \t"):
        raise RemoteSipError("multipart body does not end")
    return [_part(piece) for piece in pieces]


def _boundary(content_type: str) -> bytes:
    """The boundary parameter (RFC 2046 §5.1.1). Raises RemoteSipError when there is none, or two to choose from."""
    found = _BOUNDARY.findall(content_type)
    if len(found) != 1:
        raise RemoteSipError("multipart body has no boundary, or two")
    quoted, token = found[0]
    boundary: str = quoted or token
    if not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARS or not _BOUNDARY_CHARS.issuperset(boundary) or boundary[-1] == " ":
        raise RemoteSipError("boundary is malformed")
    return boundary.encode("ascii")


def _part(piece: bytes) -> BodyPart:
    """A part as it stands behind its delimiter: white space, the header, an empty line, the octets."""
    padding, line_end, rest = piece.partition(b"\r\n")
    if not line_end or padding.strip(b" \t"):
        raise RemoteSipError("a delimiter goes on")  # a longer boundary begins with ours: two ways to read it
    head, line_end, content = (b"", b"\r\n", rest[2:]) if rest.startswith(b"\r\n") else rest.partition(b"\r\n\r\n")
    found = _fields(head) if head else {}
    encodings = found.get(CONTENT_ENCODING, ""), found.get(CONTENT_TRANSFER_ENCODING, "")
    return BodyPart(found.get(CONTENT_TYPE, "text/plain"), found.get(CONTENT_DISPOSITION, ""), encodings, content)


_READ: Final = (CONTENT_TYPE, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TRANSFER_ENCODING)


def _fields(head: bytes) -> dict[int, str]:
    """The fields that say what a part is. One of them twice, or a line that is no field, is an error."""
    unfolded = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    lines = unfolded.decode(ENCODING, ERRORS).split("\r\n")
    if len(lines) > MAX_PART_LINES:
        raise RemoteSipError("a part has too many header fields")
    found: dict[int, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or CONTROL.search(line) is not None:
            raise RemoteSipError("header of a part is malformed")
        number = header_id(name)
        if number in found:
            raise RemoteSipError("a field of a part is repeated")
        if number in _READ:
            found[number] = value.strip(" \t")
    return found


def join_parts(parts: list[tuple[bytes, str]]) -> tuple[bytes, str]:
    """Octets and their types as one multipart/mixed body -> (body, Content-Type), with a boundary of ours.

    Raises RemoteSipError when the parts leave no boundary.
    """
    boundary = _OUR_BOUNDARY
    while any(b"--" + boundary in content for content, _ in parts):
        boundary += b"x"
        if len(boundary) > _MAX_BOUNDARY_CHARS:
            raise RemoteSipError("parts leave no boundary")
    rows = [b"--%b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (boundary, kind.encode(), content) for content, kind in parts]
    return b"".join(rows) + b"--%b--\r\n" % boundary, f"multipart/mixed;boundary={boundary.decode()}"
