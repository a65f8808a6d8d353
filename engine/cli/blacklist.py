"""Verbs about who may not call whom: blacklist add, remove and list."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import typer

from engine.cli.common import JSON, actor, binding_store, configuration, say_json, say_table
from engine.core.numbers import mask
from engine.store.audit import Asker, insert_audit
from engine.store.blacklist import Entry, add_to_blacklist, read_blacklist, remove_from_blacklist
from engine.store.crypto import NumberCipher, open_key
from engine.store.rows import utc_text

_COLUMNS: Final = {"first": 11, "second": 11, "way": 14, "at": 24}
_PLATFORM: Final = typer.Option(help="Whose blacklist it is.", show_default=False)
_FIRST: Final = typer.Option(help="A real number.", show_default=False)
_SECOND: Final = typer.Option(help="Another one; without it the first may call nobody, and nobody it.")

T = TypeVar("T")


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Who may not call whom.", rich_markup_mode=None)
    group.command("add")(add)
    group.command("remove")(remove)
    group.command("list")(list_)
    app.add_typer(group, name="blacklist")


def add(
    context: typer.Context,
    app_platform: Annotated[str, _PLATFORM],
    first: Annotated[str, _FIRST],
    second: Annotated[str, _SECOND] = "",
    way: Annotated[str, typer.Option(help="both, or first_may_call: only the second may not.")] = "both",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Refuse calls and messages of a number, or between two. It counts for the very next call.

    \b
    Example:
      veil700 blacklist add --app-platform ap-demo --first 13800138000
      veil700 blacklist add --app-platform ap-demo --first 13800138000 --second 13900139000 --way first_may_call
    """

    def work(connection: sqlite3.Connection, cipher: NumberCipher, now: float) -> Entry:
        entry = add_to_blacklist(connection, cipher, app_platform, first, second, way, now)
        _audit(connection, now, "blacklist.add", app_platform, first, second)
        return entry

    entry = _write(context, work)
    if as_json:
        say_json(_told(entry))


def remove(
    context: typer.Context,
    app_platform: Annotated[str, _PLATFORM],
    first: Annotated[str, _FIRST],
    second: Annotated[str, _SECOND] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Take a number, or two, off the blacklist.

    \b
    Example:
      veil700 blacklist remove --app-platform ap-demo --first 13800138000
    """

    def work(connection: sqlite3.Connection, cipher: NumberCipher, now: float) -> None:
        remove_from_blacklist(connection, cipher, app_platform, first, second)
        _audit(connection, now, "blacklist.remove", app_platform, first, second)

    _write(context, work)
    if as_json:
        say_json({"removed": 1})


def list_(
    context: typer.Context, app_platform: Annotated[str, _PLATFORM], as_json: Annotated[bool, JSON] = False
) -> None:
    """List the blacklist of a platform, oldest first, numbers masked.

    \b
    Example:
      veil700 blacklist list --app-platform ap-demo
    """
    entries = _write(context, lambda connection, cipher, _: list(read_blacklist(connection, cipher, app_platform)))
    if as_json:
        say_json([_told(entry) for entry in entries])
        return
    say_table(_COLUMNS, (_told(entry).values() for entry in entries))


def _told(entry: Entry) -> dict[str, str]:
    return {"first": mask(entry.first), "second": mask(entry.second), "way": entry.way, "at": utc_text(entry.at)}


def _audit(connection: sqlite3.Connection, now: float, action: str, app_platform: str, *numbers: str) -> None:
    detail = " ".join((app_platform, *map(mask, filter(None, numbers))))
    insert_audit(connection, now, Asker(actor()), action, detail)


def _write(context: typer.Context, work: Callable[[sqlite3.Connection, NumberCipher, float], T]) -> T:
    config = configuration(context)
    cipher = open_key(config.data_dir)

    async def in_store() -> T:
        async with binding_store(config, must_exist=True) as store:
            return await store.write(lambda _, connection, now: work(connection, cipher, now))

    return asyncio.run(in_store())
