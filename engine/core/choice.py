"""Which of the places of a route is tried next."""

from __future__ import annotations

from typing import Final, final

from engine.core.health import UP
from engine.core.routing import Hop


@final
class Choice:
    """The places for one attempt, in failover order, and how far it has come with them. No two have the same name."""

    __slots__ = ("_passed", "_place", "_risk", "hops")

    def __init__(self, hops: list[Hop]) -> None:
        """`hops` may be the route's own list: it is read, never changed."""
        self.hops: Final = hops
        self._place = 0  # the next one to look at
        self._passed: tuple[Hop, ...] = ()  # looked at, and not well
        self._risk: Hop | None = None  # the last one of these that was given after all

    def next(self, now: float) -> Hop | None:
        """The next place: one that is well; once there is none left, one of the others; None when that is used up.

        Looking costs nothing: a place for which there is no room (`limits`, `oc`) is passed over, and stays as it was.
        """
        hops = self.hops
        while self._place < len(hops):
            hop = hops[self._place]
            self._place += 1
            if hop.health.state == UP or hop.health.is_usable(now):
                return hop
            self._passed = (*self._passed, hop)
        return self._risked()

    def _risked(self) -> Hop | None:
        """Of the places that were passed over the one whose bar ends first."""
        passed = [hop for hop in self._passed if hop.health.may_be_risked]
        self._risk = min(passed, key=_until, default=None)
        self._passed = tuple([hop for hop in passed if hop is not self._risk])
        return self._risk

    def taken(self, hop: Hop, now: float) -> None:
        """The attempt goes to this place, which is not UP: others wait for what becomes of it.

        An attempt is worth one try at a place that will hardly answer, and no more (decision 22).
        """
        if hop is self._risk:
            self._passed = ()
        hop.health.tried(now)


def _until(hop: Hop) -> float:
    return hop.health.until


# Of an attempt that is not routed yet.
NOWHERE: Final = Choice([])
