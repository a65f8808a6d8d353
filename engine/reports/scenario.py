"""The report of scenarios: what numbers may be used for, and how much they were, by business user."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Final

from engine.reports.operation import SUMS, cells
from engine.reports.period import Period
from engine.reports.table import Report, Row, sorted_rows, summed
from engine.reports.usage import Counts, Usage
from engine.store.register import SCENARIO_RULES, bindings_made, scenarios

COLUMNS: Final = ("scenario", "app_platform", "business_user", *SCENARIO_RULES, "bindings_made", *SUMS)

_BY_SCENARIO: Final = (3, 1, 2)  # places of a key of usage


def scenario(connection: sqlite3.Connection, usage: Usage, asked: Period) -> Report:
    """A line for each scenario and business user that it served; rules as they are now."""
    rules = scenarios(connection)
    made = Counter(bindings_made(connection, asked.since_s, asked.until_s))
    counts = {key: counted for key, counted in usage.grouped(*_BY_SCENARIO).items() if any(key)}
    unused = {(code, "", "") for code in rules if not any(key[0] == code for key in (*made, *counts))}
    rows: list[Row] = []
    for key in {*made, *counts, *unused}:
        told = _told(rules.get(key[0]))
        rows.append((*key, *told, made[key], *cells(counts.get(key, Counts()))))
    findings = tuple(
        f"{code}: {count} bindings were made in a scenario that the inventory does not have"
        for (code, *_), count in sorted(made.items())
        if code not in rules
    )
    nobody = usage.total().attempts - sum(counted.attempts for counted in counts.values())
    notes = (f"{nobody} attempts belong to no binding, and so to no scenario",) if nobody else ()
    ordered = sorted_rows(rows, 3)
    total = summed(COLUMNS, ordered, ("bindings_made", *SUMS))
    return Report("scenario", asked.since, asked.until, COLUMNS, ordered, total, findings, notes)


def _told(rules: tuple[str | int, ...] | None) -> Row:
    if rules is None:
        return ("",) * len(SCENARIO_RULES)
    at = SCENARIO_RULES.index("modes")
    return (*rules[:at], " ".join(json.loads(str(rules[at]))), *rules[at + 1 :])
