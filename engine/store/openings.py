"""Openings of blocks that the authority is to be told of: due days, what was told, and the alarm.

Each function works inside a transaction of its caller.
"""

from __future__ import annotations

import sqlite3
from datetime import date
from typing import Final, NamedTuple

from engine.domain.days import china_day
from engine.domain.problems import Problem, ProblemCode
from engine.domain.workdays import Calendar
from engine.store.audit import Asker
from engine.store.entities import change, read
from engine.store.history import publish

TERM_WORKDAYS: Final = 5
ONE_LEFT: Final = 1  # working day: from then on a platform hears of it each day

_UNREPORTED: Final = (
    "SELECT prefix, app_platform, opened_day FROM number_block WHERE opened_day != '' AND reported_day = ''"
    " ORDER BY opened_day, prefix"
)
_TOLD: Final = "SELECT value FROM meta WHERE name = 'report_due_told'"
_TELL: Final = "INSERT INTO meta VALUES ('report_due_told', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class Opening(NamedTuple):
    """A block whose opening has not been reported yet."""

    prefix: str
    app_platform: str
    opened_day: str
    due_day: str
    status: str  # due | overdue


def standing(due_day: str, reported_day: str, today: str) -> str:
    """reported, late (reported after the term), due, or overdue; `reported_day` "" while it is not."""
    if reported_day:
        return "reported" if reported_day <= due_day else "late"
    return "due" if today <= due_day else "overdue"


def unreported(connection: sqlite3.Connection, calendar: Calendar, wall_s: float) -> list[Opening]:
    """The blocks that are still to be reported, oldest first."""
    today = china_day(wall_s)
    found = []
    for prefix, platform, opened_day in connection.execute(_UNREPORTED).fetchall():
        due_day = calendar.due_day(opened_day, TERM_WORKDAYS)
        found.append(Opening(prefix, platform, opened_day, due_day, standing(due_day, "", today)))
    return found


def mark_reported(connection: sqlite3.Connection, prefix: str, day: str, asker: Asker, wall_s: float) -> str:
    """Write down that the opening of a block was reported on a day; the day before, "" for none. Problem."""
    block = read(connection, "number_block", prefix)
    opened_day, before = str(block["opened_day"]), str(block["reported_day"])
    try:
        told = date.fromisoformat(day).isoformat()
    except ValueError:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "day", "must be a day such as 2026-01-31") from None
    if not opened_day:
        raise Problem(ProblemCode.ILLEGAL_STATE, "prefix", f"{prefix} has not been opened yet")
    if told < opened_day:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "day", f"{told} lies before its opening on {opened_day}")
    if told > china_day(wall_s):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "day", f"{told} has not come yet")
    change(connection, "number_block", prefix, {"reported_day": told}, asker, wall_s)
    return before


def announce_due(connection: sqlite3.Connection, calendar: Calendar, wall_s: float) -> int:
    """Tell platforms, once a day of China, which reports are due by the next working day or overdue; how many."""
    today = china_day(wall_s)
    row = connection.execute(_TOLD).fetchone()
    if row is not None and row[0] >= today:
        return 0
    connection.execute(_TELL, (today,))
    pressing = calendar.due_day(today, ONE_LEFT)
    due = [opening for opening in unreported(connection, calendar, wall_s) if opening.due_day <= pressing]
    for opening in due:
        told = {
            "report": "opening", "prefix": opening.prefix, "opened_day": opening.opened_day,
            "due_day": opening.due_day, "status": opening.status,
        }  # fmt: skip
        publish(connection, opening.app_platform, "report.due", opening.prefix, told, wall_s)
    return len(due)
