"""Verbs about records: cdr export, cdr verify."""

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
    say,
    say_json,
)
from engine.store.crypto import open_key
from engine.store.export import ExportFormat, open_records
from engine.store.verify import NodeReport, verify


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="The records of calls and messages.", rich_markup_mode=None)
    group.command("export")(export)
    group.command("verify")(verify_)
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
    if as_json and form is ExportFormat.CSV:
        raise UsageFault("--json and --format csv exclude each other")
    since_s, until_s = instant("--since", since), instant("--until", until)
    if since_s is not None and until_s is not None and since_s >= until_s:
        raise UsageFault("--since must lie before --until")
    who = asker(reveal, reason)
    config = configuration(context)
    existing(config.data_dir / "records.db")

    async def work() -> None:
        async with open_records(config.data_dir, open_key(config.data_dir)) as reader:
            async for line in reader.export(form or ExportFormat.JSONL, since_s, until_s, who):
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


def _say_node(node: NodeReport) -> None:
    say(f"{node.node}: {node.records} records, last seq {node.last_seq}, {node.open} open")
    for fault in node.faults:
        say(f"{node.node}: {fault}")
