"""Operations on what happened: records, audit."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.desk import answer, caller, desk
from engine.api.operations import ALL, MAX_PAGE, READERS, Given, operation, page_of
from engine.store.api_keys import Role
from engine.store.feeds import page_of_audit, page_of_records

router = APIRouter()

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Row = Annotated[int, Query(ge=0, le=2**53)]


class RecordList(Given):
    """Records in the order in which the attempts ended; members as in docs/records.md."""

    items: list[dict[str, Any]]
    next: int = Field(description="Ask with after= this for what follows; the end is where it does not change")


class AuditRow(Given):
    """What somebody did, or saw."""

    id: int
    at: str
    actor: str
    action: str
    reason: str
    detail: str


@operation(router, "GET", "/cdrs", ALL, "Records of calls and messages", gives=RecordList, name="list_cdrs")
async def list_cdrs(
    request: Request, after: Row = 0, limit: Limit = 100, reveal: bool = False,
    reason: Annotated[str, Query(max_length=500)] = "",
) -> Response:  # fmt: skip
    """Real numbers are masked, for platforms too: `reveal`, with a `reason` that is written down, is for operators and
    auditors."""
    who, table = caller(request), desk(request)
    await table.may_reveal(who, reveal, reason, "cdr.list", f"{limit} records behind row {after}")
    reveals = reveal and who.role is not Role.PLATFORM

    def look(connection: sqlite3.Connection) -> tuple[list[dict[str, Any]], int]:
        return page_of_records(connection, table.cipher, who.app_platform, after, limit, reveals)

    rows, following = table.read_records(look)
    return answer({"items": rows, "next": following})


@operation(router, "GET", "/audit", READERS, "Who did and saw what", gives=page_of(AuditRow), name="list_audit")
async def list_audit(request: Request, after: Row = 0, limit: Limit = 100) -> Response:
    """Oldest first. No real number stands in it."""
    rows = desk(request).read(lambda connection: page_of_audit(connection, after, limit))
    return answer({"items": rows, "next": str(rows[-1]["id"]) if len(rows) == limit else None})
