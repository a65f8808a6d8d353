"""Operations on orders, as platforms verify them."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, Field

from engine.api.bindings import must_own_user
from engine.api.desk import answer, caller, desk, done, written
from engine.api.operations import ALL, MAX_PAGE, WRITERS, Given, Taken, operation, page_of, taken
from engine.store.audit import Asker
from engine.store.orders import Order as Stored
from engine.store.orders import Verdict, create_order, judge_order, page_of_orders, read_order
from engine.store.rows import utc_text

router = APIRouter()


class NewOrder(Taken):
    """An order that bindings may name; it begins unverified."""

    business_user: str = Field(max_length=128)
    order_id: str = Field(max_length=128)
    industrial_id: str = Field("", max_length=128)


class OrderMove(Taken):
    """What became of an order."""

    state: str = Field(max_length=32, description="verified | closed | forged")
    proof: str = Field("", max_length=128, description="With verified")
    until: AwareDatetime | None = Field(None, description="So long the proof holds")


class Order(Given):
    """An order, and what was said of it."""

    business_user: str
    order_id: str
    industrial_id: str
    state: str
    verified_at: str | None
    until_at: str | None
    proof: str


@operation(router, "POST", "/orders", WRITERS, "Report an order", takes=NewOrder, gives=Order, status=201,
           name="create_order", repeatable=True)  # fmt: skip
async def create(request: Request) -> Response:
    """It begins unverified."""
    wanted, who, table = taken(request, NewOrder), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        must_own_user(connection, who, wanted.business_user)
        asker = Asker(who.actor)
        made = create_order(connection, wanted.business_user, wanted.order_id, wanted.industrial_id, asker, table.now())
        return _shown(made)

    return await written(request, work, 201)


@operation(router, "GET", "/orders", ALL, "List the orders of a business user", gives=page_of(Order),
           name="list_orders")  # fmt: skip
async def list_all(
    request: Request, business_user: str, after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100
) -> Response:
    """In the order of their ids."""
    who = caller(request)

    def look(connection: sqlite3.Connection) -> list[Stored]:
        must_own_user(connection, who, business_user)
        return page_of_orders(connection, business_user, after, limit)

    rows = desk(request).read(look)
    following = rows[-1].order_id if len(rows) == limit else None
    return answer({"items": [_shown(row) for row in rows], "next": following})


@operation(router, "GET", "/orders/{business_user}/{order_id}", ALL, "One order", gives=Order, name="get_order")
async def get(request: Request, business_user: str, order_id: str) -> Response:
    """And what was said of it."""
    who = caller(request)

    def look(connection: sqlite3.Connection) -> Stored:
        must_own_user(connection, who, business_user)
        return read_order(connection, business_user, order_id)

    return answer(_shown(desk(request).read(look)))


@operation(router, "POST", "/orders/{business_user}/{order_id}/state", WRITERS, "Say what became of an order",
           takes=OrderMove, gives=Order, name="move_order")  # fmt: skip
async def to_state(request: Request, business_user: str, order_id: str) -> Response:
    """Verified again renews the proof."""
    wanted, who, table = taken(request, OrderMove), caller(request), desk(request)
    until = None if wanted.until is None else wanted.until.timestamp()
    verdict = Verdict(wanted.state, wanted.proof, until)

    def work(connection: sqlite3.Connection) -> object:
        must_own_user(connection, who, business_user)
        return _shown(judge_order(connection, business_user, order_id, verdict, Asker(who.actor), table.now()))

    return await done(request, work)


def _shown(order: Stored) -> dict[str, Any]:
    times = {name: getattr(order, name) for name in ("verified_at", "until_at")}
    return asdict(order) | {name: None if at is None else utc_text(at) for name, at in times.items()}
