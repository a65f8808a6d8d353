"""Verbs about complaints: add, list, block, close."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from statistics import median
from typing import Annotated, Final, TypeVar

import typer

from engine.cli.common import JSON, asker_because, binding_store, configuration, say, say_json, say_table, tell
from engine.store.audit import Asker
from engine.store.binder import Binder
from engine.store.complaints import Complaint, add_complaint, block_complaint, close_complaint, list_complaints
from engine.store.crypto import NumberCipher, open_key

_COLUMNS: Final = {"id": 5, "state": 8, "tel_x": 15, "complainant": 11, "business_user": 14, "received": 24,
                   "to_block_s": 10, "detail": 0}  # fmt: skip
_REASON: Final = typer.Option("--reason", metavar="TEXT", help="Why; goes into the audit.", show_default=False)
_ID: Final = typer.Argument(metavar="ID", help="The number of the complaint.", show_default=False)

T = TypeVar("T")
_Work = Callable[[Binder, sqlite3.Connection, NumberCipher, float], T]


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Complaints about 700 numbers.", rich_markup_mode=None)
    group.command("add")(add)
    group.command("list")(list_)
    group.command("block")(block)
    group.command("close")(close)
    app.add_typer(group, name="complaint")


def add(
    context: typer.Context,
    number: Annotated[str, typer.Option(metavar="X", help="The 700 number it is about.", show_default=False)],
    detail: Annotated[str, typer.Option(metavar="TEXT", help="What happened.", show_default=False)],
    complainant: Annotated[
        str, typer.Option(metavar="N", help="Who complains: a real number.", show_default=False)
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Take in a complaint; its time to block runs from now. Prints its number.

    \b
    Example:
      veil700 complaint add --number 700123456780001 --complainant 13900139000 --detail "sold insurance"
    """
    who = asker_because(None)
    done = _write(context, lambda _, c, cipher, now: add_complaint(c, cipher, number, complainant, detail, who, now))
    _say(done, as_json, str(done.id))


def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the complaints, oldest first, and how long blocks took.

    \b
    Example:
      veil700 complaint list
    """
    found = _write(context, lambda _, connection, cipher, __: list_complaints(connection, cipher))
    took = [complaint.to_block_s for complaint in found if complaint.to_block_s is not None]
    if as_json:
        say_json([complaint.as_dict() for complaint in found])
        return
    told = (complaint.as_dict() for complaint in found)
    say_table(_COLUMNS, (("" if one[name] is None else one[name] for name in _COLUMNS) for one in told))
    if took:
        tell(f"veil700: {len(took)} blocked, after {median(took):.0f} s at the median and {max(took):.0f} s at most")


def block(
    context: typer.Context,
    number: Annotated[int, _ID],
    reason: Annotated[str, _REASON],
    binding: Annotated[
        str, typer.Option(metavar="SUBS_ID", help="End this binding, not the whole number.", show_default=False)
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Shut off the number that a complaint is about, or end one binding of it. The next call is refused.

    \b
    Example:
      veil700 complaint block 1 --reason "three complaints in a day"
    """
    who = asker_because(reason)

    def work(binder: Binder, connection: sqlite3.Connection, cipher: NumberCipher, now: float) -> Complaint:
        return block_complaint(
            connection, cipher, number, who, now, binding, lambda subs_id: binder.unbind(subs_id, now, "revoked")
        )

    done = _write(context, work)
    _say(done, as_json, f"complaint {done.id}: blocked {done.to_block_s:.0f} s after it came in")


def close(
    context: typer.Context,
    number: Annotated[int, _ID],
    reason: Annotated[str, _REASON],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A complaint has been dealt with. What was shut off stays so: see restore.

    \b
    Example:
      veil700 complaint close 1 --reason "answered on 2026-11-25"
    """
    who: Asker = asker_because(reason)
    done = _write(context, lambda _, connection, cipher, now: close_complaint(connection, cipher, number, who, now))
    _say(done, as_json, f"complaint {done.id}: closed")


def _say(complaint: Complaint, as_json: bool, line: str) -> None:
    if as_json:
        say_json(complaint.as_dict())
    else:
        say(line)


def _write(context: typer.Context, work: _Work[T]) -> T:
    config = configuration(context)
    cipher = open_key(config.data_dir)

    async def in_store() -> T:
        async with binding_store(config, must_exist=True) as store:
            return await store.write(lambda binder, connection, now: work(binder, connection, cipher, now))

    return asyncio.run(in_store())
