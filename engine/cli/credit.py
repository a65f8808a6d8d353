"""Verbs about the credit file: add, list, export, import."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from engine.cli.common import JSON, asker_because, configuration, existing, moment, say, say_json, say_table
from engine.domain.credit import WEIGHTS
from engine.store.credit import add_event, export_events, import_events, list_events, score_of
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database, store_errors, transaction
from engine.store.entities import read
from engine.store.errors import StoreError

_COLUMNS: Final = {"uscc": 18, "offence": 13, "at": 24, "source": 16, "detail": 0}
_USER: Final = typer.Argument(metavar="BUSINESS_USER", help="Its id.", show_default=False)

T = TypeVar("T")


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="The credit file of business users.", rich_markup_mode=None)
    group.command("add")(add)
    group.command("list")(list_)
    group.command("export")(export)
    group.command("import")(import_)
    app.add_typer(group, name="credit")


def add(
    context: typer.Context,
    business_user: Annotated[str, _USER],
    offence: Annotated[str, typer.Option(help=f"{', '.join(WEIGHTS)}.", show_default=False)],
    detail: Annotated[str, typer.Option(metavar="TEXT", help="What happened.", show_default=False)],
    at: Annotated[str, typer.Option(metavar="T", help="When, RFC 3339; now by default.", show_default=False)] = "",
    source: Annotated[str, typer.Option(help="Who tells of it; [node] domain by default.", show_default=False)] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write down an offence of a company, which lowers its score. It counts for all its business users.

    \b
    Example:
      veil700 credit add bu-express --offence marketing --detail "complaint 17"
    """
    told_by = source or configuration(context).node.domain
    at_s = moment("--at", at) if at else None

    def work(connection: sqlite3.Connection, now: float) -> int:
        when = now if at_s is None else at_s
        return add_event(connection, business_user, offence, when, told_by, detail, asker_because(None), now)

    score = _write(context, work)
    if as_json:
        say_json({"business_user": business_user, "credit_score": score})
    else:
        say(f"{business_user}: score {score}")


def list_(
    context: typer.Context,
    business_user: Annotated[str, typer.Option(metavar="ID", help="Of its company alone.", show_default=False)] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List offences in the order in which they were written down, and the score of one company.

    \b
    Example:
      veil700 credit list --business-user bu-express
    """

    def work(connection: sqlite3.Connection, _: float) -> tuple[list[dict[str, object]], int | None]:
        uscc = str(read(connection, "business_user", business_user)["uscc"]) if business_user else ""
        events = [event._asdict() for event in list_events(connection, uscc)]
        return events, score_of(connection, uscc) if uscc else None

    events, score = _write(context, work)
    if as_json:
        say_json({"events": events, "credit_score": score})
        return
    say_table(_COLUMNS, ((event[name] for name in _COLUMNS) for event in events))
    if score is not None:
        say(f"score {score}")


def export(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Print all offences as JSON lines, to be shared with other platforms. They are JSON with and without --json.

    \b
    Example:
      veil700 credit export > offences.jsonl
    """
    for line in _write(context, lambda connection, _: list(export_events(connection))):
        say(line)


def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="What was exported.", show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Take offences that others have shared, all or nothing; what is known already changes nothing.

    \b
    Example:
      veil700 credit import offences.jsonl
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StoreError(f"{file}: is not UTF-8") from None
    done = _write(context, lambda connection, now: import_events(connection, lines, asker_because(None), now))
    if as_json:
        say_json(done._asdict())
    else:
        say(f"{done.new} new, {done.known} known already")


def _write(context: typer.Context, work: Callable[[sqlite3.Connection, float], T]) -> T:
    """In one transaction."""
    data_dir = configuration(context).data_dir
    path = existing(data_dir / "bindings.db")
    connection = open_database(path, BINDINGS, open_key(data_dir))
    try:
        with store_errors(path), transaction(connection):
            return work(connection, time.time())
    finally:
        connection.close()
