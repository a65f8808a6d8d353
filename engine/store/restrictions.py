"""What must not be used now: locked, frozen and returned numbers, and the kill switch over all that can be named.

Read for each call, so a switch holds from the commit on. Each function works inside a transaction of its caller.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.core.numbers import is_privacy_number
from engine.domain.gates import BLOCK_DIGITS, COOL_S
from engine.domain.problems import Problem, ProblemCode
from engine.domain.states import MACHINES, IllegalMove, next_state
from engine.store.audit import Asker
from engine.store.history import note_act, note_move, note_transition, publish

KILLED: Final = "killed"
KILLABLE: Final = ("everything", "app_platform", "business_user", "number_block", "number")
COMPUTED: Final = ("idle", "bound", "cooling")  # what a number is when nothing restricts it

_STATE: Final = "SELECT state FROM restriction WHERE kind = ? AND id = ?"
_SET: Final = (
    "INSERT INTO restriction (kind, id, state, since_at, actor, reason) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (kind, id) DO UPDATE SET state = excluded.state, since_at = excluded.since_at,"
    " actor = excluded.actor, reason = excluded.reason"
)
_LIFT: Final = "DELETE FROM restriction WHERE kind = ? AND id = ?"
_LIST: Final = "SELECT kind, id, state, since_at, actor, reason FROM restriction ORDER BY kind, id"
_BOUND: Final = "SELECT 1 FROM target WHERE x = ? AND expires_at > ? LIMIT 1"
_ENDED: Final = (
    "SELECT 1 FROM binding LEFT JOIN number_pool ON key = pool_key WHERE {} = ?1"
    f" AND min(coalesce(valid_to, expires_at), expires_at) + coalesce(cool_s, {COOL_S}) > ?2 LIMIT 1"
)
_COOLING: Final = (_ENDED.format("tel_x"), _ENDED.format("tel_y != '' AND tel_y"))
_PLATFORM_OF: Final = "SELECT app_platform FROM number_block WHERE prefix = ?"
_THERE: Final = {
    "app_platform": "SELECT 1 FROM app_platform WHERE id = ?",
    "business_user": "SELECT 1 FROM business_user WHERE id = ?",
    "number_block": "SELECT 1 FROM number_block WHERE prefix = ?",
}
# What a switch was before it was thrown: a locked number is locked again when it is restored.
_BEFORE_KILL: Final = (
    "SELECT from_state FROM transition WHERE kind = 'kill' AND entity = ? AND to_state = 'killed'"
    " ORDER BY id DESC LIMIT 1"
)


def restriction_of(connection: sqlite3.Connection, kind: str, key: str) -> str:
    """The state of its own restriction, "" without one."""
    row = connection.execute(_STATE, (kind, key)).fetchone()
    return str(row[0]) if row else ""


def number_state(connection: sqlite3.Connection, x: str, wall_s: float) -> str:
    """What a 700 number is: locked, frozen, returned, killed, else bound, cooling or idle."""
    return restriction_of(connection, "number", x) or _unrestricted(connection, x, wall_s)


def list_restrictions(connection: sqlite3.Connection) -> list[dict[str, object]]:
    """All that are in force: kind, id, state, since_at (seconds since the epoch), actor, reason."""
    names = ("kind", "id", "state", "since_at", "actor", "reason")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(_LIST)]


def move_number(connection: sqlite3.Connection, x: str, wanted: str, asker: Asker, wall_s: float) -> str:
    """Lock, freeze, return a number, or let it free: `wanted` is then what it would be, or "idle". The state before.

    Problem NUMBER_FROZEN while the kill switch holds it, IllegalMove with the legal moves.
    """
    app_platform = _platform_of(connection, x)
    before = number_state(connection, x, wall_s)
    free = _unrestricted(connection, x, wall_s)
    if before == KILLED:
        raise Problem(ProblemCode.NUMBER_FROZEN, "state", f"{x} is shut off by the kill switch: restore it first")
    if wanted not in MACHINES["number"]:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "state", f"must be one of {', '.join(MACHINES['number'])}")
    if before in COMPUTED:  # bindings and time alone move it among these
        may = tuple(state for state in MACHINES["number"][before] if state not in COMPUTED)
        if wanted not in may:
            raise IllegalMove("number", before, wanted, may)
    next_state("number", before, wanted)
    if wanted == "returned" and free == "bound":
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", f"{x} has a binding in force: it must end first")
    if wanted in COMPUTED:
        connection.execute(_LIFT, ("number", x))
    else:
        connection.execute(_SET, ("number", x, wanted, wall_s, asker.actor, asker.reason))
    after = free if wanted in COMPUTED else wanted
    note_move(connection, "number", x, before, after, asker, wall_s)
    publish(connection, app_platform, "number.status", x, {"tel_x": x, "state": after}, wall_s)
    return before


def kill(connection: sqlite3.Connection, kind: str, key: str, asker: Asker, wall_s: float) -> None:
    """Shut off one of KILLABLE (`key` is "" for everything): no call and no message uses it from now on."""
    _check_is_there(connection, kind, key)
    before = restriction_of(connection, kind, key)
    if before == KILLED:
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", f"{_told(kind, key)} is shut off already", ("restored",))
    connection.execute(_SET, (kind, key, KILLED, wall_s, asker.actor, asker.reason))
    _note_switch(connection, kind, key, before, KILLED, asker, wall_s)


def restore(connection: sqlite3.Connection, kind: str, key: str, asker: Asker, wall_s: float) -> str:
    """Undo `kill`; a number that was locked, frozen or returned before is so again. What is left, "" for nothing."""
    _check_is_there(connection, kind, key)
    if restriction_of(connection, kind, key) != KILLED:
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", f"{_told(kind, key)} is not shut off", (KILLED,))
    row = connection.execute(_BEFORE_KILL, (f"{kind}/{key}",)).fetchone()
    left = str(row[0]) if row else ""
    if left:
        connection.execute(_SET, (kind, key, left, wall_s, asker.actor, asker.reason))
    else:
        connection.execute(_LIFT, (kind, key))
    _note_switch(connection, kind, key, KILLED, left, asker, wall_s)
    return left


def _note_switch(
    connection: sqlite3.Connection, kind: str, key: str, before: str, after: str, asker: Asker, wall_s: float
) -> None:
    note_transition(connection, "kill", f"{kind}/{key}", before, after, asker, wall_s)
    note_act(connection, "kill" if after == KILLED else "restore", _told(kind, key), after or "free", asker, wall_s)
    if kind == "number":
        state = number_state(connection, key, wall_s)
        told = {"tel_x": key, "state": "frozen" if state == KILLED else state}
        publish(connection, _platform_of(connection, key), "number.status", key, told, wall_s)
    elif kind == "number_block":
        state = after or "restored"
        platform = connection.execute(_PLATFORM_OF, (key,)).fetchone()[0]
        publish(connection, platform, "block.event", key, {"prefix": key, "state": state}, wall_s)


def _told(kind: str, key: str) -> str:
    return kind if kind == "everything" else f"{kind} {key}"


def _check_is_there(connection: sqlite3.Connection, kind: str, key: str) -> None:
    """Problem, unless what is to be shut off is one thing that exists."""
    if kind not in KILLABLE:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "kind", f"must be one of {', '.join(KILLABLE)}")
    if kind == "everything":
        if key:
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "id", "everything has none")
    elif kind == "number":
        _platform_of(connection, key)
    elif connection.execute(_THERE[kind], (key,)).fetchone() is None:
        raise Problem(ProblemCode.NOT_FOUND, "id", f"there is no {kind.replace('_', ' ')} {key}")


def _platform_of(connection: sqlite3.Connection, x: str) -> str:
    """The app platform of the block that a 700 number lies in; Problem."""
    if not is_privacy_number(x):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "tel_x", "is not a 700 number of 15 digits")
    row = connection.execute(_PLATFORM_OF, (x[:BLOCK_DIGITS],)).fetchone()
    if row is None:
        raise Problem(ProblemCode.NOT_FOUND, "tel_x", f"{x} lies in no block of the inventory")
    return str(row[0])


def _unrestricted(connection: sqlite3.Connection, x: str, wall_s: float) -> str:
    """bound, cooling or idle, as bindings tell."""
    if connection.execute(_BOUND, (x, wall_s)).fetchone() is not None:
        return "bound"
    is_cooling = any(connection.execute(query, (x, wall_s)).fetchone() is not None for query in _COOLING)
    return "cooling" if is_cooling else "idle"
