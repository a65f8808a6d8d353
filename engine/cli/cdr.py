"""Verbs about records: cdr export, cdr verify, cdr settlement."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from engine.cli.common import (
    DONE,
    FAILED,
    JSON,
    REASON,
    UsageFault,
    asker,
    configuration,
    existing,
    guarded_csv,
    instant,
    midnight,
    say,
    say_json,
    tell,
)
from engine.store.binding_import import csv_line
from engine.store.crypto import open_key
from engine.store.export import open_records
from engine.store.record_forms import ExportFormat
from engine.store.settlement import COLUMNS, Settlement
from engine.store.verify import NodeReport, verify


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="The records of calls and messages.", rich_markup_mode=None)
    group.command("export")(export)
    group.command("verify")(verify_)
    group.command("settlement")(settlement)
    app.add_typer(group, name="cdr")


def export(
    context: typer.Context,
    form: Annotated[ExportFormat | None, typer.Option("--format", help="Default: jsonl.", show_default=False)] = None,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="Attempts that began at T or later, RFC 3339.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="T", help="Attempts that began before T.", show_default=False)
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Real numbers in clear; is audited.")] = False,
    reason: Annotated[str | None, REASON] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
) -> None:
    """Print the records, oldest first, real numbers masked.

    \b
    Example:
      veil700 cdr export --format csv --since 2026-11-24T00:00:00+08:00 > records.csv
      veil700 cdr export --reveal --reason "complaint 4711"
    """
    if as_json and form not in (None, ExportFormat.JSONL):
        raise UsageFault(f"--json and --format {form} exclude each other")
    since_s, until_s = instant("--since", since), instant("--until", until)
    if since_s is not None and until_s is not None and since_s >= until_s:
        raise UsageFault("--since must lie before --until")
    who = asker(reveal, reason)
    config = configuration(context)
    existing(config.data_dir / "records.db")

    async def work() -> None:
        async with open_records(config.data_dir, open_key(config.data_dir)) as reader:
            lines = reader.export(form or ExportFormat.JSONL, since_s, until_s, who, config.cdr.utc_offset_s)
            async for line in lines:
                say(guarded_csv(line) if form is ExportFormat.CSV else line)

    asyncio.run(work())


def verify_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> int:
    """Check that every record is there, unchanged and in its place. Needs no key; the node may be running.

    \b
    Example:
      veil700 cdr verify
    """
    report = verify(existing(configuration(context).data_dir / "records.db"))
    if as_json:
        nodes = [asdict(node) for node in report.nodes]
        say_json({"clean": report.is_clean, "records": report.records, "nodes": nodes})
    else:
        for node in report.nodes:
            _say_node(node)
        say(f"{report.records} records, {'clean' if report.is_clean else 'NOT CLEAN'}")
    return DONE if report.is_clean else FAILED


def settlement(
    context: typer.Context,
    from_: Annotated[str, typer.Option("--from", metavar="DAY", help="First day: 2026-11-01.", show_default=False)],
    until: Annotated[str, typer.Option(metavar="DAY", help="The day behind the last one.", show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Add up calls, minutes and messages per day, peer, direction and service, as CSV.

    \b
    Example:
      veil700 cdr settlement --from 2026-11-01 --until 2026-12-01 > november.csv
    """
    config = configuration(context)
    offset = config.cdr.utc_offset
    since_s, until_s = midnight("--from", from_, offset), midnight("--until", until, offset)
    if since_s >= until_s:
        raise UsageFault("--from must lie before --until")
    existing(config.data_dir / "records.db")
    sums = Settlement(config.cdr.settlement_rounding, offset, config.cdr.utc_offset_s)

    async def work() -> int:
        async with open_records(config.data_dir, open_key(config.data_dir)) as reader:
            return await reader.settle(sums, since_s, until_s)

    still_open = asyncio.run(work())
    lines = [asdict(line) for line in sums.lines()]
    if as_json:
        say_json(lines)
    else:
        for values in (COLUMNS, *(line.values() for line in lines)):
            say(csv_line(values))
    if still_open:
        tell(f"veil700: {still_open} attempts of these days are still in progress and not counted")


def _say_node(node: NodeReport) -> None:
    say(f"{node.node}: {node.records} records, last seq {node.last_seq}, {node.open} open")
    for fault in node.faults:
        say(f"{node.node}: {fault}")
