"""The register of use: who had which block from when to when (A6)."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.reports.period import Period
from engine.reports.table import Report, summed
from engine.store.register import Assignment, assignments, overlaps
from engine.store.rows import utc_text

COLUMNS: Final = ("prefix", "app_platform", "business_user", "from", "until", "days")
_DAY_S: Final = 86_400


def ledger(connection: sqlite3.Connection, asked: Period) -> Report:
    """The assignments that lay in a period, whole; those that go on have no `until`, as of the period's end."""
    register = assignments(connection)
    found = [
        entry
        for entry in register
        if entry.from_at < asked.until_s and (entry.until_at is None or entry.until_at > asked.since_s)
    ]
    rows = tuple(_row(entry, asked) for entry in found)
    return Report(
        "ledger", asked.since, asked.until, COLUMNS, rows, summed(COLUMNS, rows, ("days",)),
        tuple(overlaps(register)), _notes(found),
    )  # fmt: skip


def _row(entry: Assignment, asked: Period) -> tuple[str | int, ...]:
    ends = entry.until_at is not None and entry.until_at <= asked.until_s
    until_s = entry.until_at if ends and entry.until_at is not None else asked.until_s
    began = utc_text(entry.from_at) if entry.from_at else ""
    days = int((until_s - max(entry.from_at, asked.since_s)) // _DAY_S)
    return (entry.prefix, entry.app_platform, entry.business_user, began, utc_text(until_s) if ends else "", days)


def _notes(found: list[Assignment]) -> tuple[str, ...]:
    unknown = sum(not entry.from_at for entry in found)
    return (f"{unknown} began before there was a register: their `from` is empty",) if unknown else ()
