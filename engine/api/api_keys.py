"""Operations about keys of the API: for operators alone."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.desk import answer, audited, caller, desk
from engine.api.operations import MAX_PAGE, OPERATOR, READERS, Given, Taken, operation, page_of, taken
from engine.store.api_keys import MAX_RATE, NewKey, Role, create_key, list_keys, revoke_key

router = APIRouter()


class NewApiKey(Taken):
    """A key that is wanted."""

    role: Role
    app_platform: str = Field("", max_length=128, description="Of a platform's key, and only there")
    rate_per_s: int = Field(0, ge=0, le=MAX_RATE, description="0: as the configuration says")
    ip_allow: list[str] = Field([], description="Networks that it may be used from; none: from anywhere")


class MadeApiKey(Given):
    """A key, and what proves it: it is shown this once."""

    key_id: str
    kind: str = Field(description="hmac | token")
    secret: str


class ApiKeyRow(Given):
    """A key as it is listed."""

    key_id: str
    kind: str
    role: str
    app_platform: str
    state: str = Field(description="active | revoked")
    created: str
    rate_per_s: int
    ip_allow: list[str]


@operation(router, "POST", "/api_keys", OPERATOR, "Make a key", takes=NewApiKey, gives=MadeApiKey, status=201)
async def create_api_key(request: Request) -> Response:
    """A platform's key signs its requests; operators and auditors show a token."""
    wanted, table, who = taken(request, NewApiKey), desk(request), caller(request)

    def work(connection: sqlite3.Connection) -> NewKey:
        now = table.now()
        role, platform = wanted.role, wanted.app_platform
        made = create_key(connection, table.cipher, role, platform, wanted.rate_per_s, now, wanted.ip_allow)
        audited(
            connection, who, now, "api_key.create", " ".join((made.key_id, f"role={role}", platform, *wanted.ip_allow))
        )
        return made

    return answer(asdict(await table.write(work)), 201)


@operation(router, "GET", "/api_keys", READERS, "List keys", gives=page_of(ApiKeyRow))
async def list_api_keys(
    request: Request, after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100
) -> Response:
    """Without their secrets."""
    rows = desk(request).read(lambda connection: list(list_keys(connection, after, limit)))
    return answer({"items": [asdict(row) for row in rows], "next": rows[-1].key_id if len(rows) == limit else None})


@operation(router, "DELETE", "/api_keys/{key_id}", OPERATOR, "Revoke a key", gives=None, status=204)
async def revoke_api_key(request: Request, key_id: str) -> Response:
    """It counts no more from the next request on."""
    table, who = desk(request), caller(request)

    def work(connection: sqlite3.Connection) -> None:
        revoke_key(connection, key_id)
        audited(connection, who, table.now(), "api_key.revoke", key_id)

    await table.write(work)
    return Response(status_code=204)
