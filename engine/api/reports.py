"""Operations on reports: what the commands print, as JSON, and that an opening was reported."""

from __future__ import annotations

import sqlite3

from fastapi import APIRouter, Request, Response
from pydantic import Field

from engine.api.desk import answer, caller, desk, done
from engine.api.operations import OPERATOR, READERS, Given, Taken, operation, taken
from engine.domain.days import china_day
from engine.reports.making import make
from engine.reports.period import period
from engine.store.audit import Asker
from engine.store.openings import mark_reported

router = APIRouter()


class ReportTable(Given):
    """A report: docs/reports.md."""

    report: str
    since: str
    until: str = Field(description="The day behind the last one")
    ok: bool = Field(description="Whether it adds up")
    columns: list[str]
    rows: list[list[str | int]]
    total: list[str | int]
    findings: list[str] = Field(description="What does not add up")
    notes: list[str]


class OpeningReported(Taken):
    """That the opening of a block was reported."""

    day: str = Field("", max_length=10, description="Of China; empty: today")


class ReportedOpening(Given):
    """When the opening of a block was reported."""

    prefix: str
    reported_day: str


@operation(router, "GET", "/reports/{report}", READERS, "Make a report", gives=ReportTable, name="get_report")
async def get_report(request: Request, report: str, day: str = "", since: str = "", until: str = "") -> Response:
    """opening, scenario, operation, numbers or ledger, of one `day`, or of `since` until the day before `until`."""
    table = desk(request)
    asked = period(day, since, until)
    made = await make(report, table.config.data_dir, table.cipher, asked, table.now())
    return answer(made.as_dict())


@operation(router, "POST", "/reports/opening/{prefix}", OPERATOR, "Say that an opening was reported",
           takes=OpeningReported, gives=ReportedOpening, name="mark_opening_reported")  # fmt: skip
async def mark(request: Request, prefix: str) -> Response:
    """Again sets it right."""
    wanted, who, table = taken(request, OpeningReported), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        now = table.now()
        told = wanted.day or china_day(now)
        mark_reported(connection, prefix, told, Asker(who.actor), now)
        return {"prefix": prefix, "reported_day": told}

    return await done(request, work)
