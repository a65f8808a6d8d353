"""Verbs about many bindings: bindings import, list and export."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.common import (
    DONE,
    FAILED,
    JSON,
    REASON,
    asker,
    binding_store,
    configuration,
    guarded_csv,
    row_text,
    say,
    say_json,
    say_json_array,
    tell,
)
from engine.cli.progress import counted_bar
from engine.store.binding_import import COLUMNS, ImportReport
from engine.store.binding_import import Progress as ProgressCall
from engine.store.bindings import BindingRow
from engine.store.errors import StoreError

_LIST_COLUMNS = {
    "subs_id": 32, "mode": 4, "tel_x": 15, "tel_a": 11, "tel_b": 11, "business_user": 13, "scenario": 10,
    "expiration": 24, "state": 7, "order_id": 8,
}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Many bindings at once.", rich_markup_mode=None)
    group.command("import")(import_)
    group.command("list")(list_)
    group.command("export")(export)
    app.add_typer(group, name="bindings")


def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Bindings to make.", show_default=False)],
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good lines, leave out the bad ones.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Make one binding for each line of a CSV file, all or nothing; every bad line is told by its number.

    \b
    The header names the columns:
      mode,tel_x,tel_y,tel_a,tel_b,group_id,business_user,order_id,scenario,expiration
    Example:
      veil700 bindings import orders.csv
    """

    if not file.exists():
        raise StoreError(f"{file}: no such file")

    async def work() -> ImportReport:
        async with binding_store(configuration(context)) as store:
            with _progress_bar(file) as progress:
                return await store.import_csv(file, skip_bad, progress)

    report = asyncio.run(work())
    for line in report.lines:
        tell(f"{file}: {line}")
    if as_json:
        say_json({"imported": report.imported, "bad": report.bad})
    else:
        say(f"imported {report.imported}, bad {report.bad}")
    return FAILED if report.bad and not skip_bad else DONE


def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List all bindings, oldest first, real numbers masked.

    \b
    Example:
      veil700 bindings list
    """

    async def work() -> None:
        async with binding_store(configuration(context), must_exist=True) as store:
            if as_json:
                await say_json_array(_as_dicts(store.list()))
                return
            widths = list(_LIST_COLUMNS.values())
            say(row_text(_LIST_COLUMNS, widths))
            async for row in store.list():
                say(row_text((getattr(row, name) for name in _LIST_COLUMNS), widths))

    asyncio.run(work())


def export(
    context: typer.Context,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Real numbers in clear, which can be imported again; is audited.")
    ] = False,
    reason: Annotated[str | None, REASON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Print the bindings in force as CSV, oldest first, real numbers masked.

    \b
    Only a revealed export can be imported again.
    Example:
      veil700 bindings export --reveal --reason "move to veil-2" > bindings.csv
    """

    who = asker(reveal, reason)

    async def work() -> None:
        async with binding_store(configuration(context), must_exist=True) as store:
            lines = store.export(who)
            if as_json:
                await say_json_array(_as_objects(lines))
                return
            async for line in lines:
                # A revealed export is the import format: it must come back as it was.
                say(guarded_csv(line) if who is None else line)

    asyncio.run(work())


async def _as_dicts(rows: AsyncIterator[BindingRow]) -> AsyncIterator[object]:
    async for row in rows:
        yield asdict(row)


async def _as_objects(lines: AsyncIterator[str]) -> AsyncIterator[object]:
    """Lines of CSV, header first, as JSON objects."""
    is_header = True
    async for line in lines:
        if not is_header:
            yield dict(zip(COLUMNS, next(csv.reader([line])), strict=True))
        is_header = False


@contextmanager
def _progress_bar(file: Path) -> Iterator[ProgressCall | None]:
    """What draws the bar on a terminal; None where there is none."""
    if not file.is_file():
        yield None
        return
    size = file.stat().st_size
    with counted_bar("bytes", size) as draw:
        yield None if draw is None else lambda _lines, octets: draw(octets, size)
