"""How many calls and messages a caller has begun through one X today, in China: what a scenario limits.

It is counted in memory; what other runs of the node have let in is told by the store.
"""

from __future__ import annotations

from typing import Final, final

from engine.core.hours import china_day

DAY_LIMIT: Final = "day_limit"  # who has decided, where one is refused

MAX_PAIRS: Final = 200_000  # about 150 bytes each


@final
class CallsOfDay:
    """Counts by (X, caller), for one day at a time."""

    __slots__ = ("_counts", "_day")

    def __init__(self) -> None:
        self._day = 0
        self._counts: dict[tuple[str, str], int] = {}

    def admits(self, x: str, caller: str, limit: int, wall_s: float, recorded: int = 0) -> bool:
        """Whether one more is admitted, and counts it. Of more pairs than there is room for no new one is admitted.

        `recorded`: how many of this day are on record, which may be behind, but knows of other runs.
        """
        self._turn(wall_s)
        pair = x, caller
        known = self._counts.get(pair, 0)
        count = max(known, recorded)
        if count >= limit or (not known and len(self._counts) >= MAX_PAIRS):
            return False
        self._counts[pair] = count + 1
        return True

    def begun(self, x: str, caller: str, wall_s: float) -> int:
        """How many it has counted of a pair today."""
        return self._counts.get((x, caller), 0) if self._day == china_day(wall_s) else 0

    def assume(self, x: str, caller: str, count: int, wall_s: float) -> None:
        """From now on it goes as if so many had been counted of a pair today: for what is asked, and is no call."""
        self._turn(wall_s)
        self._counts[x, caller] = count

    def _turn(self, wall_s: float) -> None:
        day = china_day(wall_s)
        if day != self._day:
            self._day, self._counts = day, {}
