"""Makes a report from the store of a node: the register and the bindings, the records and their archive."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from engine.domain.problems import Problem, ProblemCode
from engine.reports.holidays import calendar
from engine.reports.ledger import ledger
from engine.reports.numbers import numbers
from engine.reports.opening import opening
from engine.reports.operation import operation
from engine.reports.period import Period, must_be_over
from engine.reports.scenario import scenario
from engine.reports.table import Report
from engine.reports.usage import Usage
from engine.store.archive_reader import Archive
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, store_errors
from engine.store.days import missing_records
from engine.store.export import Progress, open_records
from engine.store.register import Holders, assignments

OF_BINDINGS: Final = ("opening", "ledger")  # these need no records, and may be asked for today
KINDS: Final = (*OF_BINDINGS, "scenario", "operation", "numbers")

T = TypeVar("T")


async def make(
    kind: str, data_dir: Path, cipher: NumberCipher, asked: Period, wall_s: float, archive: Archive | None = None,
    progress: Progress | None = None,
) -> Report:  # fmt: skip
    """One of KINDS; `wall_s`: now, seconds since the epoch. Problem, StoreError also where records were purged."""
    if kind not in KINDS:
        raise Problem(ProblemCode.NOT_FOUND, "report", f"there is no report {kind}: {', '.join(KINDS)}")
    path = data_dir / "bindings.db"

    def read(work: Callable[[sqlite3.Connection], T]) -> T:
        with store_errors(path), closing(open_read_only(path, cipher)) as connection:
            connection.execute("BEGIN")  # one moment for all that is read
            return work(connection)

    if kind == "opening":
        return await asyncio.to_thread(read, lambda connection: opening(connection, asked, calendar()))
    if kind == "ledger":
        return await asyncio.to_thread(read, lambda connection: ledger(connection, asked))
    must_be_over(asked, wall_s)
    usage = Usage(Holders(await asyncio.to_thread(read, assignments)))
    findings = await _add_up(usage, data_dir, cipher, asked, archive, progress)
    if kind == "operation":
        report = operation(usage, asked)
    elif kind == "scenario":
        report = await asyncio.to_thread(read, lambda connection: scenario(connection, usage, asked))
    else:
        report = await asyncio.to_thread(read, lambda connection: numbers(connection, usage, asked))
    return replace(report, findings=(*report.findings, *usage.findings(), *findings))


async def _add_up(
    usage: Usage, data_dir: Path, cipher: NumberCipher, asked: Period, archive: Archive | None,
    progress: Progress | None,
) -> list[str]:  # fmt: skip
    """Reads the records; what is wrong with them."""
    path = data_dir / "records.db"
    if not path.is_file():
        return []
    async with open_records(data_dir, cipher, archive=archive) as reader:
        still_open = await reader.settle(usage, asked.since_s, asked.until_s, progress)
    findings = [f"{still_open} attempts of these days are still in progress"] if still_open else []
    return findings + await asyncio.to_thread(_missing, path, cipher)


def _missing(path: Path, cipher: NumberCipher) -> list[str]:
    """The chain of each node has no hole behind what was purged."""
    with store_errors(path), closing(open_read_only(path, cipher)) as connection:
        found = missing_records(connection)
    return [f"{node}: {count} records are missing in the chain: see cdr verify" for node, count in found.items()]
