"""A session description kept line by line: what is not rewritten leaves as it came (RFC 4566)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, final

from sipstack.errors import RemoteSipError

CONTENT_TYPE: Final = "application/sdp"

# A line that is no small letter and "=": the first one is judged by itself.
_BAD_LINE: Final = re.compile(rb"\n(?![a-z]=)")

# As numbers: bytes are first taken for one when they are searched for, which costs more than the search.
_CR: Final = 13
_NUL: Final = 0

# A description of more lines than this describes nothing that a phone would do.
MAX_LINES: Final = 2000

# Nearly every c= line, b= line (RFC 4566 §5.8, 3556, 3890: below a hundred Mbit/s) and m= line.
USUAL_CONNECTION: Final = rb"c=IN IP4 (?:[0-9]{1,3}\.){3}[0-9]{1,3}"
USUAL_BANDWIDTH: Final = rb"b=(?:AS|CT|RR|RS|TIAS):[0-9]{1,8}"
USUAL_MEDIA: Final = rb"m=[a-z]{1,6} [0-9]{1,5} [A-Z/]{1,8}(?: [0-9]{1,3})+"

# Nearly every description is of one medium. Groups: the value of o=, from c= or t= to the lines below m=, attributes.
_USUAL_LINES: Final = rb"(?:%b\r\n)?(?:%b\r\n){0,4}t=0 0\r\n%b\r\n(?:%b\r\n)?(?:%b\r\n){0,4}" % (
    (USUAL_CONNECTION, USUAL_BANDWIDTH, USUAL_MEDIA, USUAL_CONNECTION, USUAL_BANDWIDTH)
)
_USUAL: Final = re.compile(rb"v=0\r\no=([^\0\r\n]*)\r\ns=[^\0\r\n]*\r\n(%b)(.*)" % _USUAL_LINES, re.DOTALL)

# The same with an origin that names nobody.
_PLAIN: Final = re.compile(rb"v=0\r\no=- [0-9]+ [0-9]+ IN IP4 [0-9.]+\r\ns=-\r\n%b(.*)" % _USUAL_LINES, re.DOTALL)


@final
class SessionDescription:
    """The lines of a description, without line ends. The first is `v=0`, one is the origin."""

    __slots__ = ("lines", "origin_index")

    def __init__(self, lines: list[bytes], origin_index: int) -> None:
        self.lines = lines
        self.origin_index = origin_index

    @property
    def origin(self) -> bytes:
        """The value of the o= line."""
        return self.lines[self.origin_index][2:]


def parse_sdp(body: bytes) -> SessionDescription:
    """Splits a body. Lines may end in LF alone (RFC 4566 §5 asks parsers to take it).

    Raises RemoteSipError when it does not start with v=0, a line is not a small letter and "=", or o= is missing or
    doubled. Strict, since we drop lines by their letter: "I=" is nothing to us, and may be i= to another reader.
    """
    text, end = body, len(body) - 1  # the last octet is the LF of the last line
    lines = body.splitlines()
    if not lines or not lines[-1] or sum(map(len, lines)) + 2 * len(lines) != len(body):  # not all of them end in CRLF
        text = body.replace(b"\r\n", b"\n").rstrip(b"\n")
        end = len(text)
        lines = text.split(b"\n")
        if _CR in text:
            raise RemoteSipError("session description is malformed")
    if lines[0] != b"v=0" or len(lines) > MAX_LINES or _NUL in text or _BAD_LINE.search(text, 0, end):
        raise RemoteSipError("session description is malformed")
    origins = text.count(b"\no=")
    if origins != 1:
        raise RemoteSipError(f"session description has {'two origins' if origins else 'no origin'}")
    if lines[1].startswith(b"o="):
        return SessionDescription(lines, 1)  # nearly always: where RFC 4566 §5 has it
    return SessionDescription(lines, text.count(b"\n", 0, text.index(b"\no=")) + 1)


def render_sdp(lines: list[bytes]) -> bytes:
    """Joins lines with CRLF, the last one ended too (RFC 4566 §5)."""
    return b"\r\n".join(lines) + b"\r\n"


# -- descriptions as nearly every phone writes them --------------------------------------------------------------------

Parts = tuple[bytes, bytes, bytes]


def read_usual_parts(body: bytes) -> Parts | None:
    """Of a description of one medium: the value of o=, all that stands behind s=, and of that the attributes.

    None where it is not written as nearly always: its lines say what it is, then.
    """
    usual = _USUAL.fullmatch(body)
    if usual is None:
        return None
    origin, media, attributes = usual.groups()
    return origin, media + attributes, attributes


def read_plain_attributes(body: bytes) -> bytes | None:
    """The attributes of such a description where no name stands before them: o= has none, nor has s=. Else None."""
    plain = _PLAIN.fullmatch(body)
    return None if plain is None else plain[1]


def _looks() -> tuple[Callable[[bytes], Parts | None], Callable[[bytes], bytes | None]]:
    """What does the same, where the build has compiled it: an expression costs ten times as much."""
    try:
        from sipstack.head_scan import plain_attributes, usual_parts
    except ImportError:
        return read_usual_parts, read_plain_attributes
    return usual_parts, plain_attributes


_LOOKS: Final = _looks()
usual_parts: Final = _LOOKS[0]
plain_attributes: Final = _LOOKS[1]
