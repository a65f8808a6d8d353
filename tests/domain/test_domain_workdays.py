"""Terms in working days of China, against days counted by hand in the announced calendars."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.workdays import read_calendar
from engine.reports.holidays import calendar

DAYS = st.dates(date(2025, 1, 1), date(2026, 12, 1))


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        ("2026-11-24", "2026-12-01"),  # a plain week
        ("2026-11-20", "2026-11-27"),  # a Friday
        ("2026-11-21", "2026-11-27"),  # a Saturday
        ("2026-02-12", "2026-02-26"),  # the Thursday before the Spring Festival; the Saturday of the 14th is worked
        ("2026-04-02", "2026-04-10"),  # the Thursday before Tomb Sweeping Day
        ("2026-04-30", "2026-05-11"),  # Labour Day; the Saturday of the 9th is worked
        ("2026-09-24", "2026-10-09"),  # Mid-Autumn and National Day, the 1st to the 7th
        ("2026-12-30", "2027-01-06"),  # of 2027 only weekends are known
        ("2025-01-24", "2025-02-07"),  # the Sunday of the 26th is worked
        ("2025-09-26", "2025-10-10"),  # the Sunday of the 28th is worked
        ("2025-12-31", "2026-01-08"),  # over the new year; the Sunday of the 4th is worked
    ],
)
def test_within_five_working_days(opened: str, due: str) -> None:
    assert calendar().due_day(opened, 5) == due


def test_each_announced_year_has_the_days_of_its_notice() -> None:
    found = calendar()
    assert found.years == {2025, 2026}
    off = {year: sum(day.year == year for day in found.holidays) for year in found.years}
    made_up = {year: sum(day.year == year for day in found.workdays) for year in found.years}
    assert (off, made_up) == ({2025: 28, 2026: 33}, {2025: 5, 2026: 6})
    assert all(day.weekday() >= 5 for day in found.workdays)
    assert not found.workdays & found.holidays


@given(DAYS, st.integers(1, 30))
def test_the_term_has_so_many_working_days(opened: date, count: int) -> None:
    found = calendar()
    due = date.fromisoformat(found.due_day(opened.isoformat(), count))
    between = [opened + timedelta(days=step) for step in range(1, (due - opened).days + 1)]
    assert sum(found.is_workday(day) for day in between) == count
    assert found.is_workday(due)


def test_unknown_years_are_told() -> None:
    assert calendar().unknown_years("2026-12-30", "2027-01-06") == (2027,)
    assert calendar().unknown_years("2025-12-31", "2026-01-08") == ()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["date,kind"], "line 1: must be day,kind"),
        (["day,kind", "2026-01-01,feast"], "line 2: 'feast' is neither"),
        (["day,kind", "2026-02-30,holiday"], "day is out of range"),
    ],
)
def test_a_calendar_that_says_something_else_is_refused(lines: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_calendar(lines)
