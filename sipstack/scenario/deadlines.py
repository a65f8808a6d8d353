"""When which call has something to do: one heap for all of them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection
from typing import Final, final

from sipstack.scenario.errands import Live

STALE: Final = 1024


@final
class Deadlines:
    """Deadlines that have changed stay behind until their time; too many of them are thrown out at once."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Live]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def remember(self, deadline: float, live: Live, calls: Collection[Live]) -> None:
        """A call, one of `calls`, has its deadline then."""
        if len(self._heap) > 2 * len(calls) + STALE:
            waiting = ((one.call.deadline, next(self._order), one) for one in calls if one is not live)
            self._heap = [(at, order, one) for at, order, one in waiting if at is not None]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (deadline, next(self._order), live))

    def take(self, now: float) -> Live | None:
        """A call whose deadline has come; None when there is none."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            deadline, _, live = heapq.heappop(heap)
            if live.call.deadline == deadline:
                return live
        return None

    def next_at(self) -> float | None:
        """The first one; None when no call has any."""
        heap = self._heap
        while heap and heap[0][2].call.deadline != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
