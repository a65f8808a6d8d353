"""Operations on bindings: the ones that a platform lives by."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from engine.api.auth import Caller
from engine.api.binding_forms import (
    Binding,
    BindingChange,
    BoundNumbers,
    BulkResults,
    EndedBinding,
    NewBinding,
)
from engine.api.bulk_bodies import read_bindings
from engine.api.desk import (
    Desk,
    answer,
    answer_text,
    audited,
    body,
    caller,
    desk,
    json_text,
    must_own,
    written,
)
from engine.api.hooks.before_bind import prove_new_order, prove_order
from engine.api.operations import ALL, MAX_PAGE, WRITERS, operation, page_of, taken
from engine.api.plain_bodies import Values
from engine.api.problem_documents import document
from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import Role
from engine.store.binder import Bound, Change
from engine.store.binding_import import COLUMNS
from engine.store.binding_list import owner_of, page_of_bindings, show_binding
from engine.store.binding_rules import BindRequest
from engine.store.rows import UtcText, utc_text

router = APIRouter()

_USER_AT: Final = COLUMNS.index("business_user")
_SUBS_ID: Final = re.compile(r"[0-9a-f]{32}")
_USER: Final = "SELECT app_platform FROM business_user WHERE id = ?"


@operation(
    router, "POST", "/bindings", WRITERS, "Bind", takes=NewBinding, gives=BoundNumbers, status=201,
    name="create_binding", repeatable=True,
)  # fmt: skip
async def create_binding(request: Request) -> Response:
    """It counts for the very next call. Without `tel_x` a number of the pool is chosen."""
    wanted, who, table = taken(request, NewBinding), caller(request), desk(request)
    asked = _request(wanted)
    await prove_order(request, asked.business_user, asked.order_id, asked.scenario, wanted.req_id)

    def work(connection: sqlite3.Connection) -> object:
        now = table.now()
        must_own_user(connection, who, asked.business_user)
        try:
            bound = table.binder(connection).bind(asked, now)
        except Problem as problem:
            raise without_others(connection, who, problem) from None
        audited(connection, who, now, "binding.create", bound.subs_id)
        return _bound(bound)

    return await written(request, work, 201, wanted.req_id)


@operation(
    router, "POST", "/bindings:bulk", WRITERS, "Bind many", takes=NewBinding, gives=BulkResults,
    name="create_bindings", many=True,
)  # fmt: skip
async def create_bindings(request: Request) -> Response:
    """A JSON array, or a binding a line (NDJSON): up to 10,000, each made or refused by itself, all durable at once.

    Of two that want the same number for the same person the first gets it. `req_id` has no use here.
    """
    who, table = caller(request), desk(request)
    asked = await read_bindings(body(request))
    table.charge(request, len(asked) - 1)
    return answer_text(await table.write(lambda connection: _bind_all(connection, table, who, asked)))


@operation(router, "GET", "/bindings", ALL, "List bindings", gives=page_of(Binding), name="list_bindings")
async def list_bindings(
    request: Request, after: Annotated[str, Query(pattern="^[0-9]{0,18}$")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100, tel_x: str = "", business_user: str = "",
) -> Response:  # fmt: skip
    """In the order in which they were made, each as its newest version says. A page may be short with more to come."""
    who, table = caller(request), desk(request)
    where = {"app_platform": who.app_platform, "business_user": business_user, "tel_x": tel_x}
    where = {name: value for name, value in where.items() if value}
    reveals = who.role is Role.PLATFORM
    rows, following = table.read(
        lambda connection: page_of_bindings(
            connection, table.cipher, where, int(after or 0), limit, reveals, table.now()
        )
    )
    return answer({"items": rows, "next": None if following is None else str(following)})


@operation(router, "GET", "/bindings/{subs_id}", ALL, "One binding", gives=Binding, name="get_binding")
async def get_binding(
    request: Request, subs_id: str, reveal: bool = False, reason: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """As its newest version says. `reveal` shows its real numbers to operators and auditors, with a `reason`, which is
    written down with who asked."""
    who, table = caller(request), desk(request)
    await table.may_reveal(who, reveal, reason, "binding.get", subs_id)
    reveals = reveal or who.role is Role.PLATFORM

    def look(connection: sqlite3.Connection) -> object:
        _must_own(connection, who, subs_id)
        return show_binding(connection, table.cipher, subs_id, reveals, table.now())

    return answer(table.read(look))


@operation(
    router, "PATCH", "/bindings/{subs_id}", WRITERS, "Change a binding", takes=BindingChange, gives=BoundNumbers,
    name="change_binding", repeatable=True,
)  # fmt: skip
async def change_binding(request: Request, subs_id: str) -> Response:
    """Writes a new version. Calls in progress go on as they began."""
    wanted, who, table = taken(request, BindingChange), caller(request), desk(request)
    change = Change(**wanted.model_dump())
    await prove_new_order(request, subs_id, change.order_id)

    def work(connection: sqlite3.Connection) -> object:
        now = table.now()
        _must_own(connection, who, subs_id)
        try:
            bound = table.binder(connection).update(subs_id, change, now)
        except Problem as problem:
            raise without_others(connection, who, problem) from None
        audited(connection, who, now, "binding.change", f"{subs_id} {', '.join(change.said())}")
        return _bound(bound)

    return await written(request, work)


@operation(router, "DELETE", "/bindings/{subs_id}", WRITERS, "Unbind", gives=EndedBinding, name="delete_binding",
           repeatable=True)  # fmt: skip
async def delete_binding(request: Request, subs_id: str) -> Response:
    """Calls in progress go on; the next one finds nothing."""
    who, table = caller(request), desk(request)

    def work(connection: sqlite3.Connection) -> object:
        now = table.now()
        _must_own(connection, who, subs_id)
        ended = table.binder(connection).unbind(subs_id, now)
        audited(connection, who, now, "binding.delete", subs_id)
        released, cool = utc_text(ended.released_at), utc_text(ended.cool_until)
        return {"subs_id": subs_id, "released_at": released, "cool_until": cool}

    return await written(request, work)


def must_own_user(connection: sqlite3.Connection, who: Caller, business_user: str) -> None:
    """Problem NOT_FOUND for a platform unless the business user is its own."""
    if who.role is Role.PLATFORM:
        row = connection.execute(_USER, (business_user,)).fetchone()
        must_own(who, "" if row is None else row[0], "business_user")


def without_others(connection: sqlite3.Connection, who: Caller, problem: Problem) -> Problem:
    """The same, but naming no binding of another platform."""
    if who.role is not Role.PLATFORM:
        return problem
    named = _SUBS_ID.findall(problem.detail)
    if all(owner_of(connection, subs_id) in (None, who.app_platform) for subs_id in named):
        return problem
    return Problem(problem.code, problem.field, "is in use, or was a short while ago", problem.legal)


def _must_own(connection: sqlite3.Connection, who: Caller, subs_id: str) -> None:
    owner = owner_of(connection, subs_id)
    if owner is None:
        raise Problem(ProblemCode.NOT_FOUND, "subs_id", "there is no such thing")
    must_own(who, owner, "subs_id")


def _request(wanted: NewBinding) -> BindRequest:
    return BindRequest(*wanted.__dict__.values())


def _bound(bound: Bound) -> dict[str, object]:
    return {
        "subs_id": bound.subs_id, "version": bound.version, "tel_x": bound.tel_x, "tel_y": bound.tel_y,
        "expires_at": utc_text(bound.expires_at),
    }  # fmt: skip


def _bind_all(connection: sqlite3.Connection, table: Desk, who: Caller, asked: Sequence[Values | BindRequest]) -> str:
    """The answer as JSON."""
    now = table.now()
    for business_user in {one[_USER_AT] if isinstance(one, tuple) else one.business_user for one in asked}:
        must_own_user(connection, who, business_user)
    bulk = table.bulk_binder(connection, now)
    for number, one in enumerate(asked, 1):
        if isinstance(one, tuple):
            bulk.add_values(number, one)
        else:
            bulk.add(number, one)
    results: list[str] = []
    made = 0
    clock = UtcText()
    ends: dict[float, str] = {}  # many of them end in the same second
    for _, became in bulk.flush():
        if isinstance(became, Problem):
            problem = json_text(document(without_others(connection, who, became)))
            results.append(f'{{"bound":null,"problem":{problem}}}')
        else:
            made += 1
            subs_id, version, x, y, expires_at = became
            end = ends.get(expires_at) or ends.setdefault(expires_at, clock.text(expires_at))
            results.append(  # `_bound` as JSON, at a fifth of the cost: nothing in it needs quoting
                f'{{"bound":{{"subs_id":"{subs_id}","version":{version},"tel_x":"{x}","tel_y":"{y}",'
                f'"expires_at":"{end}"}},"problem":null}}'
            )
    audited(connection, who, now, "binding.create", f"{made} of {len(asked)}")
    return f'{{"bound":{made},"refused":{len(asked) - made},"results":[{",".join(results)}]}}'
