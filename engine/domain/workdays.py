"""Working days of China: weekdays without the holidays, with the weekend days that are worked in their place.

The State Council announces both each autumn for the year that follows. Of a year that is not announced, or not known
here, only its weekends are free; `Calendar.unknown_years` tells, so that whoever reads a term knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, final

HOLIDAY: Final = "holiday"
WORKDAY: Final = "workday"  # a Saturday or Sunday that is worked
HEAD: Final = "day,kind"

_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)


@final
@dataclass(frozen=True, slots=True)
class Calendar:
    """What differs from plain weeks, as days such as 2026-02-14, and the years for which that is all."""

    holidays: frozenset[date]
    workdays: frozenset[date]
    years: frozenset[int]

    def is_workday(self, day: date) -> bool:
        """Does an office work on this day?"""
        return day in self.workdays or (day.weekday() < _SATURDAY and day not in self.holidays)

    def due_day(self, day: str, count: int) -> str:
        """The last day "within `count` working days" after `day`, which itself does not count."""
        found = date.fromisoformat(day)
        while count:
            found += _DAY
            count -= self.is_workday(found)
        return found.isoformat()

    def unknown_years(self, first_day: str, last_day: str) -> tuple[int, ...]:
        """The years between two days of which only the weekends are known."""
        years = range(int(first_day[:4]), int(last_day[:4]) + 1)
        return tuple(year for year in years if year not in self.years)


def read_calendar(lines: Iterable[str]) -> Calendar:
    """From CSV with the columns of HEAD; ValueError for a line that says something else."""
    days: dict[str, set[date]] = {HOLIDAY: set(), WORKDAY: set()}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if number == 1:
            if text != HEAD:
                raise ValueError(f"line 1: must be {HEAD}")
            continue
        day, _, kind = text.partition(",")
        if kind not in days:
            raise ValueError(f"line {number}: {kind!r} is neither {HOLIDAY} nor {WORKDAY}")
        days[kind].add(date.fromisoformat(day))
    years = frozenset(day.year for found in days.values() for day in found)
    return Calendar(frozenset(days[HOLIDAY]), frozenset(days[WORKDAY]), years)
