"""Orders that bindings name, as they were verified. Each function works inside a transaction of its caller."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, final

from engine.domain.fields import text
from engine.domain.problems import Problem, ProblemCode
from engine.domain.states import first_state, next_state, states_of
from engine.store.audit import Asker
from engine.store.history import note_act, note_move

KIND: Final = "service_order"
MAX_PAGE: Final = 1000

_COLUMNS: Final = "business_user, order_id, industrial_id, state, verified_at, until_at, proof"
_READ: Final = f"SELECT {_COLUMNS} FROM service_order WHERE business_user = ? AND order_id = ?"
_PAGE: Final = (
    f"SELECT {_COLUMNS} FROM service_order WHERE business_user = ? AND order_id > ? ORDER BY order_id LIMIT ?"
)
_INSERT: Final = f"INSERT INTO service_order ({_COLUMNS}) VALUES (?, ?, ?, ?, NULL, NULL, '')"
_UPDATE: Final = (
    "UPDATE service_order SET state = ?, verified_at = ?, until_at = ?, proof = ?"
    " WHERE business_user = ? AND order_id = ?"
)
_USER: Final = "SELECT 1 FROM business_user WHERE id = ?"


@final
@dataclass(frozen=True, slots=True)
class Order:
    """An order of a business user, and what its platform has said of it. Times: seconds since the epoch."""

    business_user: str
    order_id: str
    industrial_id: str  # "" without
    state: str  # unverified | verified | closed | forged
    verified_at: float | None
    until_at: float | None  # so long the proof holds; None: as long as the order
    proof: str


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an order: its state, and the proof where it was verified."""

    state: str
    proof: str = ""
    until_at: float | None = None


def create_order(
    connection: sqlite3.Connection, business_user: str, order_id: str, industrial_id: str, asker: Asker, wall_s: float
) -> Order:
    """A new order, not verified yet; Problem when it is there, or its business user is not."""
    _check("order_id", order_id)
    if industrial_id:
        _check("industrial_id", industrial_id)
    if connection.execute(_USER, (business_user,)).fetchone() is None:
        raise Problem(ProblemCode.NOT_FOUND, "business_user", f"there is no business user {business_user}")
    if _find(connection, business_user, order_id) is not None:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "order_id", "is there already")
    state = first_state(KIND)
    connection.execute(_INSERT, (business_user, order_id, industrial_id, state))
    note_move(connection, KIND, f"{business_user}/{order_id}", "", state, asker, wall_s)
    return read_order(connection, business_user, order_id)


def read_order(connection: sqlite3.Connection, business_user: str, order_id: str) -> Order:
    """Problem NOT_FOUND."""
    found = _find(connection, business_user, order_id)
    if found is None:
        raise Problem(ProblemCode.NOT_FOUND, "order_id", f"{business_user} has no such order")
    return found


def page_of_orders(
    connection: sqlite3.Connection, business_user: str, after: str = "", limit: int = MAX_PAGE
) -> list[Order]:
    """Up to `limit` orders of a business user in the order of their ids, behind the id `after`."""
    return [Order(*row) for row in connection.execute(_PAGE, (business_user, after, min(limit, MAX_PAGE)))]


def judge_order(
    connection: sqlite3.Connection, business_user: str, order_id: str, verdict: Verdict, asker: Asker, wall_s: float
) -> Order:
    """Verified (again renews the proof), closed or forged; IllegalMove with the legal moves."""
    before = read_order(connection, business_user, order_id)
    if verdict.state not in states_of(KIND):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "state", f"must be one of {', '.join(states_of(KIND))}")
    is_renewed = before.state == verdict.state == "verified"
    if not is_renewed:
        next_state(KIND, before.state, verdict.state)
    if verdict.proof:
        _check("proof", verdict.proof)
    if verdict.state == "verified":
        proven: tuple[object, ...] = (wall_s, verdict.until_at, verdict.proof)
    else:
        proven = (before.verified_at, before.until_at, before.proof)
    connection.execute(_UPDATE, (verdict.state, *proven, business_user, order_id))
    entity = f"{business_user}/{order_id}"
    if is_renewed:
        note_act(connection, f"{KIND}.change", entity, "verified again", asker, wall_s)
    else:
        note_move(connection, KIND, entity, before.state, verdict.state, asker, wall_s)
    return read_order(connection, business_user, order_id)


def _find(connection: sqlite3.Connection, business_user: str, order_id: str) -> Order | None:
    row = connection.execute(_READ, (business_user, order_id)).fetchone()
    return None if row is None else Order(*row)


def _check(field: str, value: str) -> None:
    try:
        text(value)
    except ValueError as error:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, field, str(error)) from None
