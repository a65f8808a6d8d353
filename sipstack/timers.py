"""Base timers, durations, and the wheel that holds every timer of the stack (RFC 3261 §17 Table 4, RFC 6026)."""

from __future__ import annotations

from heapq import heappop, heappush
from math import floor
from typing import Final, final

SECONDS: Final = 1.0
MILLISECONDS: Final = 0.001

T1_S: Final = 500 * MILLISECONDS  # round-trip estimate
T2_S: Final = 4 * SECONDS  # longest gap between repeats of a non-INVITE request or an INVITE response
T4_S: Final = 5 * SECONDS  # longest time that a message stays in the network

FAR_TICKS: Final = 6400  # 64 s at ticks of 10 ms: twice what a transaction takes at the longest


@final
class Timing:
    """Durations in seconds, all derived from T1 so that tests can run on a short one.

    `transaction_s` is 64*T1: Timers B, F, H, J, L and M. T2 and T4 keep their ratio to T1 (8 and 10). Timer D is at
    least 32 s over UDP (§17.1.1.2), which is 64*T1 at the default T1.
    """

    __slots__ = ("t1_s", "t2_s", "t4_s", "transaction_s")

    def __init__(self, t1_s: float = T1_S) -> None:
        self.t1_s = t1_s
        self.t2_s = t1_s * (T2_S / T1_S)
        self.t4_s = t1_s * (T4_S / T1_S)
        self.transaction_s = 64 * t1_s


class TimerOwner:
    """Whoever sets timers on a wheel."""

    __slots__ = ()

    def timer_fired(self, code: int, now: float) -> None:
        """Called with the code that was given to `TimerWheel.set`."""
        raise NotImplementedError


@final
class Timer:
    """One timer on the wheel, made there. Cancelled is one without an owner; the entry itself goes in its time."""

    __slots__ = ("code", "owner")

    owner: TimerOwner | None
    code: int

    def cancel(self) -> None:
        """Never fires afterwards. Cancelling twice does no harm."""
        self.owner = None


@final
class _Slot:
    """The timers of one tick, in their order; `number` says which tick, _FIRED once they have fired."""

    __slots__ = ("number", "timers")

    def __init__(self, number: int) -> None:
        self.number = number
        self.timers: list[Timer] = []


_FIRED: Final = -1
_CODE_BITS: Final = 7  # of a timer's code: by them the slot is remembered in which such a timer has been set last


@final
class TimerWheel:
    """Timers in slots of one tick: setting is an append, cancelling a store, and only live slots are looked at.

    One that has further than `FAR_TICKS` to go goes in stages of that length, so that a cancelled one leaves the
    memory within a stage: an ended call would leave its longest timers behind for hours.

    `order` is the heap of the slots that hold timers, cancelled ones too: a slot ends at its number times `tick_s`.

    A timer fires at the end of its slot: never early, late by less than a tick.
    """

    __slots__ = ("_recent", "_slots", "far_s", "order", "tick_s")

    def __init__(self, tick_s: float = 10 * MILLISECONDS) -> None:
        self.tick_s = tick_s
        self.far_s: Final = FAR_TICKS * tick_s
        self._slots: dict[int, _Slot] = {}
        # Timers of one code are set for as long as each other, and many of them within a tick.
        self._recent = [_Slot(_FIRED)] * (_CODE_BITS + 1)
        self.order: list[int] = []

    def set(self, now: float, delay_s: float, owner: TimerOwner, code: int) -> Timer:
        """Sets a timer `delay_s` seconds from `now` (monotonic seconds); a time already past counts as now."""
        timer = Timer()
        timer.owner = owner
        timer.code = code
        if delay_s > self.far_s:
            _Stages(self, timer, now, now + delay_s).go_on()
            return timer
        due = now + delay_s if delay_s > 0.0 else now
        number = floor(due / self.tick_s - 1e-6) + 1
        slot = self._recent[code & _CODE_BITS]
        if slot.number != number:
            slot = self._recent[code & _CODE_BITS] = self._slot_of(number)
        slot.timers.append(timer)
        return timer

    def enter(self, timer: Timer, due: float) -> None:
        """Has a timer wait that was made before, until `due` (monotonic seconds)."""
        self._slot_of(floor(due / self.tick_s - 1e-6) + 1).timers.append(timer)

    def _slot_of(self, number: int) -> _Slot:
        slot = self._slots.get(number)
        if slot is None:  # an exception would cost 2,000 instructions more
            slot = self._slots[number] = _Slot(number)
            heappush(self.order, number)
        return slot

    def replace(self, old: Timer | None, now: float, delay_s: float, owner: TimerOwner, code: int) -> Timer:
        """Sets a timer for who has one at a time: the old one, if any, never fires."""
        if old is not None:
            old.owner = None
        return self.set(now, delay_s, owner, code)

    def next_deadline(self) -> float | None:
        """When the next slot ends that holds a timer, cancelled ones included; None when nothing waits."""
        return self.order[0] * self.tick_s if self.order else None

    def fire(self, now: float) -> None:
        """Fires the timers whose time has come, in order; one cancelled by an earlier one of its slot stays silent.

        What an owner raises comes out; the timers behind it wait for the next call.
        """
        limit = now + 1e-6 * self.tick_s
        while self.order and self.order[0] * self.tick_s <= limit:
            slot = self._slots[self.order[0]]
            for timer in slot.timers:  # those set on the way, too; after an error those that have fired are passed
                owner = timer.owner
                if owner is not None:
                    timer.owner = None
                    owner.timer_fired(timer.code, now)
            slot.number = _FIRED
            del self._slots[heappop(self.order)]

    def __len__(self) -> int:
        return sum(1 for slot in self._slots.values() for timer in slot.timers if timer.owner is not None)

    @property
    def entries(self) -> int:
        """How many it holds, cancelled ones too."""
        return sum(len(slot.timers) for slot in self._slots.values())


@final
class _Stages(TimerOwner):
    """In the place of a timer's owner while it has a long way to go."""

    __slots__ = ("_due", "_owner", "_reached", "_timer", "_wheel")

    def __init__(self, wheel: TimerWheel, timer: Timer, now: float, due: float) -> None:
        self._wheel = wheel
        self._timer = timer
        self._owner = timer.owner
        self._reached = now  # where the next stage begins, also when the clock has jumped over several
        self._due = due

    def go_on(self) -> None:
        """One stage more. The timer has its true owner back in the last one."""
        begin, self._reached = self._reached, self._reached + self._wheel.far_s
        is_last = self._due - begin <= self._wheel.far_s
        self._timer.owner = self._owner if is_last else self
        self._wheel.enter(self._timer, self._due if is_last else self._reached)

    def timer_fired(self, code: int, now: float) -> None:
        """The end of a stage."""
        self.go_on()
