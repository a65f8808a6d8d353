"""The timers of one attempt: many are set, nearly all are stopped, and one stands for them in the wheel."""

from __future__ import annotations

from typing import Final

from engine.core.attempt import AttemptBase
from engine.core.context import CoreContext
from engine.core.policy import Facts
from engine.core.records import CallRecord
from engine.core.settings import PeerSettings
from sipstack.server_transaction import ServerTransaction
from sipstack.timers import MILLISECONDS, Timer

_STOPPED: Final = float("inf")

# The wheel's rounding: one that is due by then is due now.
_ROUNDING_S: Final = 0.001 * MILLISECONDS


class AlarmedAttempt(AttemptBase):
    """An attempt with one entry in the wheel, the alarm, which is no later than the first thing that it waits for."""

    __slots__ = ("_alarm", "_alarm_at")

    _alarm: Timer | None
    _alarm_at: float

    def _wait_until(self, due: float, now: float) -> None:
        if self._alarm is not None:
            self._alarm.owner = None
        self._alarm_at = due
        self._alarm = self.context.wheel.set(now, due - now, self, 0)

    def _drop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.owner = None
            self._alarm = None


class TimedAttempt(AlarmedAttempt):
    """An attempt with several timers, each known by its code.

    A timer that is set or stopped is a number in a row. The alarm looks which are due, and waits for the next. When it
    comes too early it finds nothing to do.
    """

    __slots__ = ("_due",)

    def __init__(
        self,
        context: CoreContext,
        transaction: ServerTransaction,
        peer: PeerSettings,
        tag: str,
        known: tuple[Facts, CallRecord],
        timers: int,
    ) -> None:
        """`timers`: its codes are below that. The rest as in AttemptBase."""
        AttemptBase.__init__(self, context, transaction, peer, tag, known)
        self._alarm, self._alarm_at = None, _STOPPED
        self._due: list[float] = [_STOPPED] * timers  # monotonic seconds

    def set(self, code: int, delay_s: float, now: float) -> None:
        """Sets one of its timers anew."""
        due = now + delay_s
        self._due[code] = due
        if due < self._alarm_at:
            self._wait_until(due, now)

    def set_last(self, code: int, delay_s: float, now: float) -> None:
        """Sets a timer behind which none is likely to come.

        Where it is alone, the alarm waits for it at once: to find out so later would mean to fetch all of a call that
        has ended, and that lies in no cache any more.
        """
        if self._soonest() == _STOPPED:
            self._due = [_STOPPED] * len(self._due)  # one number for them all
            self._alarm_at = _STOPPED
        self.set(code, delay_s, now)

    def stop(self, code: int) -> None:
        """Stops one of its timers."""
        self._due[code] = _STOPPED

    def stop_each(self, codes: tuple[int, ...]) -> None:
        """Stops some of its timers."""
        due = self._due
        for code in codes:
            due[code] = _STOPPED

    def is_set(self, code: int) -> bool:
        """True while this timer waits."""
        return self._due[code] < _STOPPED

    def stop_all(self) -> None:
        """Stops them all: nothing holds the attempt any more."""
        self._due = [_STOPPED] * len(self._due)
        self._drop_alarm()

    def timer_fired(self, code: int, now: float) -> None:
        """The alarm. What one of them raises comes out; those behind it wait for the next alarm."""
        self._alarm = None
        self._alarm_at = _STOPPED
        due = self._soonest()
        try:
            while due <= now + _ROUNDING_S:
                first = self._code_of(due)
                self._due[first] = _STOPPED
                self.expired(first, now)
                due = self._soonest()
        finally:  # when one has raised, `due` is its time: those behind it are looked for at once
            if due < self._alarm_at:
                self._wait_until(due, now)

    def expired(self, code: int, now: float) -> None:
        """One of its timers is due."""
        raise NotImplementedError

    def _soonest(self) -> float:
        """When the first of them is due. A loop, since `min` of the list compares objects."""
        soonest = _STOPPED
        for due in self._due:
            if due < soonest:  # noqa: PLR1730 - a call of `min` for each is what this avoids
                soonest = due
        return soonest

    def _code_of(self, due: float) -> int:
        """The first that is due then. A loop, since `index` compares objects, too."""
        times, code = self._due, 0
        while times[code] != due:
            code += 1
        return code


class OneTimerAttempt(AlarmedAttempt):
    """An attempt that waits for one thing at a time: its timer is a number, and no row of them."""

    __slots__ = ("_due",)

    def __init__(
        self,
        context: CoreContext,
        transaction: ServerTransaction,
        peer: PeerSettings,
        tag: str,
        known: tuple[Facts, CallRecord],
    ) -> None:
        """As in AttemptBase."""
        AttemptBase.__init__(self, context, transaction, peer, tag, known)
        self._alarm, self._alarm_at = None, _STOPPED
        self._due = _STOPPED  # monotonic seconds

    def set_timer(self, delay_s: float, now: float) -> None:
        """Sets it anew."""
        due = now + delay_s
        self._due = due
        if due < self._alarm_at:
            self._wait_until(due, now)

    def stop_timer(self) -> None:
        """Stops it; it may be set again."""
        self._due = _STOPPED

    def end_timer(self) -> None:
        """Stops it for good: nothing holds the attempt any more."""
        self._due = _STOPPED
        self._drop_alarm()

    def timer_fired(self, code: int, now: float) -> None:
        """The alarm, which may have come too early."""
        self._alarm = None
        self._alarm_at = _STOPPED
        while self._due <= now + _ROUNDING_S:
            self._due = _STOPPED
            self.expired(now)
        if self._due < self._alarm_at:
            self._wait_until(self._due, now)

    def expired(self, now: float) -> None:
        """It is due."""
        raise NotImplementedError
