"""The timer wheel: never early, late by less than a tick, and nobody's timer is lost to somebody else's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.testing.doubles import Later
from sipstack.timers import FAR_TICKS, T1_S, T2_S, T4_S, Timer, TimerOwner, TimerWheel, Timing

TICK_S = 0.010


class Owner:
    """Writes down what fires of `timers`; `react` is called with each code."""

    def __init__(self) -> None:
        self.fired: list[tuple[int, float]] = []
        self.timers = Later(self._timer_fired)

    def _timer_fired(self, code: int, now: float) -> None:
        self.fired.append((code, now))
        self.react(code, now)

    def react(self, code: int, now: float) -> None:
        """Overridden where firing has a consequence."""

    def codes(self) -> list[int]:
        return [code for code, _ in self.fired]


@pytest.mark.parametrize(
    ("t1_s", "t2_s", "t4_s", "transaction_s"),
    [(T1_S, T2_S, T4_S, 32.0), (0.020, 0.160, 0.200, 1.28), (1.0, 8.0, 10.0, 64.0)],
)
def test_durations_follow_t1(t1_s: float, t2_s: float, t4_s: float, transaction_s: float) -> None:
    """RFC 3261 §17, Table 4; at the default T1 the values of the RFC."""
    timing = Timing(t1_s)
    assert (timing.t1_s, timing.t2_s, timing.t4_s) == pytest.approx((t1_s, t2_s, t4_s))
    assert timing.transaction_s == pytest.approx(transaction_s)
    assert (T1_S, T2_S, T4_S) == (0.5, 4.0, 5.0)
    assert (Timing().t2_s, Timing().t4_s) == (4.0, 5.0)


@pytest.mark.parametrize(
    ("now", "delay_s", "deadline"),
    [
        (1000.0, 0.5, 1000.5),  # on a tick
        (1000.0, 0.501, 1000.51),  # the end of its slot
        (1000.0, 0.5099, 1000.51),
        (1000.0, 0.0, 1000.0),
        (1000.003, 0.0, 1000.01),
        (1000.0, -7.0, 1000.0),  # past: now
        (0.0, 0.5, 0.5),
        (31_536_000.0, 32.0, 31_536_032.0),  # a machine that has been up for a year
    ],
)
def test_slot_of_a_timer(now: float, delay_s: float, deadline: float) -> None:
    wheel = TimerWheel(TICK_S)
    wheel.set(now, delay_s, Owner().timers, 0)
    assert wheel.next_deadline() == pytest.approx(deadline, abs=1e-7)


@given(
    start=st.floats(0, 1e8),
    delays=st.lists(st.floats(0, 100), min_size=1, max_size=30),
    tick_s=st.sampled_from((0.001, TICK_S, 0.1)),
)
def test_never_early_and_late_by_less_than_a_tick(start: float, delays: list[float], tick_s: float) -> None:
    wheel, owner = TimerWheel(tick_s), Owner()
    for code, delay_s in enumerate(delays):
        wheel.set(start, delay_s, owner.timers, code)
    assert len(wheel) == len(delays)
    stages = sum(int(delay_s / wheel.far_s) for delay_s in delays)
    while (deadline := wheel.next_deadline()) is not None:
        wheel.fire(deadline - tick_s / 100)  # not yet
        before = len(owner.fired)
        wheel.fire(deadline)
        assert all(now == deadline for _, now in owner.fired[before:])
        stages -= len(owner.fired) == before
    assert stages >= 0  # at each deadline one fires, or one has come to the end of a stage
    assert sorted(owner.codes()) == list(range(len(delays)))
    noise = 1e-5 * tick_s + 1e-7
    for code, fired in owner.fired:
        assert start + delays[code] - noise <= fired < start + delays[code] + tick_s + noise
    assert len(wheel) == 0


def test_timers_fire_in_the_order_of_their_slots_and_in_a_slot_as_they_were_set() -> None:
    wheel, owner = TimerWheel(TICK_S), Owner()
    for code, delay_s in enumerate((3.0, 1.0, 2.0, 1.0, 1.001, 1.004)):
        wheel.set(0.0, delay_s, owner.timers, code)
    wheel.fire(10.0)
    assert owner.fired == [(code, 10.0) for code in (1, 3, 4, 5, 2, 0)]
    wheel.fire(20.0)
    assert len(owner.fired) == 6


@pytest.mark.parametrize("far_s", [64.001, 90.0, 128.0, 14_400.0])
def test_a_timer_with_a_long_way_fires_at_its_time(far_s: float) -> None:
    wheel, owner = TimerWheel(TICK_S), Owner()
    wheel.set(5.0, far_s, owner.timers, 7)
    while (deadline := wheel.next_deadline()) is not None:
        assert len(wheel) == 1
        wheel.fire(deadline)
    assert owner.fired == [(7, pytest.approx(5.0 + far_s, abs=TICK_S))]
    assert (len(wheel), wheel.entries) == (0, 0)


def test_a_timer_with_a_long_way_is_gone_soon_after_it_is_cancelled() -> None:
    wheel, owner = TimerWheel(TICK_S), Owner()
    first = wheel.set(0.0, 14_400.0, owner.timers, 0)
    second = wheel.set(0.0, 14_400.0, owner.timers, 1)
    first.cancel()
    wheel.fire(FAR_TICKS * TICK_S)
    assert wheel.entries == len(wheel) == 1
    second.cancel()  # in its second stage
    assert (len(wheel), wheel.entries) == (0, 1)
    wheel.fire(2 * FAR_TICKS * TICK_S)
    assert (wheel.entries, wheel.next_deadline(), owner.fired) == (0, None, [])


def test_a_clock_that_jumps_keeps_the_order_of_timers_near_and_far() -> None:
    wheel, owner = TimerWheel(TICK_S), Owner()
    for code, delay_s in enumerate((500.0, 30.0, 200.0, 60.0, 499.0)):
        wheel.set(0.0, delay_s, owner.timers, code)
    wheel.fire(40.0)
    wheel.set(40.0, 63.0, owner.timers, 5)  # at 103 s, behind the first stage of the others
    wheel.fire(1_000.0)
    assert owner.codes() == [1, 3, 5, 2, 4, 0]
    assert wheel.entries == 0


def test_nothing_waits_on_an_empty_wheel() -> None:
    wheel = TimerWheel(TICK_S)
    wheel.fire(1e9)
    assert (wheel.next_deadline(), len(wheel)) == (None, 0)


def test_cancelled_timer_stays_silent() -> None:
    wheel, owner = TimerWheel(TICK_S), Owner()
    timers = [wheel.set(0.0, 1.0, owner.timers, code) for code in range(3)]
    timers[1].cancel()
    timers[1].cancel()
    assert len(wheel) == 2
    wheel.fire(1.0)
    assert owner.codes() == [0, 2]
    timers[0].cancel()  # too late, and no harm
    assert wheel.next_deadline() is None


def test_timer_lets_go_of_its_owner() -> None:
    """Whoever still holds a timer does not hold the call behind it."""
    wheel = TimerWheel(TICK_S)
    cancelled, fired = (wheel.set(0.0, 1.0, Owner().timers, 0) for _ in range(2))
    cancelled.cancel()
    assert (cancelled.owner, fired.owner is None) == (None, False)
    wheel.fire(1.0)
    assert fired.owner is None


def test_a_timer_may_cancel_the_next_one_of_its_slot() -> None:
    class First(Owner):
        def react(self, code: int, now: float) -> None:
            second.cancel()

    wheel, other = TimerWheel(TICK_S), Owner()
    wheel.set(0.0, 1.0, First().timers, 0)
    second: Timer = wheel.set(0.0, 1.0, other.timers, 0)
    wheel.set(0.0, 1.0, other.timers, 1)
    wheel.fire(1.0)
    assert other.codes() == [1]


@pytest.mark.parametrize(("delay_s", "fired_at"), [(0.0, 1.0), (-5.0, 1.0), (0.001, 1.01), (TICK_S, 1.01)])
def test_a_timer_may_set_another(delay_s: float, fired_at: float) -> None:
    """What is due already fires in the same call; the rest at its own time."""

    class Setting(Owner):
        def react(self, code: int, now: float) -> None:
            wheel.set(now, delay_s, later.timers, code + 1)

    wheel, later = TimerWheel(TICK_S), Owner()
    wheel.set(0.0, 1.0, Setting().timers, 0)
    wheel.set(0.0, 1.0, later.timers, 9)
    wheel.fire(1.0)
    wheel.fire(1.01)
    assert later.fired == [(9, 1.0), (1, pytest.approx(fired_at))]
    assert wheel.next_deadline() is None


@pytest.mark.parametrize("code", [0, 1, 8])
def test_a_slot_that_has_fired_can_be_used_again(code: int) -> None:
    wheel, owner = TimerWheel(TICK_S), Owner()
    wheel.set(0.0, 1.0, owner.timers, 0)
    wheel.fire(1.0)
    wheel.set(1.0, 0.0, owner.timers, code)
    assert wheel.next_deadline() == 1.0
    wheel.fire(1.0)
    assert owner.codes() == [0, code]


STEPS = st.lists(
    st.tuples(st.sampled_from((0.0, 0.01, 0.5, 32.0, 70.0)), st.integers(0, 20), st.integers(0, 3)), max_size=60
)


@given(STEPS)
def test_each_timer_fires_in_its_slot_whatever_its_code(steps: list[tuple[float, int, int]]) -> None:
    """Where one of a code was set last is remembered: never for another slot, nor for one that has fired."""
    wheel, owner, now = TimerWheel(TICK_S), Owner(), 0.0
    due: dict[int, list[float]] = {}
    for delay_s, code, ticks in steps:
        wheel.set(now, delay_s, owner.timers, code)
        due.setdefault(code, []).append(now + delay_s)
        now += ticks * TICK_S
        wheel.fire(now)
    while (deadline := wheel.next_deadline()) is not None:
        wheel.fire(deadline)
    fired = {code: sorted(at for one, at in owner.fired if one == code) for code in due}
    assert len(owner.fired) == len(steps)
    for code, times in due.items():
        for wanted, at in zip(sorted(times), fired[code], strict=True):
            assert -1e-6 <= at - wanted <= 5 * TICK_S  # it is looked at every three ticks


def test_a_timer_that_raises_costs_only_itself() -> None:
    class Broken(Owner):
        def react(self, code: int, now: float) -> None:
            raise ValueError("a bug")

    wheel, owner, broken = TimerWheel(TICK_S), Owner(), Broken()
    for code, one in enumerate((owner, broken, owner, owner)):
        wheel.set(0.0, 1.0, one.timers, code)
    wheel.set(0.0, 2.0, owner.timers, 4)
    with pytest.raises(ValueError, match="a bug"):
        wheel.fire(1.0)
    assert (owner.codes(), len(wheel)) == ([0], 3)
    assert wheel.next_deadline() == 1.0  # the rest of the slot is still due
    wheel.fire(1.0)
    assert owner.codes() == [0, 2, 3]
    wheel.fire(2.0)
    assert owner.codes() == [0, 2, 3, 4]
    assert broken.codes() == [1]


def test_an_owner_must_say_what_its_timers_do() -> None:
    wheel = TimerWheel(TICK_S)
    wheel.set(0.0, 0.0, TimerOwner(), 0)
    with pytest.raises(NotImplementedError):
        wheel.fire(1.0)
