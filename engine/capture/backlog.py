"""Messages that wait to be shown: bounded, so that whoever reads slowly costs the node neither time nor memory."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, final

from sipstack.events import Flow

MAX_MESSAGES: Final = 4096
MAX_BYTES: Final = 8 * 1024 * 1024
_BATCH_MESSAGES: Final = 64
_BATCH_BYTES: Final = 256 * 1024


class Captured(NamedTuple):
    """A message as the tap has seen it. `at_s`: seconds since 1970. `peer`: whose the far end is, "" for nobody's."""

    at_s: float
    is_sent: bool
    data: bytes
    flow: Flow
    peer: str


@final
class Backlog:
    """Of one capture; used in the loop's thread alone."""

    __slots__ = ("_octets", "_waiting", "gaps", "lost", "seen", "turns")

    def __init__(self) -> None:
        self._waiting: deque[Captured] = deque()
        self._octets = 0
        self.seen = 0
        self.lost = 0  # found no room
        self.gaps = 0  # one of several workers was away, and how much it has not told nobody knows
        self.turns = 0  # a worker has gone or is back: what it knows of its calls is to be asked for

    def add(self, message: Captured) -> None:
        """One more, or one more that is lost."""
        self.seen += 1
        size = len(message.data)
        if len(self._waiting) >= MAX_MESSAGES or self._octets + size > MAX_BYTES:
            self.lost += 1
            return
        self._waiting.append(message)
        self._octets += size

    def miss(self, count: int) -> None:
        """So many have found no room before they came here."""
        self.seen += count
        self.lost += count

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return not self._waiting

    def take(self) -> list[Captured]:
        """The oldest ones, as many as are worked on at a time."""
        batch: list[Captured] = []
        size = 0
        while self._waiting and len(batch) < _BATCH_MESSAGES and size < _BATCH_BYTES:
            message = self._waiting.popleft()
            size += len(message.data)
            batch.append(message)
        self._octets -= size
        return batch
