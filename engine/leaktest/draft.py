"""A message that the rig is about to send: what the places write their canaries into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

SDP: Final = "application/sdp"


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """What one place hides: a number, and words where words may not cross either."""

    number: str  # as canonical digits: eleven of a canary, or the sender's own real number
    word: str

    @property
    def host(self) -> str:
        return f"{self.word}.invalid"

    def filled(self, template: str) -> str:
        """`template` with the number for {n} (escaped for {p}), the word for {w}, a host name for {h}."""
        escaped = "".join(f"%{ord(digit):02X}" for digit in self.number)
        filled = template.replace("{n}", self.number).replace("{p}", escaped)
        return filled.replace("{w}", self.word).replace("{h}", self.host)


@final
@dataclass(slots=True)
class Draft:
    """Start line, header rows as (name, value), body. `sender` is host:port of the party that sends it."""

    start: str
    rows: list[tuple[str, str]]
    sender: str
    body: bytes = b""
    content_type: str = ""
    centre: str = ""  # the URI of the sender's service centre, "" when its trunk has none

    @property
    def is_request(self) -> bool:
        return not self.start.startswith("SIP/2.0 ")

    def get(self, name: str) -> str:
        """The first value of a field, "" when it is absent."""
        return next((value for row, value in self.rows if row == name), "")

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Changes the first value of a field that is there."""
        for index, (row, value) in enumerate(self.rows):
            if row == name:
                self.rows[index] = (name, change(value))
                return

    def add(self, name: str, value: str) -> None:
        self.rows.append((name, value))

    def carry(self, content_type: str, body: bytes) -> None:
        """Puts this body in the place of the one that is there."""
        self.content_type = content_type
        self.body = body

    def to_bytes(self) -> bytes:
        rows = [*self.rows]
        if self.body:
            rows.append(("Content-Type", self.content_type))
        rows.append(("Content-Length", str(len(self.body))))
        lines = [self.start, *(f"{name}: {value}" for name, value in rows)]
        return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + self.body
