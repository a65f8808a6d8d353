"""Operations about webhooks: where the events of a platform are pushed to."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.desk import answer, caller, desk, done, must_own
from engine.api.operations import ALL, MAX_PAGE, WRITERS, Given, Move, Moved, Taken, operation, page_of, taken
from engine.api.outbound import MAX_URL
from engine.api.push import Push
from engine.domain.problems import Problem, ProblemCode
from engine.store.audit import Asker
from engine.store.errors import StoreError
from engine.store.events import last_seqs
from engine.store.webhooks import (
    change_webhook,
    delete_webhook,
    find_webhook,
    list_webhooks,
    move_webhook,
    put_webhook,
)

router = APIRouter()

Seq = Annotated[int | None, Field(ge=0, le=2**53)]


class WebhookWish(Taken):
    """Where events are wanted."""

    url: str = Field(max_length=MAX_URL, description="https, and a public address")
    after: Seq = Field(None, description="Begin behind this seq; without it with what comes from now on")


class WebhookChange(Taken):
    """What is to be another one; the secret stays."""

    url: str | None = Field(None, max_length=MAX_URL)
    after: Seq = Field(None, description="Go on behind this seq, back or ahead")


class MadeWebhook(Given):
    """The webhook, and what its POSTs are signed with: it is shown this once."""

    app_platform: str
    url: str
    acked_seq: int
    secret: str


class WebhookRow(Given):
    """How it stands."""

    app_platform: str
    url: str
    state: str = Field(description="active | paused | dead: nothing was taken for 72 h")
    acked_seq: int = Field(description="The last event that was taken")
    failing_since: str | None
    next_try: str | None
    last_error: str


@operation(
    router, "PUT", "/webhooks/{app_platform}", WRITERS, "Make a webhook", takes=WebhookWish, gives=MadeWebhook,
    name="put_webhook",
)  # fmt: skip
async def put(request: Request, app_platform: str) -> Response:
    """It takes the place of one that is there, and has a new secret."""
    table, wish = _own(request, app_platform), taken(request, WebhookWish)
    _push(request).check(wish.url)
    after = wish.after if wish.after is not None else _last(request, app_platform)

    def work(connection: sqlite3.Connection) -> dict[str, Any]:
        secret = put_webhook(connection, table.cipher, app_platform, wish.url, after, _asker(request), table.now())
        return {"app_platform": app_platform, "url": wish.url, "acked_seq": after, "secret": secret}

    return await _followed(request, app_platform, await done(request, work))


@operation(router, "GET", "/webhooks", ALL, "List webhooks", gives=page_of(WebhookRow), name="list_webhooks")
async def list_all(
    request: Request, after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100
) -> Response:
    """In the order of their platforms, without their secrets."""
    own = caller(request).app_platform
    rows = [one.shown() for one in desk(request).read(lambda connection: list_webhooks(connection, own, after, limit))]
    return answer({"items": rows, "next": rows[-1]["app_platform"] if len(rows) == limit else None})


@operation(router, "GET", "/webhooks/{app_platform}", ALL, "See a webhook", gives=WebhookRow, name="get_webhook")
async def get(request: Request, app_platform: str) -> Response:
    """How far it is, and why it fails where it does."""
    table = _own(request, app_platform)
    return answer(table.read(lambda connection: find_webhook(connection, app_platform)).shown())


@operation(
    router, "PATCH", "/webhooks/{app_platform}", WRITERS, "Change a webhook", takes=WebhookChange, gives=WebhookRow,
    name="change_webhook",
)  # fmt: skip
async def change(request: Request, app_platform: str) -> Response:
    """Another URL, or another place in the feed: events that were taken are sent again, or some are left out."""
    table, wish = _own(request, app_platform), taken(request, WebhookChange)
    if wish.url is not None:
        _push(request).check(wish.url)

    def work(connection: sqlite3.Connection) -> dict[str, Any]:
        change_webhook(connection, app_platform, wish.url, wish.after, _asker(request), table.now())
        return find_webhook(connection, app_platform).shown()

    return await _followed(request, app_platform, await done(request, work))


@operation(
    router, "POST", "/webhooks/{app_platform}/state", WRITERS, "Pause or resume a webhook", takes=Move, gives=Moved,
    name="move_webhook",
)  # fmt: skip
async def move(request: Request, app_platform: str) -> Response:
    """From `dead` or `paused` to `active` it goes on behind the last event that was taken."""
    table, wish = _own(request, app_platform), taken(request, Move)
    if wish.state not in ("active", "paused"):
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "state", "must be active or paused")

    def work(connection: sqlite3.Connection) -> dict[str, Any]:
        move_webhook(connection, app_platform, wish.state, _asker(request, wish.reason), table.now())
        return {"id": app_platform, "state": wish.state}

    return await _followed(request, app_platform, await done(request, work))


@operation(
    router, "DELETE", "/webhooks/{app_platform}", WRITERS, "Remove a webhook", gives=None, status=204,
    name="delete_webhook",
)  # fmt: skip
async def delete(request: Request, app_platform: str) -> Response:
    """Its events are kept, and can be pulled."""
    table = _own(request, app_platform)
    await table.write(lambda connection: delete_webhook(connection, app_platform, _asker(request), table.now()))
    return await _followed(request, app_platform, Response(status_code=204))


def _own(request: Request, app_platform: str) -> Any:
    must_own(caller(request), app_platform, "app_platform")
    return desk(request)


def _push(request: Request) -> Push:
    return cast(Push, request.app.state.push)


def _asker(request: Request, reason: str = "") -> Asker:
    return Asker(caller(request).actor, reason)


def _last(request: Request, app_platform: str) -> int:
    """Where the feed is now: 0 while no node has made one."""
    try:
        return desk(request).feed.read(last_seqs).get(app_platform, 0)
    except StoreError:
        return 0


async def _followed(request: Request, app_platform: str, done: Response) -> Response:
    await _push(request).follow(app_platform)
    return done
