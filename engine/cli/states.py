"""Verbs about what may be used: state, and the kill switch with kill and restore. Each is audited with its reason."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import typer

from engine.cli.common import JSON, UsageFault, asker_because, configuration, existing, say, say_json
from engine.control.client import ControlError, ask
from engine.store.audit import Asker
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database, store_errors, transaction
from engine.store.entities import KINDS, read
from engine.store.moves import Wish, move
from engine.store.restrictions import KILLABLE, KILLED, kill, move_number, number_state, restore

NUMBER: Final = "number"
WITH_STATE: Final = (*KINDS, NUMBER)

_REASON: Final = typer.Option("--reason", metavar="TEXT", help="Why; goes into the audit.", show_default=False)
_KILLABLE: Final = typer.Argument(
    metavar="KIND", help="everything, app_platform, business_user, number_block or number.", show_default=False
)
_ID: Final = typer.Argument(metavar="[ID]", help="Which one; nothing behind `everything`.", show_default=False)

T = TypeVar("T")


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    app.command("state")(state)
    app.command("kill")(kill_)
    app.command("restore")(restore_)


def state(
    context: typer.Context,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=f"{', '.join(WITH_STATE[:-1])} or {NUMBER}.", show_default=False)
    ],
    key: Annotated[str, typer.Argument(metavar="ID", help="Which one.", show_default=False)],
    wanted: Annotated[str, typer.Argument(metavar="NEW_STATE", help="What it becomes.", show_default=False)],
    reason: Annotated[str, _REASON],
    exit_day: Annotated[
        str, typer.Option(metavar="DAY", help="Of a platform that becomes winding_down: when it leaves.")
    ] = "",
    business_user: Annotated[
        str, typer.Option(metavar="ID", help="Of a block that becomes assigned: to whom, if to another one.")
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Move a platform, business user, contract, scenario, block, pool or number into another state.

    Refused where that state does not follow on the present one, or something stands against it. A number is locked,
    frozen, returned, or let free with idle.

    \b
    Example:
      veil700 state app_platform ap-demo winding_down --exit-day 2027-01-31 --reason "exit plan of 2026-12-20"
      veil700 state number_block 70012345678 assigned --business-user bu-other --reason "contract c-2"
      veil700 state number 700123456780001 locked --reason "complaint 17"
    """
    if kind not in WITH_STATE:
        raise UsageFault(f"state: KIND is one of {', '.join(WITH_STATE)}")
    if exit_day and (kind, wanted) != ("app_platform", "winding_down"):
        raise UsageFault("state: --exit-day goes with app_platform and winding_down")
    if business_user and (kind, wanted) != ("number_block", "assigned"):
        raise UsageFault("state: --business-user goes with number_block and assigned")
    wish = Wish(wanted, exit_day, business_user)

    def work(connection: sqlite3.Connection, asker: Asker, wall_s: float) -> tuple[str, str]:
        if kind == NUMBER:
            return move_number(connection, key, wanted, asker, wall_s), number_state(connection, key, wall_s)
        return move(connection, kind, key, wish, asker, wall_s), str(read(connection, kind, key)["state"])

    before, after = _write(context, reason, work)
    if as_json:
        say_json({"kind": kind, "id": key, "from": before, "to": after})
    else:
        say(f"{kind} {key}: {before} -> {after}")


def kill_(
    context: typer.Context,
    kind: Annotated[str, _KILLABLE],
    reason: Annotated[str, _REASON],
    key: Annotated[str, _ID] = "",
    release_calls: Annotated[
        bool, typer.Option("--release-calls", help="End the calls in progress, too, on both sides.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Shut off a number, a block, a business user, a platform or everything: the next call through it is refused.

    Calls in progress talk on, unless --release-calls ends them: on the node that runs here.

    \b
    Example:
      veil700 kill number_block 70012345678 --reason "order of the authority of 2026-12-01"
      veil700 kill business_user bu-express --release-calls --reason "fraud, case 4711"
      veil700 kill everything --reason "exercise"
    """
    _check(kind, key)
    _write(context, reason, lambda connection, asker, now: kill(connection, kind, key, asker, now))
    if not release_calls:
        _say(kind, key, KILLED, as_json)
        return
    try:
        released = ask(configuration(context).data_dir, "release", {"kind": kind, "id": key})["released"]
    except ControlError:
        _say(kind, key, KILLED, as_json)  # so it is, whatever else fails
        raise
    if as_json:
        say_json({"kind": kind, "id": key, "state": KILLED, "released": released})
    else:
        say(f"{f'{kind} {key}'.strip()}: {KILLED}, {released} calls ended")


def restore_(
    context: typer.Context,
    kind: Annotated[str, _KILLABLE],
    reason: Annotated[str, _REASON],
    key: Annotated[str, _ID] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Undo `kill`. A number that was locked, frozen or returned before is so again.

    \b
    Example:
      veil700 restore number_block 70012345678 --reason "order lifted"
    """
    _check(kind, key)
    left = _write(context, reason, lambda connection, asker, now: restore(connection, kind, key, asker, now))
    _say(kind, key, left or "restored", as_json)


def _check(kind: str, key: str) -> None:
    if kind not in KILLABLE:
        raise UsageFault(f"KIND is one of {', '.join(KILLABLE)}")
    if bool(key) is (kind == "everything"):
        raise UsageFault("everything has no ID" if key else f"which {kind}? ID is missing")


def _say(kind: str, key: str, state: str, as_json: bool) -> None:
    if as_json:
        say_json({"kind": kind, "id": key, "state": state})
    else:
        say(f"{f'{kind} {key}'.strip()}: {state}")


def _write(context: typer.Context, reason: str, work: Callable[[sqlite3.Connection, Asker, float], T]) -> T:
    """Do it in one transaction, at the moment at which it has begun."""
    asker = asker_because(reason)
    data_dir = configuration(context).data_dir
    path = existing(data_dir / "bindings.db")
    connection = open_database(path, BINDINGS, open_key(data_dir))
    try:
        with store_errors(path), transaction(connection):
            return work(connection, asker, time.time())
    finally:
        connection.close()
