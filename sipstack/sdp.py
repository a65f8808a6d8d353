"""A session description kept line by line: what is not rewritten leaves as it came (RFC 4566)."""

from __future__ import annotations

import re
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
