"""How many calls and messages a caller has begun through one X today, in China: what a scenario limits.

It is counted in memory: another run of the node counts from none.
"""

from __future__ import annotations

from typing import Final, final

from engine.core.hours import china_day

MAX_PAIRS: Final = 200_000  # about 150 bytes each


@final
class CallsOfDay:
    """Counts by (X, caller), for one day at a time."""

    __slots__ = ("_counts", "_day")

    def __init__(self) -> None:
        self._day = 0
        self._counts: dict[tuple[str, str], int] = {}

    def admits(self, x: str, caller: str, limit: int, wall_s: float) -> bool:
        """Whether one more is admitted, and counts it. Of more pairs than there is room for no new one is admitted."""
        day = china_day(wall_s)
        if day != self._day:
            self._day, self._counts = day, {}
        pair = x, caller
        count = self._counts.get(pair, 0)
        if count >= limit or (not count and len(self._counts) >= MAX_PAIRS):
            return False
        self._counts[pair] = count + 1
        return True
