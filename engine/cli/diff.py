"""The verb diff: what another configuration would change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from engine.cli.common import DONE, FAILED, JSON, UsageFault, existing, instant, say, say_json, tell
from engine.cli.progress import counted_bar
from engine.cli.unread import tell_what_waits
from engine.config import Config, load
from engine.config.restart import changes
from engine.config.values import shown
from engine.control.client import ControlError
from engine.core.numbers import is_privacy_number, mask
from engine.deciding import Arrived, Question
from engine.diff import Corpus, CorpusFault, Differences, compare, of_export, of_numbers, of_records
from engine.store.crypto import open_key
from engine.store.errors import StoreError
from engine.store.recent_calls import recent_calls
from engine.store.rows import utc_text
from sipstack.uri import uri_host

DAY_S: Final = 86_400.0


def add_to(app: typer.Typer) -> None:
    """Hang the verb of this module into the application."""
    app.command("diff")(diff)


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD.toml", help="The configuration as it is.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW.toml", help="As it is to be.", show_default=False)],
    cdr: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The calls of `cdr export --reveal`, jsonl or csv.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="The calls on record since then, RFC 3339. Default: a day.", show_default=False
        ),
    ] = None,
    numbers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A CSV file: caller,called[,peer][,method].", show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When they happen, RFC 3339. Default: now.", show_default=False),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Decide every distinct call of a corpus under two configurations, and tell what changes.

    Nothing is sent or written. The bindings are those in the data folder of OLD. Numbers are shown masked.

    \b
    Status 0: nothing changes. 1: something does. 2: that cannot be told.
    Example:
      veil700 diff configs/embedded.toml new.toml --since 2026-11-26T08:00:00+08:00
      veil700 diff old.toml new.toml --numbers numbers.csv
    """
    if sum(source is not None for source in (cdr, since, numbers)) > 1:
        raise UsageFault("--cdr, --since and --numbers exclude each other")
    since_s, at_s = instant("--since", since), instant("--at", at)
    before, after = load(old), load(new)
    now = time.time()
    try:
        if cdr is not None:
            corpus = of_export(cdr)
        elif numbers is not None:
            corpus = of_numbers(numbers)
        else:
            corpus = on_record(before, now - DAY_S if since_s is None else since_s)
    except CorpusFault as fault:
        raise UsageFault(str(fault)) from None
    except OSError as error:
        raise UsageFault(f"{error.filename}: {error.strerror or error}") from None
    return compared(before, after, corpus, now if at_s is None else at_s, as_json)


def compared(old: Config, new: Config, corpus: Corpus, wall_s: float, as_json: bool) -> int:
    """Tells what changes; the exit status. UsageFault as `differences`."""
    found = differences(old, new, corpus, wall_s)
    if as_json:
        say_json(as_document(old, new, corpus, found))
    else:
        say_differences(old, new, corpus, found)
    return FAILED if found.groups else DONE


@contextmanager
def answered() -> Iterator[None]:
    """Status 1 says that something changes: what keeps that from being told, a damaged store say, is status 2."""
    try:
        yield
    except (StoreError, ControlError) as error:
        raise UsageFault(str(error)) from None


@answered()
def on_record(config: Config, since_s: float) -> Corpus:
    """What the store of a configuration has on record. UsageFault when it has no records yet, or does not answer."""
    path = existing(config.data_dir / "records.db")
    tell_what_waits(path)
    found = recent_calls(path, open_key(config.data_dir), since_s)
    return of_records(found, f"records since {utc_text(since_s)}")


@answered()
def differences(old: Config, new: Config, corpus: Corpus, wall_s: float) -> Differences:
    """Decides all of it, with a bar on a terminal. UsageFault where the store does not answer."""
    store = existing(old.data_dir / "bindings.db"), open_key(old.data_dir)
    return compare(old.core_settings(), new.core_settings(), store, corpus, wall_s, partial(counted_bar, "decisions"))


def _notes(old: Config, new: Config, found: Differences) -> Iterator[str]:
    """What is not compared, and what of the files has changed nothing: limits and times decide no single call."""
    if old.data_dir != new.data_dir:
        yield f"the bindings are those of {old.data_dir}, not of {new.data_dir}"
    inventories = [file and file.read_bytes() for file in (old.inventory_file, new.inventory_file)]
    if inventories[0] != inventories[1]:
        yield "the inventories differ, and neither is applied: the store stays as it is"
    if found.distinct and not found.groups and old.path != new.path and (differing := changes(old, new)):
        yield f"the files differ, and none of these is decided otherwise for it: {'; '.join(differing)}"


def as_document(old: Config, new: Config, corpus: Corpus, found: Differences) -> dict[str, object]:
    """The answer as JSON (docs/tuning.md)."""
    return {
        "old": str(old.path),
        "new": str(new.path),
        "corpus": corpus.origin,
        "distinct": found.distinct,
        "calls": found.calls,
        "changed": found.changed,
        "changed_calls": sum(group.calls for group in found.groups.values()),
        "groups": [
            {
                "changes": {change.what: {"old": change.old, "new": change.new} for change in parts},
                "distinct": group.distinct,
                "calls": group.calls,
                "example": _example(group.example),
            }
            for parts, group in found.ordered()
        ],
        "left_out": dict(sorted(found.left_out.items())),
        "notes": [*corpus.notes, *_notes(old, new, found)],
    }


def _example(question: Question) -> dict[str, str]:
    return {
        "caller": _masked(question.caller),
        "called": _masked(question.called),
        "peer": question.peer or (_source(question.arrived) if question.arrived is not None else ""),
        "method": question.method,
    }


def _source(arrived: Arrived) -> str:
    host, port = arrived.source
    return f"{arrived.transport.lower()}:{uri_host(host)}:{port}"


def _masked(number: str) -> str:
    return number if is_privacy_number(number) else mask(number)


def say_differences(old: Config, new: Config, corpus: Corpus, found: Differences) -> None:
    """For people; what is not compared, on stderr."""
    for note in (*corpus.notes, *_notes(old, new, found)):
        tell(f"veil700: {note}")
    say(f"{corpus.origin}: {found.distinct:,} distinct, {found.calls:,} in all")
    for parts, group in found.ordered():
        say(f"\n{group.distinct:,} change ({group.calls:,} in all)")
        for change in parts:
            say(f"  {change.what:<17} {_value(change.old)}")
            say(f"  {'':<14}-> {_value(change.new)}")
        example = _example(group.example)
        peer = f" from {example['peer']}" if example["peer"] else ""
        say(f"  for example       {example['method']} {example['caller']} to {example['called']}{peer}")
    for reason, count in sorted(found.left_out.items()):
        say(f"\n{count:,} left out: {reason}")
    if found.groups or found.left_out:
        say("")
    if found.groups:
        say(f"{found.changed:,} of {found.distinct:,} change")
    else:
        say("nothing changes" if found.distinct or not found.left_out else "nothing could be decided")


def _value(text: str) -> str:
    return text if text.isprintable() and text else shown(text)
