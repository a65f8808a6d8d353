"""Which of the places of a route is tried next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from engine.core.health import UP
from engine.core.routing import Hop


@final
class Choice:
    """The places for one attempt, in failover order, and how far it has come with them. No two have the same name."""

    __slots__ = ("_passed", "_place", "hops")

    def __init__(self, hops: Sequence[Hop]) -> None:
        self.hops: Final = hops
        self._place = 0  # the next one to look at
        self._passed: tuple[Hop, ...] = ()  # looked at, and not well

    def next(self, now: float) -> Hop | None:
        """The next place: one that is well; once there is none left, one of the others; None when that is used up.

        An attempt is worth one try at a place that will hardly answer, and no more (decision 22).
        """
        hops = self.hops
        while self._place < len(hops):
            hop = hops[self._place]
            self._place += 1
            if hop.health.state == UP:
                return hop
            if hop.health.is_usable(now):
                hop.health.tried(now)
                return hop
            self._passed = (*self._passed, hop)
        return self._risked(now)

    def _risked(self, now: float) -> Hop | None:
        """Of the places that were passed over the one whose bar ends first."""
        passed = [hop for hop in self._passed if hop.health.may_be_risked]
        self._passed = ()
        if not passed:
            return None
        best = min(passed, key=_until)
        best.health.tried(now)
        return best


def _until(hop: Hop) -> float:
    return hop.health.until


# Of an attempt that is not routed yet.
NOWHERE: Final = Choice(())
