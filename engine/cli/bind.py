"""Verbs about one binding: bind, rebind, unbind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from engine.cli.common import JSON, UsageFault, binding_store, configuration, instant, say, say_json, tell
from engine.domain.problems import Problem, ProblemCode
from engine.store.binder import Binder, Bound, Change
from engine.store.binding_rules import BindRequest
from engine.store.requests import once
from engine.store.rows import utc_text

_CREATED: Final = 201

_TEL_A: Final = typer.Option(help="Real number of one party.", show_default=False)
_TEL_B: Final = typer.Option(help="Real number of the other party.", show_default=False)
_GROUP: Final = typer.Option(help="GXB, GXYB: the group in the place of A.", show_default=False)
_DEFAULT_A: Final = typer.Option(help="GXB, GXYB: whom B reaches before a member has called.", show_default=False)
_CALLBACK: Final = typer.Option(
    help="GXB, GXYB: whom B reaches, last_caller, default_a or sequential.", show_default=False
)
_EXPIRATION: Final = typer.Option(help="RFC 3339 with offset: 2030-01-31T08:00:00+08:00.", show_default=False)
_ORDER: Final = typer.Option(help="The order that this binding serves.", show_default=False)
_OUT_ORDER: Final = typer.Option(help="The platform's own name for the order.", show_default=False)
_OUT_ID: Final = typer.Option(help="Anything of the platform's own.", show_default=False)
_INDUSTRIAL: Final = typer.Option(help="Identifier of industrial internet.", show_default=False)
_CONSENT: Final = typer.Option(help="Where the consent of the persons is filed.", show_default=False)
_RESTRICT: Final = typer.Option(
    help="Who may not call: CONTROL_AX_DISABLE, CONTROL_BX_DISABLE, CONTROL_GX_DISABLE; CONTROL_CLEAR_DISABLE: nobody.",
    show_default=False,
)
_LONGEST: Final = typer.Option("--max-duration", help="Seconds that a call may last.", show_default=False)
_RING: Final = typer.Option("--ring-timeout", help="Seconds that a phone may ring.", show_default=False)
_DECISION: Final = typer.Option(
    help="The platform decides on each call; its silence: closed (refuse) or open.", show_default=False
)


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    app.command("bind")(bind)
    app.command("rebind")(rebind)
    app.command("unbind")(unbind)


def bind(
    context: typer.Context,
    tel_b: Annotated[str, _TEL_B],
    business_user: Annotated[str, typer.Option(help="Holder of the number block.", show_default=False)],
    order_id: Annotated[str, _ORDER],
    scenario: Annotated[str, typer.Option(help="What it is for, by the inventory.", show_default=False)],
    expiration: Annotated[str, _EXPIRATION],
    mode: Annotated[str, typer.Option(help="AXB, AXYB, GXB or GXYB: see docs/bindings.md.")] = "AXB",
    tel_x: Annotated[str, typer.Option(help="The 700 number, 15 digits; without it one is picked.")] = "",
    tel_y: Annotated[str, typer.Option(help="AXYB, GXYB: what side A dials; without it one is picked.")] = "",
    tel_a: Annotated[str, _TEL_A] = "",
    group_id: Annotated[str, _GROUP] = "",
    default_a: Annotated[str, _DEFAULT_A] = "",
    callback: Annotated[str, _CALLBACK] = "",
    pool_key: Annotated[str, typer.Option(help="The pool that numbers are picked from.", show_default=False)] = "",
    call_restrict: Annotated[str, _RESTRICT] = "",
    max_duration: Annotated[int, _LONGEST] = 0,
    ring_timeout: Annotated[int, _RING] = 0,
    sms: Annotated[bool, typer.Option("--sms/--no-sms", help="Whether short messages go through.")] = True,
    decision: Annotated[str, _DECISION] = "",
    out_order_id: Annotated[str, _OUT_ORDER] = "",
    out_id: Annotated[str, _OUT_ID] = "",
    industrial_id: Annotated[str, _INDUSTRIAL] = "",
    consent_ref: Annotated[str, _CONSENT] = "",
    legacy_x: Annotated[str, typer.Option(help="The number of before 700, beside X.", show_default=False)] = "",
    legacy_until: Annotated[str, typer.Option(help="RFC 3339: so long it works, too.", show_default=False)] = "",
    req_id: Annotated[
        str, typer.Option(help="The same request with the same name is carried out once.", show_default=False)
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Bind X to two parties and print the subs_id. It counts for the very next call.

    \b
    Example:
      veil700 bind --mode AXB --tel-x 700123456780001 --tel-a 13800138000 --tel-b 13900139000 \\
        --business-user bu-express --order-id 4711 --scenario express --expiration 2030-01-31T08:00:00+08:00
      veil700 bind --mode GXB --group-id couriers --tel-b 13900139000 --business-user bu-express \\
        --order-id 4711 --scenario express --expiration 2030-01-31T08:00:00+08:00 --json
    """
    request = BindRequest(
        mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expiration, pool_key,
        out_order_id, out_id, industrial_id, consent_ref, call_restrict, max_duration, ring_timeout, sms, default_a,
        callback, decision, legacy_x, legacy_until, req_id,
    )  # fmt: skip

    instant("--expiration", expiration)
    instant("--legacy-until", legacy_until or None)

    async def work() -> dict[str, Any]:
        async with binding_store(configuration(context)) as store:
            return await store.write(lambda binder, connection, now: _bound_once(binder, connection, request, now))

    try:
        made = asyncio.run(work())
    except Problem as problem:
        raise _with_remedy(problem) from None
    if as_json:
        say_json(made)
        return
    say(made["subs_id"])
    for name, asked in (("tel_x", tel_x), ("tel_y", tel_y)):
        if made[name] != asked:
            tell(f"{name} {made[name]}")


def rebind(
    context: typer.Context,
    subs_id: Annotated[str, typer.Argument(metavar="SUBS_ID", help="As `bind` printed it.", show_default=False)],
    tel_a: Annotated[str | None, _TEL_A] = None,
    tel_b: Annotated[str | None, _TEL_B] = None,
    group_id: Annotated[str | None, _GROUP] = None,
    default_a: Annotated[str | None, _DEFAULT_A] = None,
    callback: Annotated[str | None, _CALLBACK] = None,
    expiration: Annotated[str | None, _EXPIRATION] = None,
    order_id: Annotated[str | None, _ORDER] = None,
    out_order_id: Annotated[str | None, _OUT_ORDER] = None,
    out_id: Annotated[str | None, _OUT_ID] = None,
    industrial_id: Annotated[str | None, _INDUSTRIAL] = None,
    consent_ref: Annotated[str | None, _CONSENT] = None,
    call_restrict: Annotated[str | None, _RESTRICT] = None,
    max_duration: Annotated[int | None, _LONGEST] = None,
    ring_timeout: Annotated[int | None, _RING] = None,
    sms: Annotated[bool | None, typer.Option("--sms/--no-sms", help="Whether short messages go through.")] = None,
    decision: Annotated[str | None, _DECISION] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Change a binding: what is not named stays. Calls in progress go on; the next call finds the new version.

    \b
    Example:
      veil700 rebind 019ab4b2c1d0a1b2c3d4e5f60718293a --tel-b 13700137000
      veil700 rebind 019ab4b2c1d0a1b2c3d4e5f60718293a --expiration 2030-02-28T08:00:00+08:00 --json
    """
    change = Change(
        tel_a, tel_b, group_id, default_a, expiration, order_id, out_order_id, out_id, industrial_id, consent_ref,
        call_restrict, max_duration, ring_timeout, sms, callback, decision,
    )  # fmt: skip
    if not change.said():
        raise UsageFault("rebind: nothing is named that should change; see veil700 rebind --help")
    instant("--expiration", expiration)

    async def work() -> Bound:
        async with binding_store(configuration(context), must_exist=True) as store:
            return await store.write(lambda binder, _, now: binder.update(subs_id, change, now))

    bound = asyncio.run(work())
    if as_json:
        say_json(_told(bound))


def unbind(
    context: typer.Context,
    subs_id: Annotated[str, typer.Argument(metavar="SUBS_ID", help="As `bind` printed it.", show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """End a binding. Calls in progress go on; the next call finds nothing.

    \b
    Example:
      veil700 unbind 019ab4b2c1d0a1b2c3d4e5f60718293a
    """

    async def work() -> dict[str, str]:
        async with binding_store(configuration(context), must_exist=True) as store:
            ended = await store.write(lambda binder, _, now: binder.unbind(subs_id, now))
        return {
            "subs_id": subs_id, "state": "unbound", "released_at": utc_text(ended.released_at),
            "cool_until": utc_text(ended.cool_until),
        }  # fmt: skip

    ended = asyncio.run(work())
    if as_json:
        say_json(ended)


def _bound_once(binder: Binder, connection: sqlite3.Connection, request: BindRequest, wall_s: float) -> dict[str, Any]:
    """What is printed: of this request, or of the one before with its req_id."""

    def work() -> tuple[int, str]:
        return _CREATED, json.dumps(_told(binder.bind(request, wall_s)))

    row = connection.execute("SELECT app_platform FROM business_user WHERE id = ?", (request.business_user,)).fetchone()
    if not request.req_id or row is None:
        told = work()[1]
    else:
        body = hashlib.sha256(json.dumps(asdict(request), sort_keys=True).encode()).digest()
        told = once(connection, row[0], request.req_id, body, work, wall_s)[1]
    found: dict[str, Any] = json.loads(told)
    return found


def _told(bound: Bound) -> dict[str, Any]:
    return bound._asdict() | {"expires_at": utc_text(bound.expires_at)}


def _with_remedy(problem: Problem) -> Problem:
    """The same, with what somebody at a terminal can do about it."""
    if problem.code is not ProblemCode.BIND_CONFLICT:
        return problem
    return Problem(problem.code, problem.field, f"{problem.detail}: veil700 unbind ends that binding")
