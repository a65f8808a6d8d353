"""Bytes of a stream, in whatever pieces they come -> the bytes of each message (RFC 3261 §18.3, §20.14).

On a stream nothing but Content-Length says where a message ends. A head that does not say it beyond doubt loses the
framing: what stands behind it may be a body or another request, and nobody can tell. That head is handed up, so that
it gets its 400 from the parser, 513 when it is too long, and nothing is read any more (RFC 4475 §3.1.2.3, §3.3.9).
"""

from __future__ import annotations

import re
from typing import Final, final

from sipstack.grammar import TOKEN
from sipstack.limits import MAX_HEAD_BYTES, MAX_STREAM_BODY_BYTES
from sipstack.parser import FOLDED_NAME, unfolded_lines

_END_OF_HEAD: Final = b"\r\n\r\n"
_MAX_HEAD_AND_END: Final = MAX_HEAD_BYTES + len(_END_OF_HEAD)
_LINE_ENDS: Final = re.compile(rb"[\r\n]*+")

# How nearly everybody writes it. It is looked for in the lower-case head.
_USUAL: Final = b"\r\ncontent-length: "
_USUAL_NAME: Final = b"content-length"
_COMPACT: Final = b"\r\nl"
_MAX_DIGITS: Final = 10


@final
class StreamFramer:
    """The framing of one connection.

    `fault` is what has made it lose the framing, "" while it has it. `pongs` counts the single CRLFs that are owed for
    the double ones that came between messages (RFC 5626 §3.5.1); whoever sends them takes them off.
    """

    __slots__ = ("_blanks", "_partial", "_searched", "_wanted", "fault", "pongs")

    def __init__(self) -> None:
        self._partial = bytearray()  # of a message that has begun
        self._searched = 0  # octets of it in which no head ends
        self._wanted = 0  # its octets, once its head is there
        self._blanks = 0  # line ends behind the last message
        self.fault = ""
        self.pongs = 0

    @property
    def held(self) -> int:
        """Octets of a message that has begun and has not ended."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole with these octets; the last one may be the head that has lost the framing.

        Takes time in proportion to what it is given, and keeps no more than one message.
        """
        if self.fault:
            return []
        if self._partial:
            self._partial += data
            if not self._may_be_whole():
                return []
            data = bytes(self._partial)
            self._partial = bytearray()
        return self._cut(data)

    def _may_be_whole(self) -> bool:
        partial = self._partial
        if self._wanted:
            return len(partial) >= self._wanted
        found = partial.find(_END_OF_HEAD, max(self._searched - 3, 0))
        self._searched = len(partial)
        return found >= 0 or len(partial) >= _MAX_HEAD_AND_END

    def _cut(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        end = len(data)
        at = self._message_start(data, 0)
        while at < end:
            head_end = data.find(_END_OF_HEAD, at, at + _MAX_HEAD_AND_END)
            if head_end < 0:
                if end - at >= _MAX_HEAD_AND_END:
                    return self._lost("header section is too large", messages, data[at : at + _MAX_HEAD_AND_END])
                self._keep(data[at:], 0)
                return messages
            length = body_length(data[at:head_end])
            body = head_end + len(_END_OF_HEAD)
            if length < 0 or length > MAX_STREAM_BODY_BYTES:
                fault = "Content-Length is missing or not clear" if length < 0 else "body is too large"
                return self._lost(fault, messages, data[at:body])
            if body + length > end:
                self._keep(data[at:], body + length - at)
                return messages
            messages.append(data[at : body + length])
            at = self._message_start(data, body + length)
        return messages

    def _message_start(self, data: bytes, at: int) -> int:
        """Where the next message starts behind the line ends at `at`; the end of `data` when none does."""
        if at < len(data) and data[at] not in b"\r\n":
            self._blanks = 0
            return at
        skipped = _LINE_ENDS.match(data, at)
        assert skipped is not None
        start = skipped.end()
        pings, self._blanks = divmod(self._blanks + data.count(b"\n", at, start), 2)
        self.pongs += pings
        if start < len(data):
            self._blanks = 0
        return start

    def _keep(self, partial: bytes, wanted: int) -> None:
        self._partial += partial
        self._searched = len(partial)
        self._wanted = wanted

    def _lost(self, fault: str, messages: list[bytes], head: bytes) -> list[bytes]:
        self.fault = fault
        messages.append(head)
        return messages


def body_length(head: bytes) -> int:
    """What the one Content-Length of a head says, in octets; -1 when there is none, or it is not clear.

    `head` starts with the start line and ends before the empty line.
    """
    lowered = head.lower()
    found = lowered.find(_USUAL)
    if found < 0 or lowered.count(_USUAL_NAME) != 1 or _COMPACT in lowered:
        return _unusual_length(head)
    start = found + len(_USUAL)
    end = head.find(b"\r\n", start)
    if end < 0:
        end = len(head)
    value = head[start:end]
    if not value.isdigit() or len(value) > _MAX_DIGITS or head[end + 2 : end + 3] in (b" ", b"\t"):
        return _unusual_length(head)
    return int(value)


def _unusual_length(head: bytes) -> int:
    """The same for every other spelling, line by line as the parser reads them."""
    if FOLDED_NAME.search(head) is not None:
        return -1  # others see no field in "Content-Length" and none in what goes on (the parser refuses it, too)
    length = -1
    for line in unfolded_lines(head)[1:]:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t").lower()
        if not colon or name not in ("content-length", "l"):
            if "content-length" in name and TOKEN.fullmatch(name) is None:
                return -1  # somebody may take it for one
            continue
        value = value.strip(" \t")
        if length >= 0 or not (value.isascii() and value.isdigit()) or len(value) > _MAX_DIGITS:
            return -1
        length = int(value)
    return length
