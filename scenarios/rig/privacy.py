"""What must never reach a party: looked for in the very bytes that it received."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from scenarios.rig.seen import Seen

# Every scenario file plants its side's canary in display names, User-Agent, reason phrases, X- headers and SDP.
CALLER_CANARY: Final = "CanaryOfCaller"
CALLEE_CANARY: Final = "CanaryOfCallee"

_TAG: Final = re.compile(r";\s*tag=([^;\s]+)")
_BRANCH: Final = re.compile(r";\s*branch=([^;\s,]+)")
_BETWEEN_DIGITS: Final = b"-.() \t/_,\0"
# Where media goes is the ends' own business until media is anchored (contract §7).
_MEDIA_LINES: Final = (b"c=", b"a=candidate:")
_SHORTEST_PART: Final = 6  # of a Call-ID: a shorter part of one is no identifier


@dataclass(frozen=True)
class Side:
    """One party: all that its SIPp sent and received, and what names it."""

    messages: Sequence[Seen]
    host: str
    number: str  # canonical; "" for one that may be known
    canary: str

    @property
    def received(self) -> list[Seen]:
        return [message for message in self.messages if not message.is_sent]

    def identifiers(self) -> set[str]:
        """Every Call-ID, tag and branch of its dialogs, whoever made them."""
        found: set[str] = set()
        for message in self.messages:
            found.add(message.call_id)
            found.update(part for part in message.call_id.split("@")[:1] if len(part) >= _SHORTEST_PART)
            for value in (*message.values("From"), *message.values("To")):
                found.update(_TAG.findall(value))
            for value in message.values("Via"):
                found.update(_BRANCH.findall(value))
        return found


def leaks(side: Side, other: Side) -> list[str]:
    """What `side` received that tells it about `other`: one line each, none when all is well."""
    found: list[str] = []
    identifiers = [identifier.encode() for identifier in other.identifiers()]
    host = re.compile(rb"(?<![0-9.])" + re.escape(other.host.encode()) + rb"(?![0-9])")
    for message in side.received:
        data = message.data
        if other.number and holds_number(data, other.number):
            found.append(f"{message.shown}: the real number")
        if other.canary.lower().encode() in data.lower():
            found.append(f"{message.shown}: a canary")
        if host.search(b"\r\n".join(_without_media(data))):
            found.append(f"{message.shown}: the host")
        found += [f"{message.shown}: {known.decode()}" for known in identifiers if known in data]
    return found


def holds_number(data: bytes, number: str) -> bool:
    """True when a real number stands in `data` in any spelling that a person or a parser reads back."""
    wanted = number.encode()
    return any(wanted in text.translate(None, _BETWEEN_DIGITS) for text in (data, unquote_to_bytes(data)))


def _without_media(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\r\n") if not line.startswith(_MEDIA_LINES)]
