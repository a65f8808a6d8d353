"""Operations on single 700 numbers, and the kill switch."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.auth import Caller
from engine.api.desk import answer, caller, desk, done, must_own
from engine.api.operations import (
    ALL,
    MAX_PAGE,
    OPERATOR,
    READERS,
    WRITERS,
    Given,
    Move,
    Moved,
    Taken,
    operation,
    page_of,
    taken,
)
from engine.core.numbers import is_privacy_number
from engine.domain.gates import BLOCK_DIGITS
from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import Role
from engine.store.audit import Asker
from engine.store.restrictions import kill, list_restrictions, move_number, number_state, restore
from engine.store.rows import utc_text

router = APIRouter()

PLATFORMS_STATES: Final = ("idle", "locked")  # what a platform may bring its numbers into

_BLOCK: Final = "SELECT app_platform, business_user FROM number_block WHERE prefix = ?"
_LAST: Final = 9999  # the number of a block behind which there is none


class Number(Given):
    """A 700 number, and what it is now."""

    tel_x: str
    state: str = Field(description="idle | bound | cooling | locked | frozen | returned | killed")
    app_platform: str
    business_user: str


class Restriction(Given):
    """What must not be used now."""

    kind: str
    id: str
    state: str
    since: str
    actor: str
    reason: str


class Switch(Taken):
    """What the kill switch is thrown for."""

    kind: Literal["everything", "app_platform", "business_user", "number_block", "number"]
    id: str = Field("", max_length=128, description="Empty for everything")
    reason: str = Field(min_length=1, max_length=500)


class Switched(Given):
    """What is so now."""

    kind: str
    id: str
    state: str = Field(description="killed; after a restore what it was before, empty: nothing holds it")


class RestrictionList(Given):
    """All that are in force."""

    items: list[Restriction]


@operation(router, "GET", "/numbers", ALL, "List the numbers of a block", gives=page_of(Number), name="list_numbers")
async def list_numbers(
    request: Request, block: Annotated[str, Query(pattern="^[0-9]{11}$")],
    after: Annotated[str, Query(pattern="^([0-9]{15})?$")] = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> Response:  # fmt: skip
    """In order."""
    who, table = caller(request), desk(request)
    first = int(after[BLOCK_DIGITS:]) + 1 if after else 0
    numbers = [f"{block}{number:04}" for number in range(first, min(first + limit, _LAST + 1))]
    rows = table.read(lambda connection: [_number(connection, who, x, table.now()) for x in numbers])
    return answer({"items": rows, "next": numbers[-1] if numbers and first + limit <= _LAST else None})


@operation(router, "GET", "/numbers/{tel_x}", ALL, "One number", gives=Number, name="get_number")
async def get_number(request: Request, tel_x: str) -> Response:
    """What it is now."""
    who, table = caller(request), desk(request)
    return answer(table.read(lambda connection: _number(connection, who, tel_x, table.now())))


@operation(router, "POST", "/numbers/{tel_x}/state", WRITERS, "Lock a number, or let it free", takes=Move, gives=Moved,
           name="move_number")  # fmt: skip
async def to_state(request: Request, tel_x: str) -> Response:
    """A platform may lock its numbers, and let them free with `idle`; operators may freeze and return them, too."""
    wanted, who, table = taken(request, Move), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        before = _number(connection, who, tel_x, table.now())["state"]
        if who.role is Role.PLATFORM and not {before, wanted.state} <= {*PLATFORMS_STATES, "bound", "cooling"}:
            raise Problem(ProblemCode.FORBIDDEN, "state", "a platform locks its numbers and lets them free, no more")
        move_number(connection, tel_x, wanted.state, Asker(who.actor, wanted.reason), table.now())
        return {"id": tel_x, "state": number_state(connection, tel_x, table.now())}

    return await done(request, work)


@operation(router, "GET", "/restrictions", READERS, "List what is restricted", gives=RestrictionList,
           name="list_restrictions")  # fmt: skip
async def list_all(request: Request) -> Response:
    """All that are in force."""
    rows = desk(request).read(list_restrictions)
    return answer({"items": [{"since": utc_text(float(str(row.pop("since_at")))), **row} for row in rows]})


@operation(router, "POST", "/restrictions", OPERATOR, "Throw the kill switch", takes=Switch, gives=Switched,
           status=201, name="kill")  # fmt: skip
async def throw(request: Request) -> Response:
    """No call and no message uses it from now on; calls in progress go on."""
    wanted, who, table = taken(request, Switch), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        kill(connection, wanted.kind, wanted.id, Asker(who.actor, wanted.reason), table.now())
        return {"kind": wanted.kind, "id": wanted.id, "state": "killed"}

    return await done(request, work, 201)


@operation(router, "POST", "/restrictions:restore", OPERATOR, "Undo the kill switch", takes=Switch, gives=Switched,
           name="restore")  # fmt: skip
async def undo(request: Request) -> Response:
    """A number that was locked before is locked again."""
    wanted, who, table = taken(request, Switch), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        left = restore(connection, wanted.kind, wanted.id, Asker(who.actor, wanted.reason), table.now())
        return {"kind": wanted.kind, "id": wanted.id, "state": left}

    return await done(request, work)


def _number(connection: sqlite3.Connection, who: Caller, tel_x: str, wall_s: float) -> dict[str, str]:
    row = connection.execute(_BLOCK, (tel_x[:BLOCK_DIGITS],)).fetchone() if is_privacy_number(tel_x) else None
    if row is None:
        raise Problem(ProblemCode.NOT_FOUND, "tel_x", "there is no such thing")
    must_own(who, row[0], "tel_x")
    state = number_state(connection, tel_x, wall_s)
    return {"tel_x": tel_x, "state": state, "app_platform": row[0], "business_user": row[1]}
