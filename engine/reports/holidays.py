"""The calendar that comes with the program: what the State Council has announced so far."""

from __future__ import annotations

import functools
from importlib.resources import files

from engine.domain.workdays import Calendar, read_calendar


@functools.cache
def calendar() -> Calendar:
    """The years that `data/holidays.csv` has."""
    text = files("engine.reports").joinpath("data", "holidays.csv").read_text(encoding="utf-8")
    return read_calendar(text.splitlines())
