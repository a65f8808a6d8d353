"""Verbs about keys of the HTTP API: api-key create, list, revoke."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer

from engine.cli.common import JSON, actor, configuration, existing, say, say_json, say_table, tell
from engine.store.api_keys import Role, create_key, list_keys, revoke_key
from engine.store.audit import Asker, insert_audit
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import BINDINGS, open_database, store_errors

T = TypeVar("T")

_COLUMNS = {
    "key_id": 16,
    "kind": 5,
    "role": 8,
    "app_platform": 16,
    "state": 7,
    "created": 24,
    "rate_per_s": 10,
    "ip_allow": 18,
}


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Who may use the HTTP API.", rich_markup_mode=None)
    group.command("create")(create)
    group.command("list")(list_)
    group.command("revoke")(revoke)
    app.add_typer(group, name="api-key")


def create(
    context: typer.Context,
    role: Annotated[Role, typer.Option(help="What the key may do.", show_default=False)],
    app_platform: Annotated[str, typer.Option(help="With --role platform: which one.", show_default=False)] = "",
    rate: Annotated[int, typer.Option(min=0, help="Requests a second; 0: rate_per_s of [api].")] = 0,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Address or network it may be used from; may be given often.", show_default=False),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Make a key and print what proves it, which is shown this once. It counts at once; is audited.

    \b
    A platform signs its requests with the secret, operators and auditors show the token.
    Example:
      veil700 api-key create --role platform --app-platform ap-demo
      veil700 api-key create --role operator
    """

    def work(connection: sqlite3.Connection, cipher: NumberCipher) -> dict[str, str]:
        now = time.time()
        made = create_key(connection, cipher, role, app_platform, rate, now, allow or ())
        told = " ".join((made.key_id, f"role={role}", app_platform, *(allow or ())))
        insert_audit(connection, now, Asker(actor()), "api_key.create", told)
        return asdict(made)

    made = _written(context, work)
    if as_json:
        say_json(made)
        return
    what = "token" if made["kind"] == "token" else "secret"
    say(f"key_id  {made['key_id']}\n{what:<6}  {made['secret']}")
    tell(f"veil700: the {what} is kept by nobody else: store it now")


def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the keys, revoked ones too.

    \b
    Example:
      veil700 api-key list
    """
    config = configuration(context)
    path = existing(config.data_dir / "bindings.db")
    with closing(open_database(path, BINDINGS, open_key(config.data_dir))) as connection, store_errors(path):
        rows = [asdict(row) for row in list_keys(connection)]
    if as_json:
        say_json(rows)
        return
    told = [row | {"ip_allow": " ".join(row["ip_allow"])} for row in rows]
    say_table(_COLUMNS, ((row[name] if row[name] != "" else "-" for name in _COLUMNS) for row in told))


def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `create` printed it.", show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Have a key count no more, from its next request on and for ever; is audited.

    \b
    Example:
      veil700 api-key revoke 0f1e2d3c4b5a6978
    """

    def work(connection: sqlite3.Connection, _cipher: NumberCipher) -> None:
        revoke_key(connection, key_id)
        insert_audit(connection, time.time(), Asker(actor()), "api_key.revoke", key_id)

    _written(context, work)
    if as_json:
        say_json({"key_id": key_id, "state": "revoked"})


def _written(context: typer.Context, work: Callable[[sqlite3.Connection, NumberCipher], T]) -> T:
    """What `work` returns, in a transaction of its own. Problem, StoreError."""
    config = configuration(context)
    path, cipher = config.data_dir / "bindings.db", open_key(config.data_dir)
    with closing(open_database(path, BINDINGS, cipher)) as connection, store_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            done = work(connection, cipher)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return done
