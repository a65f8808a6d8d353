"""Verbs about records: cdr export, cdr settlement, cdr archive; those about the chain stand in `engine.cli.chain`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.cli import chain
from engine.cli.common import (
    FROM_ARCHIVE,
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
from engine.cli.progress import counted_bar
from engine.cli.unread import tell_what_waits
from engine.config import Config
from engine.store.archive import archive as write_archive
from engine.store.archive_reader import Archive
from engine.store.binding_import import csv_line
from engine.store.crypto import open_key
from engine.store.export import RecordReader, open_records
from engine.store.record_forms import ExportFormat
from engine.store.settlement import COLUMNS, Settlement


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="The records of calls and messages.", rich_markup_mode=None)
    group.command("export")(export)
    chain.add_to(group)
    group.command("settlement")(settlement)
    group.command("archive")(archive)
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
    from_archive: Annotated[Path | None, FROM_ARCHIVE] = None,
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

    async def work() -> None:
        async with _records(config, from_archive) as reader:
            lines = reader.export(form or ExportFormat.JSONL, since_s, until_s, who, config.cdr.utc_offset_s)
            async for line in lines:
                say(guarded_csv(line) if form is ExportFormat.CSV else line)
            if gone := reader.purged_since(since_s):
                tell(f"veil700: records up to {gone} were purged and are not among these: --from-archive reads them")

    asyncio.run(work())


def settlement(
    context: typer.Context,
    from_: Annotated[str, typer.Option("--from", metavar="DAY", help="First day: 2026-11-01.", show_default=False)],
    until: Annotated[str, typer.Option(metavar="DAY", help="The day behind the last one.", show_default=False)],
    from_archive: Annotated[Path | None, FROM_ARCHIVE] = None,
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
    sums = Settlement(config.cdr.settlement_rounding, offset, config.cdr.utc_offset_s)

    async def work() -> int:
        async with _records(config, from_archive) as reader:
            with counted_bar("records") as progress:
                return await reader.settle(sums, since_s, until_s, progress)

    still_open = asyncio.run(work())
    lines = [asdict(line) for line in sums.lines()]
    if as_json:
        say_json(lines)
    else:
        for values in (COLUMNS, *(line.values() for line in lines)):
            say(csv_line(values))
    if still_open:
        tell(f"veil700: not counted, since still in progress: {still_open} of these days")


def archive(
    context: typer.Context,
    until: Annotated[str, typer.Option(metavar="DAY", help="Days before this one, UTC.", show_default=False)],
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Default: archive_dir of [cdr].", show_default=False)
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write each day that is over, and not in the archive yet, as one Parquet file with a manifest.

    \b
    The folder must exist. Needs no key: numbers stay encrypted. The node may be running.
    Example:
      veil700 cdr archive --until 2026-11-01 --dir /srv/veil700-archive
    """
    config = configuration(context)
    midnight("--until", until, "+00:00")
    target = folder or config.archive_dir
    if target is None:
        raise UsageFault("--dir is missing, and [cdr] names no archive_dir")
    path = existing(config.data_dir / "records.db")
    with counted_bar("records") as progress:
        written = write_archive(path, target, until, progress)
    if as_json:
        say_json([asdict(manifest) for manifest in written])
        return
    for manifest in written:
        say(f"{manifest.file}: {manifest.records} records, seq {manifest.first_seq} to {manifest.last_seq}")
    say(f"{len(written)} days archived, {sum(manifest.records for manifest in written)} records")


@asynccontextmanager
async def _records(config: Config, from_archive: Path | None) -> AsyncIterator[RecordReader]:
    """A reader; at the end it is told what a node that was killed has left in its journal."""
    path = existing(config.data_dir / "records.db")
    behind = None if from_archive is None else Archive(from_archive)
    async with open_records(config.data_dir, open_key(config.data_dir), archive=behind) as reader:
        yield reader
    tell_what_waits(path)
