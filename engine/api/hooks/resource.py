"""Operations on hooks: where a platform is asked."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.desk import answer, audited, caller, desk, must_own
from engine.api.hooks.broker import hooks_of
from engine.api.operations import ALL, MAX_PAGE, WRITERS, Given, Taken, operation, page_of, taken
from engine.store import hooks as store
from engine.store.api_keys import Role
from engine.store.call_conditions import DEFAULT_TIMEOUT_MS

router = APIRouter()

Kind = Literal["order", "decision"]

_PATH: Final = "/hooks/{app_platform}/{kind}"


class HookWanted(Taken):
    """Where a platform is to be asked."""

    url: str = Field(max_length=500, description="https, to a public address or to one that `webhook_hosts` names")
    timeout_ms: int = Field(
        DEFAULT_TIMEOUT_MS, ge=store.MIN_TIMEOUT_MS, le=store.MAX_TIMEOUT_MS,
        description="So long a question may take in all; then it is refused",
    )  # fmt: skip
    new_secret: bool = Field(False, description="The old one counts no more")


class Hook(Given):
    """Where a platform is asked."""

    app_platform: str
    kind: Kind
    url: str
    timeout_ms: int
    last_error: str = Field(description="Why the last question got no answer; empty when it did")


class HookSet(Hook):
    """The hook, and what signs its questions."""

    secret: str | None = Field(description="Shown this once: when it is new")


@operation(router, "PUT", _PATH, WRITERS, "Set a hook", takes=HookWanted, gives=HookSet, name="put_hook")
async def put(request: Request, app_platform: str, kind: Kind) -> Response:
    """The next question goes there. Without `new_secret` a hook keeps the one it has."""
    wanted, who, table = taken(request, HookWanted), caller(request), desk(request)
    must_own(who, app_platform, "app_platform")
    hooks_of(request).places.check(wanted.url)
    hook = store.Hook(app_platform, kind, wanted.url, wanted.timeout_ms)

    def work(connection: sqlite3.Connection) -> str:
        secret = store.put_hook(connection, table.cipher, hook, wanted.new_secret)
        detail = f"{app_platform}/{kind}: {hook.url} {hook.timeout_ms} ms{' new secret' if secret else ''}"
        audited(connection, who, table.now(), "hook.set", detail)
        return secret

    secret = await table.write(work)
    return answer({**_shown(request, hook), "secret": secret or None})


@operation(router, "GET", "/hooks", ALL, "List hooks", gives=page_of(Hook), name="list_hooks")
async def list_(request: Request, after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100) -> Response:
    """A platform sees its own."""
    who = caller(request)
    platform, _, kind = after.partition("/")
    own = who.app_platform if who.role is Role.PLATFORM else ""
    found = desk(request).read(lambda connection: list(store.list_hooks(connection, own, (platform, kind), limit)))
    rows = [_shown(request, hook) for hook in found]
    last = f"{found[-1].app_platform}/{found[-1].kind}" if len(found) == limit else None
    return answer({"items": rows, "next": last})


@operation(router, "GET", _PATH, ALL, "One hook", gives=Hook, name="get_hook")
async def get(request: Request, app_platform: str, kind: Kind) -> Response:
    """Without its secret."""
    must_own(caller(request), app_platform, "app_platform")
    return answer(_shown(request, desk(request).read(lambda one: store.read_hook(one, app_platform, kind))))


@operation(router, "DELETE", _PATH, WRITERS, "Remove a hook", gives=None, status=204, name="delete_hook")
async def delete(request: Request, app_platform: str, kind: Kind) -> Response:
    """Nobody is asked any more: what a binding or scenario has asked for is refused."""
    who, table = caller(request), desk(request)
    must_own(who, app_platform, "app_platform")

    def work(connection: sqlite3.Connection) -> None:
        store.delete_hook(connection, app_platform, kind)
        audited(connection, who, table.now(), "hook.remove", f"{app_platform}/{kind}")

    await table.write(work)
    return Response(status_code=204)


def _shown(request: Request, hook: store.Hook) -> dict[str, Any]:
    return {
        "app_platform": hook.app_platform, "kind": hook.kind, "url": hook.url, "timeout_ms": hook.timeout_ms,
        "last_error": hooks_of(request).trouble(hook.app_platform, hook.kind),
    }  # fmt: skip
