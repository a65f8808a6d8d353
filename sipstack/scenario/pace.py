"""When a caller begins its calls: at a rate, at one that grows, or as users that call again. No clock of its own."""

from __future__ import annotations

from typing import final

from sipstack.scenario.settings import Ramp


@final
class Pace:
    """`begin`, then ask `is_due`; `next_at` is when it may change its mind. Seconds on the clock of whoever asks."""

    def __init__(self, rate: float, ramp: Ramp | None = None, *, is_users: bool = False) -> None:
        """`rate` in calls a second; as users do, a call begins as soon as there is room for it."""
        self.rate = rate
        self.is_over = False  # the ramp has come to its end
        self.is_paused = False
        self._ramp = ramp
        self._is_users = is_users
        self._next_call_at = 0.0
        self._next_step_at = 0.0
        self._was_full = False

    def begin(self, now: float) -> None:
        """The first call is due, and the ramp runs."""
        self._next_call_at = now
        if self._ramp is not None:
            self._next_step_at = now + self._ramp.interval_s

    def is_due(self, now: float) -> bool:
        """Whether a call may begin, for which there is room."""
        if self._ramp is not None:
            self._climb(self._ramp, now)
        if self.is_over or self.is_paused:
            return False
        if self._is_users:
            return True
        if self._was_full:  # what the limit has held up is not made up for
            self._next_call_at, self._was_full = max(self._next_call_at, now), False
        return now >= self._next_call_at

    def begun(self) -> None:
        """A call has."""
        self._next_call_at += 1.0 / self.rate

    def full(self) -> None:
        """There is no room for a call that would be due."""
        self._was_full = True

    def next_at(self, *, has_room: bool) -> float | None:
        """When to ask again; None: not before a call ends."""
        times = []
        if self._ramp is not None and not self.is_over:
            times.append(self._next_step_at)
        if has_room and not self.is_over and not self.is_paused:
            times.append(self._next_call_at if not self._is_users else 0.0)
        return min(times, default=None)

    def set_rate(self, rate: float, now: float) -> None:
        """From now on: the next call comes after a period of the new rate at the latest."""
        self.rate = max(rate, 0.0)
        self.is_paused = self.rate == 0
        if self.rate:
            self._next_call_at = min(self._next_call_at, now + 1.0 / self.rate)
            self._next_call_at = max(self._next_call_at, now)

    def _climb(self, ramp: Ramp, now: float) -> None:
        while now >= self._next_step_at and not self.is_over:
            self._next_step_at += ramp.interval_s
            wanted = self.rate + ramp.increase
            if ramp.maximum is not None and wanted > ramp.maximum:
                self.is_over = not ramp.stays
                self._next_step_at = float("inf")
                wanted = ramp.maximum
            self.set_rate(wanted, now)
