"""The register of use: which business user had a block of numbers from when to when. A block has one at a time."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.domain.days import china_day
from engine.domain.problems import Problem, ProblemCode
from engine.store.history import publish
from engine.store.in_force import bound_in_block

_NOW: Final = "SELECT id, app_platform, business_user FROM assignment WHERE prefix = ? AND until_at IS NULL"
_BEGIN: Final = "INSERT INTO assignment (prefix, app_platform, business_user, from_at) VALUES (?, ?, ?, ?)"
_END: Final = "UPDATE assignment SET until_at = max(?, from_at) WHERE id = ?"
_OPENED: Final = "UPDATE number_block SET opened_day = ? WHERE prefix = ? AND opened_day = ''"
_LEAVES_POOLS: Final = (
    "DELETE FROM pool_block WHERE prefix = ? AND pool NOT IN (SELECT key FROM number_pool WHERE business_user = ?)"
)


def refuse_while_bound(connection: sqlite3.Connection, prefix: str, wall_s: float) -> None:
    """A block that somebody's binding still uses is taken from nobody (A5, B17)."""
    if subs_id := bound_in_block(connection, prefix, wall_s):
        raise Problem(
            ProblemCode.NO_USED_BY_OTHERS, "prefix", f"{prefix} has a binding in force, {subs_id}: it must end first"
        )


def enter_state(
    connection: sqlite3.Connection, prefix: str, state: str, app_platform: str, business_user: str, wall_s: float
) -> None:
    """What follows when a block has come into `state`: its register, the day of its opening, and what is told of it.

    The day is the one of the report's term. Problem when another business user's binding in it is still in force.
    """
    now = connection.execute(_NOW, (prefix,)).fetchone()
    holds = state == "assigned" or (state == "recalling" and now is not None)
    if now is not None and (not holds or tuple(now[1:]) != (app_platform, business_user)):
        refuse_while_bound(connection, prefix, wall_s)
        connection.execute(_END, (wall_s, now[0]))
        connection.execute(_LEAVES_POOLS, (prefix, business_user if holds else ""))
        now = None
    if holds and now is None:
        connection.execute(_BEGIN, (prefix, app_platform, business_user, wall_s))
    if state in ("opened", "assigned"):
        connection.execute(_OPENED, (china_day(wall_s), prefix))
    told = {"prefix": prefix, "state": state, "business_user": business_user}
    publish(connection, app_platform, "block.event", prefix, told, wall_s)
