"""The verb audit list: who looked at what is shown only with a reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from engine.cli.common import JSON, configuration, existing, instant, say_json, say_table
from engine.store.audit import read_audit

_COLUMNS = {"at": 24, "actor": 10, "action": 15, "reason": 24, "detail": 0}


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Who looked at real numbers.", rich_markup_mode=None)
    group.callback()(lambda: None)  # keeps `list` a word of its own while it is the only one
    group.command("list")(list_)
    app.add_typer(group, name="audit")


def list_(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(metavar="T", help="From T on, RFC 3339.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="Before T.", show_default=False)] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List who has seen real numbers in clear, purged records or changed the inventory: when, how, why, and which.

    \b
    Example:
      veil700 audit list --since 2026-11-24T00:00:00+08:00
    """
    since_s, until_s = instant("--since", since), instant("--until", until)
    path = existing(configuration(context).data_dir / "bindings.db")
    rows = [asdict(row) for row in read_audit(path, since_s, until_s)]
    if as_json:
        say_json(rows)
        return
    say_table(_COLUMNS, ((row[name] or "-" for name in _COLUMNS) for row in rows))
