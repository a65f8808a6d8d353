"""A session description kept line by line: what is not rewritten leaves as it came (RFC 4566)."""

from __future__ import annotations

from typing import Final, final

from sipstack.errors import RemoteSipError

CONTENT_TYPE: Final = "application/sdp"

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
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    while lines and not lines[-1]:
        lines.pop()
    if not lines or lines[0] != b"v=0" or len(lines) > MAX_LINES:
        raise RemoteSipError("session description is malformed")
    origin_index = 0
    for index, line in enumerate(lines):
        if line[1:2] != b"=" or not b"a" <= line[:1] <= b"z" or b"\r" in line or b"\0" in line:
            raise RemoteSipError("session description is malformed")
        if line.startswith(b"o="):
            if origin_index:
                raise RemoteSipError("session description has two origins")
            origin_index = index
    if not origin_index:
        raise RemoteSipError("session description has no origin")
    return SessionDescription(lines, origin_index)


def render_sdp(lines: list[bytes]) -> bytes:
    """Joins lines with CRLF, the last one ended too (RFC 4566 §5)."""
    return b"\r\n".join(lines) + b"\r\n"
