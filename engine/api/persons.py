"""Operations on the persons behind numbers, and on whom a platform lets call nobody.

A number stands in no path and no query, which proxies and logs keep: what is listed has an id, and numbers are sent in
bodies. The id is the number's cipher text, so it is the same each time and tells nobody anything.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from engine.api.auth import Caller
from engine.api.desk import Desk, answer, audited, caller, desk, done, own_platform
from engine.api.operations import ALL, MAX_PAGE, WRITERS, Given, Taken, operation, page_of, taken
from engine.core.numbers import canonical_real, mask
from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import Role
from engine.store.audit import Asker
from engine.store.blacklist import COLUMN, Entry, add_to_blacklist, remove_from_blacklist
from engine.store.errors import StoreError
from engine.store.parties import find_bindings
from engine.store.rows import utc_text
from engine.store.subscribers import Subscriber as Known
from engine.store.subscribers import Subscribers

router = APIRouter()

_NUMBER: Final = "subscriber.number"
_SUBSCRIBERS: Final = "SELECT number FROM subscriber WHERE app_platform = ? AND number > ? ORDER BY number LIMIT ?"
_BLACKLIST: Final = (
    "SELECT first, second, way, at FROM blacklist WHERE app_platform = ? AND (first, second) > (?, ?)"
    " ORDER BY first, second LIMIT ?"
)


class NewSubscriber(Taken):
    """A person, by number."""

    app_platform: str = Field("", max_length=128, description="A platform's own may be left out")
    number: str = Field(max_length=40)
    consent_ref: str = Field("", max_length=128, description="Where it stands that the person has agreed")


class SubscriberMove(Taken):
    """What was found out about the real name."""

    state: Literal["verified", "revoked"]
    source: str = Field("", max_length=128, description="With verified: who has verified it")


class Subscriber(Given):
    """What is known of a person."""

    id: str
    app_platform: str
    number: str = Field(description="Masked, but for the platform that has reported it")
    state: str = Field(description="unknown | verified | revoked: the real name")
    source: str
    verified_at: str | None
    consent_ref: str
    consent_at: str | None


class OptedOut(Given):
    """The bindings that were ended with it."""

    ended: list[str]


class NewBlacklistEntry(Taken):
    """Who is to reach whom no more."""

    app_platform: str = Field("", max_length=128, description="A platform's own may be left out")
    first: str = Field(max_length=40)
    second: str = Field("", max_length=40, description="Empty: everybody")
    way: Literal["both", "first_may_call"] = "both"


class BlacklistEntry(Given):
    """Who reaches whom no more."""

    id: str
    app_platform: str
    first: str = Field(description="Masked, but for the platform itself; as second")
    second: str
    way: str
    at: str


@operation(router, "POST", "/subscribers", WRITERS, "Report a person", takes=NewSubscriber, gives=Subscriber,
           status=201, name="create_subscriber")  # fmt: skip
async def report(request: Request) -> Response:
    """One who is known stays as he is; `consent_ref` is noted where it is said."""
    wanted, who, table = taken(request, NewSubscriber), caller(request), desk(request)
    platform = own_platform(who, wanted.app_platform)

    def work(connection: sqlite3.Connection) -> object:
        persons = Subscribers(connection, table.cipher, platform, Asker(who.actor), table.now())
        persons.report(wanted.number)
        if wanted.consent_ref:
            persons.consent(wanted.number, wanted.consent_ref)
        known = persons.read(wanted.number)
        key = table.cipher.encrypt(canonical_real(wanted.number) or "", _NUMBER)
        return _person(table, who, platform, key, known)

    return await done(request, work, 201)


@operation(router, "GET", "/subscribers", ALL, "List persons", gives=page_of(Subscriber), name="list_subscribers")
async def list_persons(
    request: Request, app_platform: str = "", after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100
) -> Response:
    """In the order of their ids."""
    who, table = caller(request), desk(request)
    platform = own_platform(who, app_platform)
    behind = _sealed(after, "after")

    def look(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        persons = Subscribers(connection, table.cipher, platform, Asker(who.actor), table.now())
        rows = connection.execute(_SUBSCRIBERS, (platform, behind, limit)).fetchall()
        return [_person(table, who, platform, key, persons.read(table.cipher.decrypt(key, _NUMBER))) for (key,) in rows]

    rows = table.read(look)
    return answer({"items": rows, "next": rows[-1]["id"] if len(rows) == limit else None})


@operation(router, "GET", "/subscribers/{key}", ALL, "One person", gives=Subscriber, name="get_subscriber")
async def get_person(request: Request, key: str, app_platform: str = "") -> Response:
    """By the id that reporting gave."""
    who, table = caller(request), desk(request)
    platform, number = own_platform(who, app_platform), _real(table, key)

    def look(connection: sqlite3.Connection) -> object:
        persons = Subscribers(connection, table.cipher, platform, Asker(who.actor), table.now())
        return _person(table, who, platform, bytes.fromhex(key), persons.read(number))

    return answer(table.read(look))


@operation(router, "POST", "/subscribers/{key}/state", WRITERS, "Say what is known of the real name",
           takes=SubscriberMove, gives=Subscriber, name="move_subscriber")  # fmt: skip
async def to_state(request: Request, key: str, app_platform: str = "") -> Response:
    """Verified again renews the proof; revoked, it counts no more."""
    wanted, who, table = taken(request, SubscriberMove), caller(request), desk(request)
    platform, number = own_platform(who, app_platform), _real(table, key)

    def work(connection: sqlite3.Connection) -> object:
        persons = Subscribers(connection, table.cipher, platform, Asker(who.actor), table.now())
        persons.read(number)
        known = persons.verify(number, wanted.source) if wanted.state == "verified" else persons.revoke(number)
        return _person(table, who, platform, bytes.fromhex(key), known)

    return await done(request, work)


@operation(router, "POST", "/subscribers/{key}/opt_out", WRITERS, "The person agrees no more", gives=OptedOut,
           name="opt_out_subscriber")  # fmt: skip
async def opt_out(request: Request, key: str, app_platform: str = "") -> Response:
    """Each binding in force of the number under this platform is ended at once."""
    who, table = caller(request), desk(request)
    platform, number = own_platform(who, app_platform), _real(table, key)
    begun = table.now()
    found = await table.read_aside(lambda aside: find_bindings(aside, table.cipher, platform, number, begun))

    def work(connection: sqlite3.Connection) -> object:
        now = table.now()
        persons = Subscribers(connection, table.cipher, platform, Asker(who.actor), now)
        persons.read(number)
        binder = table.binder(connection)
        return {"ended": persons.opt_out(number, found, lambda subs_id: binder.unbind(subs_id, now, "revoked"))}

    return await done(request, work)


@operation(router, "POST", "/blacklist", WRITERS, "Add to the blacklist", takes=NewBlacklistEntry,
           gives=BlacklistEntry, status=201, name="create_blacklist_entry")  # fmt: skip
async def add(request: Request) -> Response:
    """It counts for the next call; again changes only the way."""
    wanted, who, table = taken(request, NewBlacklistEntry), caller(request), desk(request)
    platform = own_platform(who, wanted.app_platform)

    def work(connection: sqlite3.Connection) -> object:
        now = table.now()
        entry = add_to_blacklist(connection, table.cipher, platform, wanted.first, wanted.second, wanted.way, now)
        told = f"{platform} {mask(entry.first)} {mask(entry.second) if entry.second else ''} {entry.way}"
        audited(connection, who, now, "blacklist.add", told)
        return _entry(table, who, platform, entry)

    return await done(request, work, 201)


@operation(router, "GET", "/blacklist", ALL, "List the blacklist", gives=page_of(BlacklistEntry), name="list_blacklist")
async def list_entries(
    request: Request, app_platform: str = "", after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100
) -> Response:
    """In the order of their ids."""
    who, table = caller(request), desk(request)
    platform = own_platform(who, app_platform)
    first, second = (_sealed(part, "after") for part in after.partition("-")[::2])

    def look(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        rows = connection.execute(_BLACKLIST, (platform, first, second, limit)).fetchall()
        return [_entry(table, who, platform, _opened(table, *row)) for row in rows]

    rows = table.read(look)
    return answer({"items": rows, "next": rows[-1]["id"] if len(rows) == limit else None})


@operation(router, "DELETE", "/blacklist/{key}", WRITERS, "Take off the blacklist", gives=None, status=204,
           name="delete_blacklist_entry")  # fmt: skip
async def remove(request: Request, key: str, app_platform: str = "") -> Response:
    """By the id that the list has."""
    who, table = caller(request), desk(request)
    platform = own_platform(who, app_platform)
    one, _, other = key.partition("-")
    first, second = _real(table, one, COLUMN), _real(table, other, COLUMN) if other else ""

    def work(connection: sqlite3.Connection) -> None:
        remove_from_blacklist(connection, table.cipher, platform, first, second)
        told = f"{platform} {mask(first)} {mask(second) if second else ''}"
        audited(connection, who, table.now(), "blacklist.remove", told)

    await table.write(work)
    return Response(status_code=204)


def _person(table: Desk, who: Caller, platform: str, key: bytes, known: Known) -> dict[str, Any]:
    times = {name: getattr(known, name) for name in ("verified_at", "consent_at")}
    number = table.cipher.decrypt(key, _NUMBER)
    return {
        "id": key.hex(), "app_platform": platform, "number": _seen(who, number), **asdict(known),
        **{name: None if at is None else utc_text(at) for name, at in times.items()},
    }  # fmt: skip


def _entry(table: Desk, who: Caller, platform: str, entry: Entry) -> dict[str, Any]:
    keys = [table.cipher.encrypt(number, COLUMN).hex() if number else "" for number in (entry.first, entry.second)]
    return {
        "id": "-".join(keys), "app_platform": platform, "first": _seen(who, entry.first),
        "second": _seen(who, entry.second), "way": entry.way, "at": utc_text(entry.at),
    }  # fmt: skip


def _opened(table: Desk, first: bytes, second: bytes, way: str, at: float) -> Entry:
    other = table.cipher.decrypt(second, COLUMN) if second else ""
    return Entry(table.cipher.decrypt(first, COLUMN), other, way, at)


def _seen(who: Caller, number: str) -> str:
    return number if who.role is Role.PLATFORM else mask(number) if number else ""


def _sealed(text: str, field: str) -> bytes:
    """Cipher text out of an id."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, field, "is no id") from None


def _real(table: Desk, key: str, column: str = _NUMBER) -> str:
    """The number of an id; Problem NOT_FOUND for what is none."""
    try:
        return table.cipher.decrypt(bytes.fromhex(key), column)
    except (ValueError, StoreError):
        raise Problem(ProblemCode.NOT_FOUND, "key", "there is no such thing") from None
