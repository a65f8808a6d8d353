"""Moves between the states of app platforms, business users, contracts, scenarios, blocks and pools.

The tables of engine.domain.states say what may follow; here stands what must be so besides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, final

from engine.domain.days import china_day, days_later
from engine.domain.fields import DOCUMENTS, key_column
from engine.domain.problems import Problem, ProblemCode
from engine.domain.states import next_state, states_of
from engine.store.audit import Asker
from engine.store.blocks import enter_state, refuse_while_bound
from engine.store.entities import Entity, check_references, check_risk, read
from engine.store.history import note_act, note_move
from engine.store.in_force import bound_for_platform, bound_for_user

NOTICE_DAYS: Final = 30  # between an exit plan and the exit

_CONTRACT: Final = (
    "SELECT 1 FROM contract WHERE app_platform = ? AND business_user = ? AND state = 'effective'"
    " AND from_day <= ? AND to_day >= ?"
)


@final
@dataclass(frozen=True, slots=True)
class Wish:
    """A state that is wanted, and what some moves must be told."""

    state: str
    exit_day: str = ""  # of an app platform that is to wind down: 2026-11-24
    business_user: str = ""  # of a block that is assigned; "" keeps the one that it names


@final
@dataclass(frozen=True, slots=True)
class _Case:
    connection: sqlite3.Connection
    entity: Entity
    wish: Wish
    wall_s: float

    def told(self, name: str) -> str:
        return str(self.entity[name])


def move(connection: sqlite3.Connection, kind: str, key: str, wish: Wish, asker: Asker, wall_s: float) -> str:
    """Bring one of KINDS into another state; the state before. Problem, IllegalMove with the legal moves."""
    entity = read(connection, kind, key)
    before = str(entity["state"])
    if wish.state not in states_of(kind):
        known = ", ".join(states_of(kind))
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "state", f"must be one of {known}", states_of(kind))
    next_state(kind, before, wish.state)
    case = _Case(connection, entity, wish, wall_s)
    for rule in _RULES.get((kind, wish.state), ()):
        rule(case)
    connection.execute(f"UPDATE {kind} SET state = ? WHERE {key_column(kind)} = ?", (wish.state, key))
    if kind == "number_block":
        _follow(case, key, asker)
    note_move(connection, kind, key, before, wish.state, asker, wall_s)
    return before


# ---------------------------------------------------------------------- rules: Problem, or the move is allowed


def _all_documents(case: _Case) -> None:
    """An app platform works only after all that it must hand in has been reviewed (B15)."""
    reviewed = case.entity["reviewed"]
    missing = [name for name in DOCUMENTS if name not in (reviewed if isinstance(reviewed, Mapping) else {})]
    if case.told("state") == "registered" and missing:
        raise Problem(ProblemCode.ILLEGAL_STATE, "reviewed", f"not reviewed yet: {', '.join(missing)}")


def _exit_plan(case: _Case) -> None:
    """Leaving is announced a month ahead (A15)."""
    day = case.wish.exit_day or case.told("exit_day")
    earliest = days_later(china_day(case.wall_s), NOTICE_DAYS)
    if not day:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "exit_day", f"missing: the day of the exit, {earliest} or later")
    try:
        day = date.fromisoformat(day).isoformat()
    except ValueError:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "exit_day", "must be a day such as 2026-01-31") from None
    if day < earliest:
        raise Problem(
            ProblemCode.ILLEGAL_ARGUMENT,
            "exit_day",
            f"{day} is less than {NOTICE_DAYS} days ahead: {earliest} or later",
        )
    case.connection.execute("UPDATE app_platform SET exit_day = ? WHERE id = ?", (day, case.told("id")))


def _platform_serves_nobody(case: _Case) -> None:
    """What was bound before is served to its end (B17)."""
    if subs_id := bound_for_platform(case.connection, case.told("id"), case.wall_s):
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", f"has a binding in force, {subs_id}: it must end first")


def _user_serves_nobody(case: _Case) -> None:
    if subs_id := bound_for_user(case.connection, case.told("id"), case.wall_s):
        raise Problem(ProblemCode.ILLEGAL_STATE, "state", f"has a binding in force, {subs_id}: it must end first")


def _platform_is_registered(case: _Case) -> None:
    """Whoever comes under a platform, comes under one that is registered and has not left (B13)."""
    platform = read(case.connection, "app_platform", case.told("app_platform"))
    if platform["state"] in ("draft", "winding_down", "closed"):
        raise Problem(
            ProblemCode.PARTNER_IS_CLOSED, "app_platform", f"{platform['id']} is {platform['state']}, not registered"
        )


def _user_is_registered(case: _Case) -> None:
    user = read(case.connection, "business_user", case.wish.business_user or case.told("business_user"))
    if user["state"] not in ("registered", "active"):
        raise Problem(
            ProblemCode.USER_NOT_REGISTERED, "business_user", f"{user['id']} is {user['state']}, not registered"
        )


def _has_contract(case: _Case) -> None:
    """Numbers go to nobody without a contract of its own (A7)."""
    user = case.wish.business_user or case.told("business_user")
    today = china_day(case.wall_s)
    if case.connection.execute(_CONTRACT, (case.told("app_platform"), user, today, today)).fetchone() is None:
        raise Problem(ProblemCode.CONTRACT_NOT_IN_FORCE, "business_user", f"{user} has no contract in force on {today}")


def _meets_its_risk(case: _Case) -> None:
    check_risk(case.entity)


def _is_over(case: _Case) -> None:
    if case.told("to_day") >= china_day(case.wall_s):
        raise Problem(
            ProblemCode.ILLEGAL_STATE,
            "to_day",
            f"{case.told('to_day')} is not over: it can be terminated",
            ("terminated",),
        )


def _block_is_free(case: _Case) -> None:
    """Another business user gets a block, or nobody, only when no binding is left in it."""
    refuse_while_bound(case.connection, case.told("prefix"), case.wall_s)


def _block_goes_to(case: _Case) -> None:
    """A block that is opened or recalled goes to a business user of its platform."""
    user = case.wish.business_user or case.told("business_user")
    check_references(
        case.connection, "number_block", {"app_platform": case.told("app_platform"), "business_user": user}
    )
    if user != case.told("business_user"):
        _block_is_free(case)


_Rule = Callable[[_Case], None]
_RULES: Final[dict[tuple[str, str], tuple[_Rule, ...]]] = {
    ("app_platform", "active"): (_all_documents,),
    ("app_platform", "winding_down"): (_exit_plan,),
    ("app_platform", "closed"): (_platform_serves_nobody,),
    ("business_user", "registered"): (_platform_is_registered,),
    ("business_user", "active"): (_platform_is_registered,),
    ("business_user", "closed"): (_user_serves_nobody,),
    ("contract", "effective"): (_platform_is_registered, _user_is_registered),
    ("contract", "expired"): (_is_over,),
    ("scenario", "approved"): (_meets_its_risk,),
    ("number_block", "assigned"): (_block_goes_to, _platform_is_registered, _user_is_registered, _has_contract),
    ("number_block", "returned"): (_block_is_free,),
}


def _follow(case: _Case, prefix: str, asker: Asker) -> None:
    """The business user of a block that was assigned, and its register."""
    before, user = case.told("business_user"), case.wish.business_user or case.told("business_user")
    if case.wish.state == "assigned" and user != before:
        case.connection.execute("UPDATE number_block SET business_user = ? WHERE prefix = ?", (user, prefix))
        note_act(
            case.connection, "number_block.change", prefix, f"business_user {before} -> {user}", asker, case.wall_s
        )
    else:
        user = before
    enter_state(case.connection, prefix, case.wish.state, case.told("app_platform"), user, case.wall_s)
