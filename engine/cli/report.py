"""Verbs of report: what the authority is told, as CSV; and that an opening was reported."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from engine.cli.common import (
    DONE,
    FAILED,
    FROM_ARCHIVE,
    JSON,
    UsageFault,
    asker_because,
    configuration,
    existing,
    say,
    say_json,
    tell,
)  # fmt: skip
from engine.cli.progress import counted_bar
from engine.cli.unread import tell_what_waits
from engine.domain.days import china_day
from engine.domain.problems import Problem
from engine.reports.making import OF_BINDINGS, make
from engine.reports.period import Period, period
from engine.reports.table import Report
from engine.store.archive_reader import Archive
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database, store_errors, transaction
from engine.store.errors import StoreError
from engine.store.openings import mark_reported

_DAY: Final = typer.Option("--day", metavar="D", help="One day of China: 2026-11-24.", show_default=False)
_SINCE: Final = typer.Option("--since", metavar="D", help="The first day of several.", show_default=False)
_UNTIL: Final = typer.Option("--until", metavar="D", help="The day behind the last one.", show_default=False)
_OUT: Final = typer.Option("--out", metavar="FILE", help="Write it there, not to stdout.", show_default=False)

_TOLD: Final = {
    "opening": "Blocks of numbers that were opened, until when that is to be reported, and whether it was.",
    "scenario": "Scenarios, their rules, and what they were used for, by business user.",
    "operation": "Calls and messages by day, tenant, scenario, kind and mode.",
    "numbers": "Blocks, who has them, and how many of their numbers are in use, cooling down and free.",
    "ledger": "The register of use: who had which block from when to when.",
}


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="What the authority is told.", rich_markup_mode=None)
    for kind, told in _TOLD.items():
        group.command(kind, help=f"{told}\n\n{_STATUS}\n\n\b\nExample:\n  veil700 report {_EXAMPLE[kind]}")(
            _from_store(kind) if kind in OF_BINDINGS else _from_records(kind)
        )
    group.command("mark-reported")(mark)
    app.add_typer(group, name="report")


_STATUS: Final = "CSV with a line of totals. Status 1, and a line on stderr for each reason, when it does not add up."
_EXAMPLE: Final = {
    "opening": "opening --day 2026-11-24",
    "scenario": "scenario --since 2026-11-01 --until 2026-12-01 --out scenarios.csv",
    "operation": "operation --day 2026-11-24",
    "numbers": "numbers --day 2026-11-24 --json",
    "ledger": "ledger --since 2026-01-01 --until 2027-01-01",
}


def _from_store(kind: str) -> Callable[..., int]:
    def verb(
        context: typer.Context,
        day: Annotated[str, _DAY] = "",
        since: Annotated[str, _SINCE] = "",
        until: Annotated[str, _UNTIL] = "",
        out: Annotated[Path | None, _OUT] = None,
        as_json: Annotated[bool, JSON] = False,
    ) -> int:
        return _report(context, kind, _days(day, since, until), None, out, as_json)

    return verb


def _from_records(kind: str) -> Callable[..., int]:
    def verb(
        context: typer.Context,
        day: Annotated[str, _DAY] = "",
        since: Annotated[str, _SINCE] = "",
        until: Annotated[str, _UNTIL] = "",
        out: Annotated[Path | None, _OUT] = None,
        from_archive: Annotated[Path | None, FROM_ARCHIVE] = None,
        as_json: Annotated[bool, JSON] = False,
    ) -> int:
        return _report(context, kind, _days(day, since, until), from_archive, out, as_json)

    return verb


def _days(day: str, since: str, until: str) -> Period:
    """What the options say; UsageFault."""
    try:
        return period(day, since, until)
    except Problem as problem:
        raise UsageFault(f"--{problem.field}: {problem.detail}") from None


def _report(
    context: typer.Context, kind: str, asked: Period, from_archive: Path | None, out: Path | None, as_json: bool
) -> int:
    config = configuration(context)
    existing(config.data_dir / "bindings.db")
    archive = None if from_archive is None else Archive(from_archive)
    with counted_bar("records") as progress:
        cipher = open_key(config.data_dir)
        report = asyncio.run(make(kind, config.data_dir, cipher, asked, time.time(), archive, progress))
    records = config.data_dir / "records.db"
    if kind not in OF_BINDINGS and records.is_file():
        tell_what_waits(records)
    if out is not None:
        _write(out, report.csv())
        say(f"{out}: {len(report.rows)} lines and their total")
    elif as_json:
        say_json(report.as_dict())
    else:
        say(report.csv().removesuffix("\n"))
    return _told(report)


def _told(report: Report) -> int:
    for note in report.notes:
        tell(f"veil700: {note}")
    for finding in report.findings:
        tell(f"veil700: does not add up: {finding}")
    return FAILED if report.findings else DONE


def _write(out: Path, text: str) -> None:
    """All of it or nothing: a reader never finds half a report."""
    half = out.with_name(f".{out.name}.part")
    try:
        half.write_text(text, encoding="utf-8", newline="")
        half.replace(out)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise StoreError(f"{out}: {error.strerror}") from None


def mark(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="The 11 digits of a block.", show_default=False)],
    day: Annotated[
        str, typer.Option(metavar="D", help="When it was reported; today by default.", show_default=False)
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write down that the opening of a block was reported to the authority.

    \b
    Example:
      veil700 report mark-reported 70012345678 --day 2026-11-24
    """
    data_dir = configuration(context).data_dir
    path = existing(data_dir / "bindings.db")
    now = time.time()
    told = day or china_day(now)
    connection: sqlite3.Connection = open_database(path, BINDINGS, open_key(data_dir))
    try:
        with store_errors(path), transaction(connection):
            before = mark_reported(connection, prefix, told, asker_because(None), now)
    finally:
        connection.close()
    if as_json:
        say_json({"prefix": prefix, "reported_day": told, "before": before})
    else:
        say(f"{prefix}: reported on {told}{f', not on {before}' if before else ''}")
