"""The report of openings: each block of numbers that was opened is to be told within five working days (B16)."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.domain.days import china_day
from engine.domain.workdays import Calendar
from engine.reports.period import Period
from engine.reports.table import Report, Row, summed
from engine.store.openings import TERM_WORKDAYS, standing
from engine.store.register import BLOCK_SIZE, Block, Holders, assignments, blocks, states_at
from engine.store.rows import utc_text

COLUMNS: Final = (
    "prefix", "operator", "app_platform", "business_user", "certificate_no", "numbers", "opened_day", "due_day",
    "reported_day", "status",
)  # fmt: skip
_OPEN: Final = ("opened", "assigned", "recalling")


def opening(connection: sqlite3.Connection, asked: Period, calendar: Calendar) -> Report:
    """Blocks that were opened in a period, and those from before of which it was still to be told; as of its end."""
    register = assignments(connection)
    holders = Holders(register)
    states = states_at(connection, "number_block", asked.until_s)
    known = blocks(connection)
    rows = [_row(block, holders, asked, calendar) for block in known if _is_about(block, asked)]
    firsts: dict[str, str] = {}
    for entry in register:
        firsts.setdefault(entry.prefix, china_day(entry.from_at) if entry.from_at else "")
    findings = [
        f"{block.prefix}: {states.get(block.prefix, block.state)}, but the day of its opening is not known"
        for block in known
        if not block.opened_day and states.get(block.prefix, block.state) in _OPEN
    ]
    findings += [
        f"{block.prefix}: opened on {block.opened_day}, but in the register of use from {firsts[block.prefix]} on"
        for block in known
        if block.opened_day and "" < firsts.get(block.prefix, "") < block.opened_day
    ]
    strangers = sorted(firsts.keys() - {block.prefix for block in known})
    findings += [f"{prefix}: in the register of use, but not in the inventory" for prefix in strangers]
    return Report(
        "opening", asked.since, asked.until, COLUMNS, tuple(rows), summed(COLUMNS, rows, ("numbers",)),
        tuple(findings), _notes(rows, calendar),
    )  # fmt: skip


def _is_about(block: Block, asked: Period) -> bool:
    is_open = "" < block.opened_day < asked.until
    return is_open and (block.opened_day >= asked.since or not "" < block.reported_day < asked.since)


def _row(block: Block, holders: Holders, asked: Period, calendar: Calendar) -> Row:
    due_day = calendar.due_day(block.opened_day, TERM_WORKDAYS)
    reported = block.reported_day if block.reported_day < asked.until else ""
    held = holders.at(block.prefix, utc_text(asked.until_s - 0.001))
    return (
        block.prefix, block.operator, block.app_platform, "" if held is None else held.business_user,
        block.certificate_no, BLOCK_SIZE, block.opened_day, due_day, reported,
        standing(due_day, reported, asked.last_day),
    )  # fmt: skip


def _notes(rows: list[Row], calendar: Calendar) -> tuple[str, ...]:
    """Terms that were counted with weekends alone."""
    years = {year for row in rows for year in calendar.unknown_years(str(row[6]), str(row[7]))}
    told = ", ".join(map(str, sorted(years)))
    return (f"the holidays of {told} are not known here: only weekends count as free",) if years else ()
