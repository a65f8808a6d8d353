"""The report of operation: what was called and written, by day and tenant."""

from __future__ import annotations

from typing import Final

from engine.reports.period import Period
from engine.reports.table import Cell, Report, Row, sorted_rows, summed
from engine.reports.usage import Counts, Usage

SUMS: Final = ("attempts", "answered", "refused", "duration_ms", "messages", "parts")
COLUMNS: Final = ("day", "app_platform", "business_user", "scenario", "kind", "mode", *SUMS)


def cells(counts: Counts) -> tuple[Cell, ...]:
    """The columns of SUMS; nothing is rounded, so that sums of sums agree."""
    return (
        counts.attempts, counts.answered, counts.refused, counts.duration_ms, counts.messages, counts.parts,
    )  # fmt: skip


def operation(usage: Usage, asked: Period) -> Report:
    """A line for each day, tenant, scenario, kind and mode that anything was tried in."""
    rows: tuple[Row, ...] = sorted_rows(((*key, *cells(counts)) for key, counts in usage.counts.items()), 6)
    return Report("operation", asked.since, asked.until, COLUMNS, rows, summed(COLUMNS, rows, SUMS))
