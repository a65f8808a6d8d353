"""The feed of a platform as it is pulled: in order, without gaps, and with a wait for what comes next."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api import problem_documents
from engine.api.desk import answer, caller, desk, own_platform
from engine.api.operations import ALL, MAX_PAGE, Given, operation
from engine.domain.problems import Problem, ProblemCode
from engine.store.events import Event, events_after, reach

router = APIRouter()

LONGEST_WAIT_S: Final = 30
MOST_WAITING: Final = 8  # of one platform: whoever comes beyond is answered at once

_waiting: Final[dict[str, int]] = {}

_Found = tuple[list[Event], int, int]  # and the oldest seq, and the last


class EventRow(Given):
    """Something that happened to a call, a message, a binding, a number or a block."""

    seq: int = Field(description="One more for each event of a platform: a gap is a loss")
    kind: str
    at: str = Field(description="When it happened; seq is the order in which it was recorded")
    subject: str = Field(description="record_id, subs_id, X or block")
    payload: dict[str, Any] = Field(description="Real numbers masked")


class EventList(Given):
    """Events in the order of their seq."""

    items: list[EventRow]
    next: int = Field(description="Ask with after= this for what follows, also when there is nothing yet")
    oldest: int = Field(description="The first seq that is kept")
    last: int = Field(description="The seq of the newest event, 0 before the first")


@operation(
    router, "GET", "/events", ALL, "What happened to a platform", gives=EventList, name="list_events", refuses=(410,)
)
async def list_events(
    request: Request, app_platform: str = "", after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    wait_s: Annotated[int, Query(ge=0, le=LONGEST_WAIT_S)] = 0,
) -> Response:  # fmt: skip
    """Those behind `after`. With `wait_s` the answer waits so long for one where there is none yet. 410 where some
    behind `after` are kept no more: it says the `oldest` that is."""
    platform = own_platform(caller(request), app_platform)
    watch = desk(request).feed

    def look(connection: sqlite3.Connection) -> _Found:
        oldest, last = reach(connection, platform)
        return events_after(connection, platform, after, limit), oldest, last

    rows, oldest, last = watch.read(look)
    if not rows and wait_s and after >= last and _waiting.get(platform, 0) < MOST_WAITING:
        _waiting[platform] = _waiting.get(platform, 0) + 1
        try:
            await watch.wait(platform, after, wait_s)
        finally:
            _waiting[platform] -= 1
        rows, oldest, last = watch.read(look)
    if after < oldest - 1:
        gone = Problem(ProblemCode.EVENTS_GONE, "after", f"events before {oldest} are kept no more")
        return problem_documents.answer(gone, more={"oldest": oldest})
    following = rows[-1]["seq"] if rows else after
    return answer({"items": rows, "next": following, "oldest": oldest, "last": last})
