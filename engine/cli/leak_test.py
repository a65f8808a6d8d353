"""The verb leak-test: canaries wherever a number can hide, through the node, and a table of what crossed."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from engine.cli.common import (
    DONE,
    FAILED,
    INTERRUPTED,
    JSON,
    USAGE,
    UsageFault,
    configuration,
    printable,
    row_text,
    say,
    say_json,
    tell,
)
from engine.config import Config
from engine.control.client import ControlError
from engine.leaktest.errors import RigError
from engine.leaktest.judge import Outcome
from engine.leaktest.own import own_node
from engine.leaktest.pair import Pair
from engine.leaktest.rig import Rig, Row, Table, Verdict, check_places
from engine.leaktest.running import running_node, why_not

_T = TypeVar("_T")
_MOST_TOLD: Final = 8  # lines below a row

_COLUMNS: Final = {"place": 36, "direction": 15, "messages": 8, "verdict": 10}


def add_to(app: typer.Typer) -> None:
    """Hang the verb of this module into the application."""
    app.command("leak-test")(leak_test)


def leak_test(
    context: typer.Context,
    places: Annotated[
        str,
        typer.Option(
            "--places", metavar="GLOB", help="Only the places with such names: 'sdp/*'; a wrong one tells the groups."
        ),
    ] = "*",
    running: Annotated[bool, typer.Option("--running", help="Only through the node that runs.")] = False,
    own: Annotated[
        bool, typer.Option("--own", help="Through a node of the test's own, whether or not one runs.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Draws the same canaries again.", show_default=False)
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Hide canaries wherever a number can stand in a message, send them through the node, and look for them behind it.

    Drives the running node where its trunks lead to this machine, else a node of its own on the same configuration,
    moved onto loopback. Status 0 when every place was driven and nothing crossed that the
    configuration does not let through, 1 when something did or a place was not driven, 2 when the test cannot run.

    \b
    Example:
      veil700 leak-test --config veil700.toml
      veil700 leak-test --own --places 'sdp/*'
    """
    if running and own:
        raise UsageFault("--running and --own exclude one another")
    config = configuration(context)
    try:
        check_places(places)
    except RigError as error:
        raise UsageFault(f"--places: {error}") from None
    drawn = secrets.randbelow(2**32) if seed is None else seed
    forced = "running" if running else "own" if own else ""
    try:
        table, header = asyncio.run(_until_stopped(_drive(config, places, forced, drawn)))
    except asyncio.CancelledError:
        return INTERRUPTED
    except (RigError, ControlError) as error:
        tell(f"veil700: leak-test: {error}")
        return USAGE
    if as_json:
        say_json(_document(table, header, drawn))
    else:
        _say_table(table, header, drawn)
    return DONE if table.is_clean else FAILED


async def _until_stopped(work: Coroutine[Any, Any, _T]) -> _T:
    """The same, cancelled by SIGTERM or Ctrl-C: what was bound is unbound. A second one does not disturb that."""
    task = asyncio.ensure_future(work)

    def stop() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return await task


async def _drive(config: Config, places: str, forced: str, seed: int) -> tuple[Table, str]:
    """The table, and in one line what was driven."""
    random = Random(seed)  # noqa: S311  # canaries, not secrets: a run can be repeated
    reason = "" if forced == "own" else why_not(config, Random(seed))  # noqa: S311
    if forced == "running" and reason:
        raise RigError(reason)
    node: AbstractAsyncContextManager[list[Pair]]
    if forced == "own" or reason:
        node = own_node(config, random)
        what = "a node of the test's own on the same configuration, moved onto loopback"
        header = f"{what} ({reason})" if reason else what
    else:
        node, header = running_node(config, random), "the node that runs"
    async with node as pairs, _progress() as progress:
        rig = Rig(pairs, places, random)
        table = await rig.run(progress)
    return table, header


@asynccontextmanager
async def _progress() -> AsyncIterator[Any]:
    """What is called after each conversation; it draws a bar on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.completed} of {task.total} conversations"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("leak-test")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say_table(table: Table, header: str, seed: int) -> None:
    say(printable(f"driven: {header}; --seed {seed}"))
    widths = list(_COLUMNS.values())
    pairs = list(dict.fromkeys(row.pair for row in table.rows.values()))
    for pair in pairs:
        say(f"\n{printable(pair)}")
        say(row_text(_COLUMNS, widths))
        for row in _ordered(table, pair):
            count = sum(map(len, row.outcomes.values()))
            say(row_text((row.place, row.direction, count, row.verdict.value), widths))
            for line in _details(row):
                say(f"    {printable(line)}")
    counts = {verdict: len(table.of(verdict)) for verdict in Verdict}
    say("\n" + ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count))


def _ordered(table: Table, pair: str) -> list[Row]:
    """The rows of a pair; the kinds of messages behind the places."""
    rows = [row for row in table.rows.values() if row.pair == pair]
    return sorted(rows, key=lambda row: (row.place.startswith("message/"), row.place, row.by != "caller"))


def _details(row: Row) -> list[str]:
    """Why a row is not ok."""
    if row.verdict is Verdict.NOT_DRIVEN:
        points = [point for point, outcomes in row.outcomes.items() if Outcome.NOT_DRIVEN in outcomes]
        return [f"not driven in {', '.join(points)}: {row.why}"]
    if row.place.startswith("message/"):
        return [f"from {', '.join(dict.fromkeys(leak.place for leak in row.leaks))}"] if row.leaks else []
    lines = []
    for leak in row.leaks:
        source = f"put into {leak.point}, " if leak.point else ""
        how = f", let through by {leak.passed_by}" if leak.passed_by else ""
        lines.append(f"{source}seen in {leak.seen_in} ({leak.spelling}){how}")
    told = list(dict.fromkeys(lines))
    return told if len(told) <= _MOST_TOLD else [*told[:_MOST_TOLD], f"and {len(told) - _MOST_TOLD} more: see --json"]


def _document(table: Table, header: str, seed: int) -> dict[str, object]:
    return {
        "driven": header,
        "seed": seed,
        "clean": table.is_clean,
        "rows": [
            {
                "pair": row.pair,
                "place": row.place,
                "direction": row.direction,
                "verdict": row.verdict.value,
                "messages": {point: [each.value for each in found] for point, found in row.outcomes.items()},
                "leaks": [
                    {"put_into": leak.point, "seen_in": leak.seen_in, "spelling": leak.spelling,
                     "passed_by": leak.passed_by}
                    for leak in row.leaks
                ],
                "why": row.why,
            }
            for row in table.rows.values()
        ],
    }  # fmt: skip
