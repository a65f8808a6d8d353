"""The days that a report is about: whole days of China."""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from engine.domain.days import china_day, days_later, end_of_day
from engine.domain.problems import Problem, ProblemCode

DAY_S: Final = 86_400.0
MAX_DAYS: Final = 366


class Period(NamedTuple):
    """From the beginning of a day until the beginning of another one, which is not in it."""

    since: str
    until: str

    @property
    def since_s(self) -> float:
        """Seconds since the epoch (UTC), as is the next."""
        return end_of_day(self.since) - DAY_S

    @property
    def until_s(self) -> float:
        return end_of_day(self.until) - DAY_S

    @property
    def last_day(self) -> str:
        return days_later(self.until, -1)


def period(day: str, since: str, until: str) -> Period:
    """One day, or the days from `since` until the one before `until`; "" for what was not said. Problem."""
    if bool(day) == bool(since or until):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "day", "name a day, or since and until")
    if day:
        _check("day", day)
        return Period(day, days_later(day, 1))
    _check("since", since)
    _check("until", until)
    found = Period(since, until)
    if since >= until:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "until", "does not lie behind since")
    if (date.fromisoformat(until) - date.fromisoformat(since)).days > MAX_DAYS:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "until", f"lies more than {MAX_DAYS} days behind since")
    return found


def must_be_over(asked: Period, wall_s: float) -> None:
    """Problem for days of which more is still to come: a report of them would be another one tomorrow."""
    if asked.until > china_day(wall_s):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "until", f"{asked.last_day} is not over yet")


def _check(name: str, text: str) -> None:
    try:
        is_day = date.fromisoformat(text).isoformat() == text and "2000" < text < "9000"
    except ValueError:
        is_day = False
    if not is_day:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, name, "must be a day such as 2026-01-31")
