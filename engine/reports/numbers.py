"""The report of numbers: who has which block, how much of it is in use, cooling down and free (A10, A17)."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.domain.days import china_day
from engine.reports.period import Period
from engine.reports.table import Report, Row, summed
from engine.reports.usage import Usage
from engine.store.register import (
    BLOCK_SIZE,
    Block,
    Holders,
    Numbers,
    assignments,
    blocks,
    numbers_at,
    overlaps,
    states_at,
)
from engine.store.rows import utc_text

_COUNTED: Final = ("numbers", "in_use", "cooling", "restricted", "free", "bindings_made", "attempts")
COLUMNS: Final = (
    "prefix", "operator", "app_platform", "business_user", "certificate_no", "state", "assigned_day", *_COUNTED,
)  # fmt: skip


def numbers(connection: sqlite3.Connection, usage: Usage, asked: Period) -> Report:
    """A line for each block that was there at the end of a period, as it was then."""
    register = assignments(connection)
    holders = Holders(register)
    states = states_at(connection, "number_block", asked.until_s)
    found = numbers_at(connection, asked.since_s, asked.until_s)
    there = [block for block in blocks(connection) if states.get(block.prefix, block.state)]
    rows = tuple(_row(block, states.get(block.prefix, block.state), holders, found, usage, asked) for block in there)
    known = {block.prefix for block in there}
    findings = list(overlaps(register))
    findings += [
        f"{prefix}: {found[prefix].in_use} numbers in use, but no such block"
        for prefix in sorted(found.keys() - known)
        if found[prefix].in_use
    ]
    elsewhere = sum(count for prefix, count in usage.by_block.items() if prefix not in known)
    if sum(usage.by_block.values()) != usage.total().attempts:
        findings.append("attempts by block and by tenant differ")
    notes = (f"{elsewhere} attempts were to numbers of no block of the inventory",) if elsewhere else ()
    total = summed(COLUMNS, rows, _COUNTED)
    return Report("numbers", asked.since, asked.until, COLUMNS, rows, total, tuple(findings), notes)


def _row(block: Block, state: str, holders: Holders, found: dict[str, Numbers], usage: Usage, asked: Period) -> Row:
    held = holders.at(block.prefix, utc_text(asked.until_s - 0.001))
    seen = found.get(block.prefix, Numbers())
    used, cooling, restricted = seen.in_use, seen.cooling, seen.restricted
    return (
        block.prefix, block.operator, block.app_platform if held is None else held.app_platform,
        "" if held is None else held.business_user, block.certificate_no, state,
        china_day(held.from_at) if held is not None and held.from_at else "", BLOCK_SIZE, used, cooling, restricted,
        BLOCK_SIZE - used - cooling - restricted, seen.bindings_made, usage.by_block[block.prefix],
    )  # fmt: skip
