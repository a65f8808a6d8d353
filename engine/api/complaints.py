"""Operations on complaints: what a platform hears of its numbers, and what it has done about it."""

from __future__ import annotations

import sqlite3
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.auth import Caller
from engine.api.desk import Desk, answer, caller, desk, done, must_own
from engine.api.operations import ALL, MAX_PAGE, WRITERS, Given, Taken, operation, page_of, taken
from engine.domain.problems import Problem, ProblemCode
from engine.store.audit import Asker
from engine.store.complaints import (
    Complaint,
    add_complaint,
    block_complaint,
    close_complaint,
    list_complaints,
    read_complaint,
)

router = APIRouter()

MAX_ID = 2**53


class NewComplaint(Taken):
    """A complaint about a 700 number."""

    tel_x: str = Field(max_length=40)
    complainant: str = Field("", max_length=40, description="A real number; empty: nobody is named")
    detail: str = Field(min_length=1, max_length=500)


class ComplaintBlock(Taken):
    """What is to be shut off because of a complaint."""

    reason: str = Field(min_length=1, max_length=500)
    subs_id: str = Field("", max_length=64, description="A binding of the number; empty: the number itself")


class ComplaintClose(Taken):
    """Why it has been dealt with."""

    reason: str = Field(min_length=1, max_length=500)


class ComplaintRow(Given):
    """A complaint as it is now."""

    id: int
    state: str = Field(description="received | blocked | closed")
    tel_x: str
    complainant: str = Field(description="Masked")
    app_platform: str
    business_user: str
    detail: str
    received: str
    blocked: str | None
    closed: str | None
    to_block_s: float | None = Field(description="From intake to block")


@operation(router, "POST", "/complaints", WRITERS, "Take in a complaint", takes=NewComplaint, gives=ComplaintRow,
           status=201, name="create_complaint")  # fmt: skip
async def create(request: Request) -> Response:
    """The time to block runs from here."""
    wanted, who, table = taken(request, NewComplaint), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        made = add_complaint(
            connection, table.cipher, wanted.tel_x, wanted.complainant, wanted.detail, Asker(who.actor), table.now()
        )
        must_own(who, made.app_platform, "tel_x")
        return made.as_dict()

    return await done(request, work, 201)


@operation(router, "GET", "/complaints", ALL, "List complaints", gives=page_of(ComplaintRow), name="list_complaints")
async def list_all(
    request: Request, after: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> Response:  # fmt: skip
    """In the order in which they came in."""
    who, table = caller(request), desk(request)
    found = table.read(lambda c: list_complaints(c, table.cipher, who.app_platform, after, limit))
    following = str(found[-1].id) if len(found) == limit else None
    return answer({"items": [complaint.as_dict() for complaint in found], "next": following})


@operation(router, "GET", "/complaints/{number}", ALL, "One complaint", gives=ComplaintRow, name="get_complaint")
async def get_one(request: Request, number: str) -> Response:
    """By its number."""
    who, table = caller(request), desk(request)
    return answer(table.read(lambda connection: _own(connection, table, who, number).as_dict()))


@operation(router, "POST", "/complaints/{number}/block", WRITERS, "Shut off what a complaint is about",
           takes=ComplaintBlock, gives=ComplaintRow, name="block_complaint")  # fmt: skip
async def block(request: Request, number: str) -> Response:
    """The number, or one binding of it: the next call is refused."""
    wanted, who, table = taken(request, ComplaintBlock), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        one, now, binder = _own(connection, table, who, number), table.now(), table.binder(connection)
        return block_complaint(
            connection, table.cipher, one.id, Asker(who.actor, wanted.reason), now, wanted.subs_id,
            lambda subs_id: binder.unbind(subs_id, now, "revoked"),
        ).as_dict()  # fmt: skip

    return await done(request, work)


@operation(router, "POST", "/complaints/{number}/close", WRITERS, "Close a complaint", takes=ComplaintClose,
           gives=ComplaintRow, name="close_complaint")  # fmt: skip
async def close(request: Request, number: str) -> Response:
    """What was shut off stays so."""
    wanted, who, table = taken(request, ComplaintClose), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        one = _own(connection, table, who, number)
        asker = Asker(who.actor, wanted.reason)
        return close_complaint(connection, table.cipher, one.id, asker, table.now()).as_dict()

    return await done(request, work)


def _own(connection: sqlite3.Connection, table: Desk, who: Caller, number: str) -> Complaint:
    """The complaint, where it is about a number of whoever asks; Problem NOT_FOUND."""
    if not (number.isascii() and number.isdigit() and len(number) <= len(str(MAX_ID))):
        raise Problem(ProblemCode.NOT_FOUND, "id", "there is no such thing")
    try:
        found = read_complaint(connection, table.cipher, int(number))
    except Problem:
        raise Problem(ProblemCode.NOT_FOUND, "id", "there is no such thing") from None
    must_own(who, found.app_platform, "id")
    return found
