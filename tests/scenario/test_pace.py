"""When calls begin, on a clock of the test's own."""

from __future__ import annotations

import pytest

from sipstack.scenario.pace import Pace
from sipstack.scenario.settings import Ramp


def begun(pace: Pace, until: float, *, step: float = 0.001) -> list[float]:
    """When calls begin, if asked each millisecond."""
    times = []
    pace.begin(0.0)
    for tick in range(round(until / step)):
        now = tick * step
        while pace.is_due(now):
            pace.begun()
            times.append(now)
    return times


def test_calls_begin_at_the_rate() -> None:
    assert begun(Pace(4.0), 1.0) == pytest.approx([0.0, 0.25, 0.5, 0.75])


def test_a_ramp_grows_and_ends() -> None:
    pace = Pace(10.0, Ramp(increase=10.0, interval_s=1.0, maximum=30.0))
    times = begun(pace, 5.0)
    assert [sum(second <= one < second + 1 for one in times) for second in range(5)] == [10, 20, 30, 0, 0]
    assert pace.is_over
    assert pace.next_at(has_room=True) is None


def test_a_ramp_may_stay_at_its_top() -> None:
    pace = Pace(10.0, Ramp(increase=15.0, interval_s=1.0, maximum=20.0, stays=True))
    times = begun(pace, 3.0)
    assert [sum(second <= one < second + 1 for one in times) for second in range(3)] == [10, 20, 20]
    assert not pace.is_over


def test_users_call_as_soon_as_there_is_room() -> None:
    pace = Pace(0.001, is_users=True)
    pace.begin(5.0)
    assert pace.is_due(5.0)
    pace.begun()
    assert pace.is_due(5.0)
    assert pace.next_at(has_room=False) is None


def test_what_had_no_room_is_not_made_up_for() -> None:
    pace = Pace(10.0)
    pace.begin(0.0)
    pace.full()
    assert pace.is_due(7.0)
    pace.begun()
    assert not pace.is_due(7.09)
    assert pace.next_at(has_room=True) == pytest.approx(7.1)


def test_a_new_rate_counts_at_once() -> None:
    pace = Pace(0.1)
    pace.begin(0.0)
    pace.begun()
    pace.set_rate(10.0, 1.0)
    assert pace.next_at(has_room=True) == pytest.approx(1.1)
    pace.set_rate(0.0, 1.05)
    assert not pace.is_due(100.0)
    pace.set_rate(5.0, 100.0)
    assert pace.is_due(100.0)
