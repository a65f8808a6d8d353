"""Verbs about groups, which stand in the place of A: group create, edit, delete and list."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import typer

from engine.cli.common import JSON, UsageFault, actor, binding_store, configuration, say, say_json, say_table
from engine.store.audit import Asker
from engine.store.binder import Binder
from engine.store.crypto import open_key
from engine.store.groups import ADD, OVERWRITE, REMOVE, Group, Groups, each_group, masked

_COLUMNS: Final = {"group_id": 32, "state": 7, "version": 7, "business_user": 13, "name": 16, "members": 11}
_ID: Final = typer.Argument(metavar="GROUP_ID", help="As `group create` printed it.", show_default=False)

T = TypeVar("T")


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Groups of numbers in the place of A.", rich_markup_mode=None)
    group.command("create")(create)
    group.command("edit")(edit)
    group.command("delete")(delete)
    group.command("list")(list_)
    app.add_typer(group, name="group")


def create(
    context: typer.Context,
    business_user: Annotated[str, typer.Option(help="Whose group it is.", show_default=False)],
    name: Annotated[str, typer.Option(help="What it is called.", show_default=False)],
    member: Annotated[list[str], typer.Option(help="A real number; once for each, in order.", show_default=False)],
    group_id: Annotated[str, typer.Option(help="Its id; without it one is drawn.", show_default=False)] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Make a group and print its id.

    \b
    Example:
      veil700 group create --business-user bu-express --name "couriers of 17" \\
        --member 13800138000 --member 13700137000
    """
    group = _write(context, lambda groups, now: groups.create(business_user, name, member, now, group_id))
    if as_json:
        say_json(_told(group))
    else:
        say(group.group_id)


def edit(
    context: typer.Context,
    group_id: Annotated[str, _ID],
    add: Annotated[list[str] | None, typer.Option("--add", help="A number more.", show_default=False)] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="A number less.", show_default=False)] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="These instead of all.", show_default=False)] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Change who is in a group. The next call through any of its bindings finds the new members.

    \b
    Example:
      veil700 group edit couriers --add 13600136000 --remove 13800138000
      veil700 group edit couriers --set 13600136000 --set 13700137000
    """
    steps = [(how, numbers) for how, numbers in ((OVERWRITE, set_), (ADD, add), (REMOVE, remove)) if numbers]
    if not steps:
        raise UsageFault("group edit: nothing is named that should change; see veil700 group edit --help")
    if set_ and len(steps) > 1:
        raise UsageFault("group edit: --set names all members, so that --add and --remove have no place beside it")

    def work(groups: Groups, now: float) -> Group:
        for how, numbers in steps:
            group = groups.edit(group_id, how, numbers, now)
        return group

    group = _write(context, work)
    if as_json:
        say_json(_told(group))


def delete(context: typer.Context, group_id: Annotated[str, _ID], as_json: Annotated[bool, JSON] = False) -> None:
    """Delete a group that no binding in force has.

    \b
    Example:
      veil700 group delete couriers
    """
    group = _write(context, lambda groups, now: groups.delete(group_id, now))
    if as_json:
        say_json(_told(group))


def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List all groups, deleted ones too, members masked.

    \b
    Example:
      veil700 group list
    """
    groups = _write(context, lambda groups, _: list(each_group(groups)))
    if as_json:
        say_json([_told(group) for group in groups])
        return
    told = (_told(group) | {"members": " ".join(masked(group.members))} for group in groups)
    say_table(_COLUMNS, ((one[name] for name in _COLUMNS) for one in told))


def _told(group: Group) -> dict[str, object]:
    return {
        "group_id": group.group_id, "app_platform": group.app_platform, "business_user": group.business_user,
        "name": group.name, "state": group.state, "version": group.version, "members": masked(group.members),
    }  # fmt: skip


def _write(context: typer.Context, work: Callable[[Groups, float], T]) -> T:
    config = configuration(context)
    cipher = open_key(config.data_dir)

    def with_groups(binder: Binder, connection: sqlite3.Connection, now: float) -> T:
        return work(Groups(connection, cipher, binder, Asker(actor())), now)

    async def in_store() -> T:
        async with binding_store(config, must_exist=True) as store:
            return await store.write(with_groups)

    return asyncio.run(in_store())
