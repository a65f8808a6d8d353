"""One datagram as a party sent or received it, and what is read from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_STATUS: Final = re.compile(rb"SIP/2\.0 (\d{3}) ")
_COMPACT: Final = {
    "call-id": "i",
    "from": "f",
    "to": "t",
    "via": "v",
    "contact": "m",
    "content-type": "c",
}  # RFC 3261 §7.3.3


@dataclass(frozen=True)
class Seen:
    """One datagram, byte for byte. `at_s` is in seconds since the epoch."""

    at_s: float
    is_sent: bool
    data: bytes

    @cached_property
    def start_line(self) -> str:
        """The first line."""
        return self.data.partition(b"\r\n")[0].decode(errors="replace")

    @cached_property
    def head(self) -> list[str]:
        """Header lines, without the start line."""
        return self.data.partition(b"\r\n\r\n")[0].decode(errors="replace").split("\r\n")[1:]

    @property
    def body(self) -> bytes:
        """What follows the empty line."""
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def status(self) -> int:
        """Status code; 0 in a request."""
        found = _STATUS.match(self.data)
        return int(found[1]) if found is not None else 0

    @property
    def method(self) -> str:
        """Method of the request, or of the one that this answers."""
        return (self.value("CSeq").split() or [""])[-1]

    @cached_property
    def call_id(self) -> str:
        """Its Call-ID."""
        return self.value("Call-ID")

    def values(self, name: str) -> list[str]:
        """Values of all rows of a header field."""
        names = (name.lower(), _COMPACT.get(name.lower()))
        rows = [line.partition(":") for line in self.head]
        return [value.strip() for found, _, value in rows if found.lower() in names]

    def value(self, name: str) -> str:
        """The value of a header field, of several rows as if they were one; "" when it is not there."""
        return ", ".join(self.values(name))

    @property
    def shown(self) -> str:
        """For a ladder: "INVITE", "180 INVITE"."""
        return f"{self.status} {self.method}" if self.status else self.start_line.split(" ")[0]


def ladder(messages: Sequence[Seen]) -> list[str]:
    """One line a message: its direction as the party itself sees it, and what it is."""
    return [f"{'->' if message.is_sent else '<-'} {message.shown}" for message in messages]


def by_call_id(messages: Iterable[Seen]) -> dict[str, list[Seen]]:
    """The messages of each call, in order."""
    calls: dict[str, list[Seen]] = {}
    for message in messages:
        calls.setdefault(message.call_id, []).append(message)
    return calls
