"""What the verbs share: where the data lies, who asks, and how answers look on a terminal, in JSON and in CSV."""

from __future__ import annotations

import csv
import json
import os
import pwd
import re
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import typer

from engine.config import Config, load
from engine.store.audit import MAX_REASON, Asker
from engine.store.binding_import import csv_line
from engine.store.bindings import BindingStore, open_bindings
from engine.store.crypto import open_key
from engine.store.errors import StoreError
from engine.store.record_forms import without_formula

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

JSON: Final = typer.Option("--json", help="Print JSON.")

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII)

REASON: Final = typer.Option(
    "--reason", metavar="TEXT", help="Why the numbers are shown; goes into the audit.", show_default=False
)


FROM_ARCHIVE: Final = typer.Option(
    "--from-archive",
    metavar="DIR",
    help="Read this archive, then the table behind it.",
    show_default=False,
)


class UsageFault(Exception):
    """Wrong usage: one line, exit status 2."""


def configuration(context: typer.Context) -> Config:
    """The configuration that the command line names, or the default one. ConfigError."""
    return load(context.obj)


def existing(path: Path) -> Path:
    """`path`; StoreError when nothing has been written there yet, so that a look makes no empty store."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file: nothing has been written into this data folder yet")
    return path


@asynccontextmanager
async def binding_store(config: Config, *, must_exist: bool = False) -> AsyncIterator[BindingStore]:
    """The bindings of a configuration; `must_exist`: StoreError when nothing has been written yet."""
    path = config.data_dir / "bindings.db"
    if must_exist:
        existing(path)
    async with open_bindings(path, open_key(config.data_dir), announces=config.api is not None) as store:
        yield store


def asker(reveal: bool, reason: str | None) -> Asker | None:
    """Who asks to see real numbers, and why; None when nobody does. UsageFault."""
    if reason is not None and not reveal:
        raise UsageFault("--reason goes with --reveal")
    return asker_because(reason) if reveal else None


def asker_because(reason: str | None) -> Asker:
    """Who asks, and why, None for no word. UsageFault."""
    text = " ".join((reason or "").split())
    if reason is not None and not text:
        raise UsageFault("--reason is empty")
    if len(text) > MAX_REASON:
        raise UsageFault(f"--reason has {len(text)} characters, {MAX_REASON} are kept")
    return Asker(actor(), text)


def actor() -> str:
    """Who runs this command, for the audit: the system's name for the process owner, not a variable."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def instant(option: str, text: str | None) -> float | None:
    """`moment`; None stays None."""
    return None if text is None else moment(option, text)


def moment(option: str, text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; UsageFault for anything else."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise UsageFault(f"{option}: {text!r} is not an RFC 3339 time such as 2026-11-24T08:00:00+08:00")
    if found["offset"] is None:
        raise UsageFault(f"{option}: {text!r} does not say its offset from UTC: add Z or +08:00")
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageFault(f"{option}: {text!r}: {error}") from None


def midnight(option: str, text: str, utc_offset: str) -> float:
    """Seconds since the epoch at which a day begins, at `+08:00` from UTC; UsageFault for what is no day."""
    if _DAY.fullmatch(text) is None:
        raise UsageFault(f"{option}: {text!r} is not a day such as 2026-11-24")
    try:
        return datetime.fromisoformat(f"{text}T00:00:00{utc_offset}").timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageFault(f"{option}: {text!r}: {error}") from None


def say(text: str) -> None:
    """One line of the answer, on stdout."""
    sys.stdout.write(f"{text}\n")


def tell(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(f"{text}\n")


def say_json(value: object) -> None:
    """The answer as one JSON document."""
    say(json.dumps(value, ensure_ascii=False, indent=2))


async def say_json_array(values: AsyncIterator[object]) -> None:
    """A JSON array with one element a line, written while it is read."""
    before = "[\n"
    async for value in values:
        sys.stdout.write(before + json.dumps(value, ensure_ascii=False))
        before = ",\n"
    say("[]" if before == "[\n" else "\n]")


def say_facts(facts: Mapping[str, object], indent: str = "") -> None:
    """`name  value` lines; a mapping as a value becomes lines that stand further in."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        if isinstance(value, Mapping):
            say(f"{indent}{name}")
            say_facts(value, indent + "  ")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            say(f"{indent}{name:<{width}}  {printable(text)}".rstrip())


def say_table(columns: Mapping[str, int], rows: Iterable[Iterable[object]]) -> None:
    """A line with the names of the columns, then one a row; `columns` have their widths in characters."""
    widths = list(columns.values())
    say(row_text(columns, widths))
    for row in rows:
        say(row_text(row, widths))


def row_text(values: Iterable[object], widths: Sequence[int]) -> str:
    """One line of a table; a value that is too long moves the others, nothing is cut off."""
    cells = (f"{printable(str(value)):<{width}}" for value, width in zip(values, widths, strict=True))
    return "  ".join(cells).rstrip()


def printable(text: str) -> str:
    """`text` without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


def guarded_csv(line: str) -> str:
    """A line of CSV in which no cell is a formula to a spreadsheet: such a cell begins with an apostrophe."""
    return csv_line(map(without_formula, next(csv.reader([line]))))
