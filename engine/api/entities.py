"""Operations on what the inventory holds: five for each kind, all alike."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Annotated, Final, final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from engine.api import kinds
from engine.api.auth import Caller
from engine.api.desk import answer, caller, desk, done, must_own, own_platform, written
from engine.api.operations import ALL, MAX_PAGE, OPERATOR, WRITERS, Move, Moved, operation, page_of, taken
from engine.domain.fields import FIELDS, key_column
from engine.store import entities
from engine.store.api_keys import Role
from engine.store.audit import Asker
from engine.store.entities import Entity
from engine.store.moves import Wish, move

router = APIRouter()


class WideMove(Move):
    """A move, and what some moves must be told."""

    exit_day: str = Field("", max_length=10, description="Of a platform that is to wind down")
    business_user: str = Field("", max_length=128, description="Of a block that is assigned to another one")


@final
@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind is asked for. Moves are for operators, but for pools."""

    name: str  # of its table
    path: str
    new: type[BaseModel]
    change: type[BaseModel]
    shown: type[BaseModel]
    makers: frozenset[Role]
    changers: frozenset[Role]

    @property
    def is_shared(self) -> bool:
        """True for what is no platform's: each may read it."""
        return "app_platform" not in FIELDS[self.name] and self.name != "app_platform"

    def owner(self, entity: Entity) -> str:
        """The platform that it is of."""
        return str(entity["id" if self.name == "app_platform" else "app_platform"])

    def read(self, connection: sqlite3.Connection, who: Caller, key: str) -> Entity:
        """Problem NOT_FOUND, for another platform's too."""
        entity = entities.read(connection, self.name, key)
        if not self.is_shared:
            must_own(who, self.owner(entity), key_column(self.name))
        return entity


KINDS: Final = (
    _Kind("app_platform", "/app_platforms", kinds.NewAppPlatform, kinds.AppPlatformChange, kinds.AppPlatform,
          OPERATOR, OPERATOR),
    _Kind("business_user", "/business_users", kinds.NewBusinessUser, kinds.BusinessUserChange, kinds.BusinessUser,
          WRITERS, OPERATOR),
    _Kind("contract", "/contracts", kinds.NewContract, kinds.ContractChange, kinds.Contract, WRITERS, WRITERS),
    _Kind("scenario", "/scenarios", kinds.NewScenario, kinds.ScenarioChange, kinds.Scenario, OPERATOR, OPERATOR),
    _Kind("number_block", "/number_blocks", kinds.NewNumberBlock, kinds.NumberBlockChange, kinds.NumberBlock,
          OPERATOR, OPERATOR),
    _Kind("number_pool", "/number_pools", kinds.NewNumberPool, kinds.NumberPoolChange, kinds.NumberPool,
          WRITERS, WRITERS),
)  # fmt: skip


def _declare(kind: _Kind) -> None:
    words = kind.name.replace("_", " ")

    @operation(
        router, "POST", kind.path, kind.makers, f"Make a {words}", takes=kind.new, gives=kind.shown, status=201,
        name=f"create_{kind.name}", repeatable=True,
    )  # fmt: skip
    async def create(request: Request) -> Response:
        """It begins in the first state of its kind."""
        wanted, who, table = taken(request, kind.new).model_dump(exclude_none=True), caller(request), desk(request)
        if "app_platform" in wanted:
            wanted["app_platform"] = own_platform(who, wanted["app_platform"])
        if who.role is Role.PLATFORM:
            wanted.pop("credit_score", None)  # what its business users are worth is not for a platform to say

        def work(connection: sqlite3.Connection) -> object:
            return entities.create(connection, kind.name, wanted, Asker(who.actor), table.now())

        return await written(request, work, 201)

    @operation(router, "GET", kind.path, ALL, f"List {words}s", gives=page_of(kind.shown), name=f"list_{kind.name}s")
    async def list_all(
        request: Request, after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100
    ) -> Response:
        """In the order of their keys."""
        who = caller(request)
        rows = desk(request).read(lambda connection: _page(connection, kind, who, after, limit))
        following = str(rows[-1][key_column(kind.name)]) if len(rows) == limit else None
        return answer({"items": rows, "next": following})

    @operation(router, "GET", f"{kind.path}/{{key}}", ALL, f"One {words}", gives=kind.shown, name=f"get_{kind.name}")
    async def get(request: Request, key: str) -> Response:
        """By its key."""
        who = caller(request)
        return answer(desk(request).read(lambda connection: kind.read(connection, who, key)))

    @operation(
        router, "PATCH", f"{kind.path}/{{key}}", kind.changers, f"Change a {words}", takes=kind.change,
        gives=kind.shown, name=f"change_{kind.name}",
    )  # fmt: skip
    async def change(request: Request, key: str) -> Response:
        """What is not named stays."""
        wanted, who, table = taken(request, kind.change).model_dump(exclude_none=True), caller(request), desk(request)

        def work(connection: sqlite3.Connection) -> object:
            kind.read(connection, who, key)
            return entities.change(connection, kind.name, key, wanted, Asker(who.actor), table.now())

        return await done(request, work)

    @operation(
        router, "POST", f"{kind.path}/{{key}}/state", WRITERS if kind.name == "number_pool" else OPERATOR,
        f"Move a {words} into another state", takes=WideMove, gives=Moved, name=f"move_{kind.name}",
    )  # fmt: skip
    async def to_state(request: Request, key: str) -> Response:
        """Where the table of its states allows it; `legal` of a refusal says which those are."""
        wanted, who, table = taken(request, WideMove), caller(request), desk(request)
        wish = Wish(wanted.state, wanted.exit_day, wanted.business_user)

        def work(connection: sqlite3.Connection) -> object:
            kind.read(connection, who, key)
            move(connection, kind.name, key, wish, Asker(who.actor, wanted.reason), table.now())
            return {"id": key, "state": wanted.state}

        return await done(request, work)


def _page(connection: sqlite3.Connection, kind: _Kind, who: Caller, after: str, limit: int) -> list[Entity]:
    if who.role is not Role.PLATFORM or kind.is_shared:
        return entities.page(connection, kind.name, {}, after, limit)
    if kind.name == "app_platform":
        return [kind.read(connection, who, who.app_platform)] if who.app_platform > after else []
    return entities.page(connection, kind.name, {"app_platform": who.app_platform}, after, limit)


for _kind in KINDS:
    _declare(_kind)
