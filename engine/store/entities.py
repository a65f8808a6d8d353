"""App platforms, business users, contracts, scenarios, number blocks and number pools: made, read, listed, changed.

Each function works on bindings.db inside a transaction of its caller, takes `asker` (who, and why) and `wall_s`
(seconds since the epoch), writes audit and history itself, and raises Problem. Moves: engine.store.moves.
An entity is a dict by column, with `modes`, `blocks`, `scenarios`, `reviewed` as lists and tables and `sms` as a bool.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from engine.domain.fields import FIELDS, Field, Value, key_column
from engine.domain.gates import risk_is_met
from engine.domain.problems import Problem, ProblemCode
from engine.domain.states import first_state
from engine.store.audit import Asker
from engine.store.history import note_act, note_move

Entity = dict[str, object]
Row = dict[str, Value]

MAX_PAGE: Final = 1000
KINDS: Final = tuple(FIELDS)

_FILTERS: Final = ("app_platform", "business_user", "state")


def create(
    connection: sqlite3.Connection, kind: str, values: Mapping[str, object], asker: Asker, wall_s: float
) -> Entity:
    """A new one in the first state of its kind; `values` by column, without `state`."""
    fields = _by_column(kind)
    row = _checked(kind, values)
    for name, field in fields.items():
        if name not in row and name != "state":
            if field.default is None:
                raise Problem(ProblemCode.ILLEGAL_ARGUMENT, name, "missing")
            row[name] = field.default
    row["state"] = first_state(kind)
    check_row(kind, row)
    key = str(row[key_column(kind)])
    if _stored(connection, kind, key) is not None:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, key_column(kind), f"{key} is there already")
    check_references(connection, kind, row)
    write_row(connection, kind, row)
    note_move(connection, kind, key, "", str(row["state"]), asker, wall_s)
    return read(connection, kind, key)


def read(connection: sqlite3.Connection, kind: str, key: str) -> Entity:
    """One of them; Problem NOT_FOUND."""
    row = _stored(connection, kind, key)
    if row is None:
        raise Problem(ProblemCode.NOT_FOUND, key_column(kind), f"there is no {kind.replace('_', ' ')} {key}")
    return _entity(connection, kind, row)


def page(
    connection: sqlite3.Connection, kind: str, where: Mapping[str, str], after: str = "", limit: int = MAX_PAGE
) -> list[Entity]:
    """Up to `limit` of them in the order of their keys, behind the key `after`; `where`: column -> value."""
    names = [name for name in where if name in _FILTERS and name in _by_column(kind)]
    if len(names) < len(where):
        unknown = next(name for name in where if name not in names)
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, unknown, "cannot be asked for")
    key = key_column(kind)
    wanted = " AND ".join([f"{key} > ?", *(f"{name} = ?" for name in names)])
    query = f"SELECT {_columns(kind)} FROM {kind} WHERE {wanted} ORDER BY {key} LIMIT ?"
    values = (after, *(where[name] for name in names), min(limit, MAX_PAGE))
    return [_entity(connection, kind, row) for row in connection.execute(query, values).fetchall()]


def change(
    connection: sqlite3.Connection, kind: str, key: str, values: Mapping[str, object], asker: Asker, wall_s: float
) -> Entity:
    """Other values than the key, its owner and the state; a contract that is no draft keeps its days."""
    fields = _by_column(kind)
    row = _checked(kind, values)
    before = read(connection, kind, key)
    for name in row:
        if fields[name].is_fixed:
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, name, "cannot be changed")
    if kind == "contract" and before["state"] != "draft" and row:
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", f"the contract is {before['state']}, not draft")
    old = stored_row(connection, kind, key) or {}
    check_row(kind, old | row)
    check_references(connection, kind, old | row)
    apply_change(connection, kind, old, row, asker, wall_s)
    return read(connection, kind, key)


# ---------------------------------------------------------------------- what an inventory file uses as well


def stored_row(connection: sqlite3.Connection, kind: str, key: Value) -> Row | None:
    """Its columns as they are stored, with the blocks of a pool as JSON; None when it is not there."""
    row = _stored(connection, kind, key)
    if row is None:
        return None
    found: Row = dict(zip(_names(kind), row, strict=True))
    if kind == "number_pool":
        found["blocks"] = json.dumps(_blocks(connection, str(key)))
    return found


def check_row(kind: str, row: Mapping[str, Value]) -> None:
    """What columns must be to one another."""
    if kind == "contract" and str(row["from_day"]) > str(row["to_day"]):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "to_day", "lies before from_day")
    if kind == "scenario" and row["state"] == "approved":
        check_risk(row)


def check_risk(scenario: Mapping[str, object]) -> None:
    """A scenario that is approved asks for what its class of risk wants."""
    said = scenario["real_name"], scenario["order_check"]
    risk_is_met(int(str(scenario["risk_class"])), str(said[0]), str(said[1]), int(str(scenario["calls_per_day"])))


def check_references(connection: sqlite3.Connection, kind: str, row: Mapping[str, Value]) -> None:
    """What a row refers to is there: the platform, its business user, the blocks of a pool."""
    platform, user = row.get("app_platform"), row.get("business_user")
    if platform is not None and not _exists(connection, "SELECT 1 FROM app_platform WHERE id = ?", platform):
        raise Problem(ProblemCode.NOT_FOUND, "app_platform", f"{platform} is not known")
    if user is not None and not _exists(
        connection, "SELECT 1 FROM business_user WHERE id = ? AND app_platform = ?", user, str(platform)
    ):
        raise Problem(ProblemCode.NOT_FOUND, "business_user", f"{user} is not known under app_platform {platform}")
    for prefix in json.loads(str(row.get("blocks", "[]"))):
        if not _exists(
            connection, "SELECT 1 FROM number_block WHERE prefix = ? AND business_user = ?", prefix, str(user)
        ):
            raise Problem(ProblemCode.NO_USED_BY_OTHERS, "blocks", f"{prefix} is no block of {user}")


def write_row(connection: sqlite3.Connection, kind: str, row: Mapping[str, Value]) -> None:
    """The row as it is, over one with its key."""
    key = key_column(kind)
    names = [name for name in row if name != "blocks"]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
    marks = ", ".join("?" * len(names))
    connection.execute(
        f"INSERT INTO {kind} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}",
        [row[name] for name in names],
    )
    if "blocks" in row:
        connection.execute("DELETE FROM pool_block WHERE pool = ?", (row[key],))
        pairs = [(row[key], prefix) for prefix in json.loads(str(row["blocks"]))]
        connection.executemany("INSERT INTO pool_block VALUES (?, ?)", pairs)


def apply_change(
    connection: sqlite3.Connection,
    kind: str,
    before: Mapping[str, Value],
    row: Mapping[str, Value],
    asker: Asker,
    wall_s: float,
) -> None:
    """Write what of `row` is new, and an audit row that tells it; `before` is the stored row."""
    changed = {name: value for name, value in row.items() if before.get(name) != value}
    if not changed:
        return
    key = key_column(kind)
    write_row(connection, kind, {**before, **changed})
    told = ", ".join(f"{name} {before.get(name)!s} -> {value!s}" for name, value in changed.items())
    note_act(connection, f"{kind}.change", str(before[key]), told, asker, wall_s)


# ---------------------------------------------------------------------- details


def _by_column(kind: str) -> dict[str, Field]:
    return {field.column: field for field in FIELDS[kind].values()}


def _names(kind: str) -> list[str]:
    return [name for name in _by_column(kind) if name != "blocks"]


def _columns(kind: str) -> str:
    return ", ".join(_names(kind))


def _checked(kind: str, values: Mapping[str, object]) -> Row:
    fields = _by_column(kind)
    row: Row = {}
    for name, value in values.items():
        if name not in fields or name == "state":
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, name, "cannot be set here")
        try:
            row[name] = fields[name].check(value)
        except ValueError as error:
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, name, str(error)) from None
    return row


def _stored(connection: sqlite3.Connection, kind: str, key: Value) -> tuple[Value, ...] | None:
    query = f"SELECT {_columns(kind)} FROM {kind} WHERE {key_column(kind)} = ?"
    row: tuple[Value, ...] | None = connection.execute(query, (key,)).fetchone()
    return row


def _entity(connection: sqlite3.Connection, kind: str, row: tuple[Value, ...]) -> Entity:
    entity: Entity = dict(zip(_names(kind), row, strict=True))
    if kind == "scenario":
        entity["modes"] = json.loads(str(entity["modes"]))
        entity["sms"] = bool(entity["sms"])
    elif kind == "business_user":
        entity["scenarios"] = json.loads(str(entity["scenarios"]) or "[]")
    elif kind == "app_platform":
        entity["reviewed"] = json.loads(str(entity["reviewed"]) or "{}")
    elif kind == "number_pool":
        entity["blocks"] = _blocks(connection, str(entity["key"]))
    return entity


def _blocks(connection: sqlite3.Connection, pool: str) -> list[str]:
    query = "SELECT prefix FROM pool_block WHERE pool = ? ORDER BY prefix"
    return [str(prefix) for (prefix,) in connection.execute(query, (pool,))]


def _exists(connection: sqlite3.Connection, query: str, *values: Value) -> bool:
    return connection.execute(query, values).fetchone() is not None
