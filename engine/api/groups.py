"""Operations on groups of numbers, which stand in the place of A in GXB and GXYB."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.auth import Caller
from engine.api.bindings import must_own_user, without_others
from engine.api.desk import Desk, answer, caller, desk, done, must_own
from engine.api.operations import ALL, MAX_PAGE, WRITERS, Given, Taken, operation, page_of, taken
from engine.core.numbers import mask
from engine.domain.problems import Problem
from engine.store.api_keys import Role
from engine.store.audit import Asker
from engine.store.groups import Group, Groups

router = APIRouter()

_IDS: Final = (
    "SELECT group_id FROM number_group WHERE group_id > ? AND (? = '' OR app_platform = ?) ORDER BY group_id LIMIT ?"
)

Members = Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=200)]


class NewNumberGroup(Taken):
    """A group; its members are tried in their order."""

    business_user: str = Field(max_length=128)
    name: str = Field(max_length=128)
    members: Members
    group_id: str = Field("", max_length=128, description="Empty: one is drawn")


class NumberGroupEdit(Taken):
    """Who comes, who goes, or who is in it at all."""

    how: Literal["add", "remove", "overwrite"]
    members: Members


class NumberGroup(Given):
    """A group as it is now."""

    group_id: str
    app_platform: str
    business_user: str
    name: str
    state: str = Field(description="active | deleted")
    version: int
    members: list[str] = Field(description="Masked, but for the platform itself")


@operation(router, "POST", "/number_groups", WRITERS, "Make a group", takes=NewNumberGroup, gives=NumberGroup,
           status=201, name="create_number_group")  # fmt: skip
async def create(request: Request) -> Response:
    """Up to 200 numbers."""
    wanted, who, table = taken(request, NewNumberGroup), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        must_own_user(connection, who, wanted.business_user)
        groups = _groups(table, connection, who)
        made = groups.create(wanted.business_user, wanted.name, wanted.members, table.now(), wanted.group_id)
        return _shown(who, made)

    return await done(request, work, 201)


@operation(router, "GET", "/number_groups", ALL, "List groups", gives=page_of(NumberGroup), name="list_number_groups")
async def list_all(
    request: Request, after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100
) -> Response:
    """In the order of their ids."""
    who, table = caller(request), desk(request)

    def look(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        groups = _groups(table, connection, who)
        rows = connection.execute(_IDS, (after, who.app_platform, who.app_platform, limit)).fetchall()
        return [_shown(who, groups.get(group_id)) for (group_id,) in rows]

    rows = table.read(look)
    return answer({"items": rows, "next": rows[-1]["group_id"] if len(rows) == limit else None})


@operation(router, "GET", "/number_groups/{group_id}", ALL, "One group", gives=NumberGroup, name="get_number_group")
async def get(request: Request, group_id: str) -> Response:
    """As it is now."""
    who, table = caller(request), desk(request)
    return answer(table.read(lambda connection: _shown(who, _own(table, connection, who, group_id))))


@operation(router, "PATCH", "/number_groups/{group_id}", WRITERS, "Change who is in a group", takes=NumberGroupEdit,
           gives=NumberGroup, name="change_number_group")  # fmt: skip
async def edit(request: Request, group_id: str) -> Response:
    """Its bindings follow at once; calls in progress go on."""
    wanted, who, table = taken(request, NumberGroupEdit), caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        _own(table, connection, who, group_id)
        try:
            edited = _groups(table, connection, who).edit(group_id, wanted.how, wanted.members, table.now())
        except Problem as problem:
            raise without_others(connection, who, problem) from None
        return _shown(who, edited)

    return await done(request, work)


@operation(router, "DELETE", "/number_groups/{group_id}", WRITERS, "Delete a group", gives=NumberGroup,
           name="delete_number_group")  # fmt: skip
async def delete(request: Request, group_id: str) -> Response:
    """Not while a binding of it is in force."""
    who, table = caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        _own(table, connection, who, group_id)
        return _shown(who, _groups(table, connection, who).delete(group_id, table.now()))

    return await done(request, work)


def _groups(table: Desk, connection: sqlite3.Connection, who: Caller) -> Groups:
    return Groups(connection, table.cipher, table.binder(connection), Asker(who.actor))


def _own(table: Desk, connection: sqlite3.Connection, who: Caller, group_id: str) -> Group:
    group = _groups(table, connection, who).get(group_id)
    must_own(who, group.app_platform, "group_id")
    return group


def _shown(who: Caller, group: Group) -> dict[str, Any]:
    members = list(group.members) if who.role is Role.PLATFORM else [mask(number) for number in group.members]
    return {
        "group_id": group.group_id, "app_platform": group.app_platform, "business_user": group.business_user,
        "name": group.name, "state": group.state, "version": group.version, "members": members,
    }  # fmt: skip
