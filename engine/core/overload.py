"""How much of what is new is turned away, so that the rest goes on: a controller over how long messages wait.

The shell says every TICK_S how long the oldest message has been waiting to be read. The share that is turned away
follows from it as in PIE (RFC 8033 §4.2): a part that sums up how far the wait is from TARGET_S, and a part that
answers at once to how it changes. The gains are those of a queue that grows by a second each second at twice the
node's capacity: it settles in about two seconds, and its wait stays below half a second, where senders begin to repeat.
"""

from __future__ import annotations

from typing import Final, final

TICK_S: Final = 0.05
TARGET_S: Final = 0.15  # long enough to keep the node busy, short against T1 (500 ms)
MOST: Final = 0.95  # some are always let in: else nothing would show that the load has gone

_SUMMED: Final = 2.5  # share per second, for each second that the wait is away from TARGET_S
_CHANGED: Final = 2.5  # share for each second beyond TARGET_S that the wait has grown since the last tick


@final
class LoadControl:
    """The share of new attempts that is turned away, from 0 to MOST."""

    __slots__ = ("_before_s", "_due", "_excess_s", "share")

    def __init__(self) -> None:
        self.share = 0.0
        self._before_s = (0.0, 0.0)  # what the last two ticks were told
        self._excess_s = 0.0  # how far beyond TARGET_S what it went by was
        self._due = 0.0  # how much of an attempt is owed to be turned away

    def observe(self, wait_s: float) -> None:
        """Called every TICK_S with the seconds that the oldest message has been waiting.

        The shortest of the last three counts: a process that was not given the processor for once is not overloaded.
        """
        standing_s = min(wait_s, *self._before_s)
        self._before_s = (self._before_s[1], wait_s)
        excess_s = max(0.0, standing_s - TARGET_S)
        change = _SUMMED * TICK_S * (standing_s - TARGET_S) + _CHANGED * (excess_s - self._excess_s)
        self.share = min(MOST, max(0.0, self.share + change))
        self._excess_s = excess_s

    def turns_away(self, is_thinned: bool = False) -> bool:
        """Whether the next attempt is one of that share: they are spread evenly, without chance.

        `is_thinned`: who sends it says that it keeps that share back (RFC 7339). While it does, half is the most that
        the share comes to at twice the capacity; a share beyond a half is what it does not keep back.
        """
        self._due += max(0.0, 2.0 * self.share - 1.0) if is_thinned else self.share
        if self._due < 1.0:
            return False
        self._due -= 1.0
        return True
