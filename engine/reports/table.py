"""A report: a table with totals, what it covers, and what does not add up. The same facts give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

from engine.store.binding_import import csv_line
from engine.store.record_forms import without_formula

TOTAL: Final = "total"

Cell = str | int
Row = tuple[Cell, ...]


@final
@dataclass(frozen=True, slots=True)
class Report:
    """Rows in their order, and their sum; it holds when there are no findings."""

    name: str
    since: str  # first day, of China
    until: str  # the day behind the last one
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    total: Row
    findings: tuple[str, ...] = ()  # what does not reconcile, a line each
    notes: tuple[str, ...] = ()  # what the reader must know besides

    def csv(self) -> str:
        """Head, rows, total; LF behind each; no cell is a formula to a spreadsheet."""
        lines = (self.columns, *self.rows, self.total)
        return "".join(f"{csv_line(map(without_formula, map(str, line)))}\n" for line in lines)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "report": self.name, "since": self.since, "until": self.until, "ok": not self.findings,
            "columns": list(self.columns), "rows": [list(row) for row in self.rows], "total": list(self.total),
            "findings": list(self.findings), "notes": list(self.notes),
        }  # fmt: skip


def summed(columns: Sequence[str], rows: Iterable[Row], counted: Iterable[str]) -> Row:
    """The last line of a report: the sums of the columns that are counted, and nothing under the others."""
    listed = list(rows)
    sums = {name: sum(int(row[at]) for row in listed) for at, name in enumerate(columns) if name in set(counted)}
    return (TOTAL, *(sums.get(name, "") for name in columns[1:]))


def sorted_rows(rows: Iterable[Row], keys: int) -> tuple[Row, ...]:
    """In the order of their first columns, which tell them apart."""
    return tuple(sorted(rows, key=lambda row: tuple(str(cell) for cell in row[:keys])))
