"""Operations on the credit file: operators write it, platforms read what is said of their business users."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.bindings import must_own_user
from engine.api.desk import answer, caller, desk, done
from engine.api.operations import ALL, MAX_PAGE, OPERATOR, Given, Taken, operation, page_of, taken
from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import Role
from engine.store.audit import Asker
from engine.store.credit import add_event, list_events
from engine.store.entities import read

router = APIRouter()

MAX_ID: Final = 2**53


class NewCreditEvent(Taken):
    """An offence of the company behind a business user."""

    business_user: str = Field(max_length=128)
    offence: Literal["resale", "forged_orders", "fraud", "marketing"]
    detail: str = Field("", max_length=500)
    at: str = Field("", max_length=40, description="RFC 3339; empty: now")
    source: str = Field("", max_length=128, description="Who tells of it; empty: this node's domain")


class CreditScore(Given):
    """What the company is worth now."""

    business_user: str
    credit_score: int


class CreditEventRow(Given):
    """An offence as it is written down."""

    id: int
    uscc: str = Field(description="The credit code of the company")
    offence: str
    at: str
    source: str
    detail: str


@operation(router, "POST", "/credit_events", OPERATOR, "Write down an offence", takes=NewCreditEvent,
           gives=CreditScore, status=201, name="create_credit_event")  # fmt: skip
async def create(request: Request) -> Response:
    """It lowers the score of each business user of the company."""
    wanted, who, table = taken(request, NewCreditEvent), caller(request), desk(request)
    source = wanted.source or table.config.node.domain
    at_s = _seconds(wanted.at) if wanted.at else None

    def work(connection: sqlite3.Connection) -> object:
        now = table.now()
        when = now if at_s is None else at_s
        user, told = wanted.business_user, wanted.detail
        score = add_event(connection, user, wanted.offence, when, source, told, Asker(who.actor), now)
        return {"business_user": user, "credit_score": score}

    return await done(request, work, 201)


@operation(router, "GET", "/credit_events", ALL, "List offences", gives=page_of(CreditEventRow),
           name="list_credit_events")  # fmt: skip
async def list_all(
    request: Request, business_user: str = "", after: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> Response:  # fmt: skip
    """Of the company behind a business user; a platform must name one of its own."""
    who, table = caller(request), desk(request)
    if who.role is Role.PLATFORM and not business_user:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "business_user", "missing")

    def look(connection: sqlite3.Connection) -> list[dict[str, object]]:
        uscc = ""
        if business_user:
            must_own_user(connection, who, business_user)
            uscc = str(read(connection, "business_user", business_user)["uscc"])
        return [event._asdict() for event in list_events(connection, uscc, after, limit)]

    rows = table.read(look)
    return answer({"items": rows, "next": str(rows[-1]["id"]) if len(rows) == limit else None})


def _seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass
    raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "at", "must be a time such as 2026-11-24T08:00:00+08:00")
