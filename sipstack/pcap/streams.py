"""TCP segments of a capture to SIP messages: in order, each octet once, and on again behind what is missing."""

from __future__ import annotations

import heapq
import re
from typing import Final, final

from sipstack.framing import StreamFramer
from sipstack.pcap.packets import RST, SYN, Address, Segment

START_LINE: Final = re.compile(rb"(?:\A|\n)((?:SIP/2\.0 [1-6][0-9]{2} |[A-Z]{3,32} [^\s]{1,2048} SIP/2\.0\r?\n))")

# Segments of one direction that wait for one before them; when there are more, it is taken to be missing.
MAX_WAITING: Final = 512
# Directions followed at a time; the one that began first goes.
MAX_STREAMS: Final = 4096
_MAX_TAIL: Final = 2200  # a start line may have begun in it
_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1

Flow = tuple[Address, Address]


@final
class _Direction:
    """What one end of a connection has sent. Octets are counted from the first one that was seen."""

    def __init__(self, sequence: int) -> None:
        self.first = sequence
        self._next = 0
        self._waiting: list[tuple[int, bytes]] = []  # a heap
        self._framer: StreamFramer | None = None  # None: looks for the beginning of a message
        self._tail = b""
        self.gaps = 0

    def take(self, sequence: int, payload: bytes) -> list[bytes]:
        """The messages that are whole with a segment."""
        ahead = (sequence - self.first - self._next) & _MASK
        offset = self._next + (ahead - _MASK - 1 if ahead >= _HALF else ahead)
        heapq.heappush(self._waiting, (offset, payload))
        messages = self._in_order()
        if len(self._waiting) > MAX_WAITING:
            messages += self._over_gap()
        return messages

    def end(self) -> list[bytes]:
        """No more comes: the messages behind gaps."""
        messages: list[bytes] = []
        while self._waiting:
            messages += self._over_gap()
        if self._framer is not None and self._framer.held:
            self.gaps += 1  # a message has no end
        return messages

    def _over_gap(self) -> list[bytes]:
        self.gaps += 1
        self._framer, self._tail = None, b""
        self._next = self._waiting[0][0]
        return self._in_order()

    def _in_order(self) -> list[bytes]:
        messages: list[bytes] = []
        while self._waiting and self._waiting[0][0] <= self._next:
            offset, payload = heapq.heappop(self._waiting)
            new = payload[self._next - offset :]
            self._next += len(new)
            if new:
                messages += self._framed(new)
        return messages

    def _framed(self, data: bytes) -> list[bytes]:
        if self._framer is None:
            data = self._tail + data
            found = START_LINE.search(data)
            if found is None:
                self._tail = data[-_MAX_TAIL:]
                return []
            data, self._tail, self._framer = data[found.start(1) :], b"", StreamFramer()
        messages = self._framer.feed(data)
        if self._framer.fault:
            self._framer = None  # its head has been handed up; the next start line is looked for
        return messages


@final
class Streams:
    """All connections of a capture. `gaps` counts what was missing, and messages that have no end."""

    def __init__(self) -> None:
        self.gaps = 0
        self._directions: dict[Flow, _Direction] = {}

    def take(self, segment: Segment) -> list[bytes]:
        """The messages that are whole with a segment, from its source to its destination."""
        flow = segment.source, segment.destination
        sequence = segment.sequence
        direction = self._directions.get(flow)
        messages: list[bytes] = []
        if segment.flags & SYN:
            sequence = (sequence + 1) & _MASK
            if direction is not None and direction.first != sequence:
                messages = self._ended(flow)  # the same ports again
                direction = None
        elif segment.flags & RST:
            return self._ended(flow) if direction is not None else []
        if direction is None:
            if not segment.payload and not segment.flags & SYN:
                return messages
            if len(self._directions) >= MAX_STREAMS:
                self._ended(next(iter(self._directions)))
            direction = self._directions[flow] = _Direction(sequence)
        return messages + direction.take(sequence, segment.payload) if segment.payload else messages

    def end(self) -> list[tuple[Flow, list[bytes]]]:
        """What stands behind gaps in the connections that are still open."""
        return [(flow, self._ended(flow)) for flow in list(self._directions)]

    def _ended(self, flow: Flow) -> list[bytes]:
        direction = self._directions.pop(flow)
        messages = direction.end()
        self.gaps += direction.gaps
        return messages
