"""One request as its operation sees it: parameters that were looked at, the pool that it names, and who asks."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, final

from engine.api.auth import Caller
from engine.api.desk import Desk, audited
from engine.domain.gates import BLOCK_DIGITS, Pool
from engine.domain.problems import Problem, ProblemCode
from engine.store.binder import Binder
from engine.store.standing import Standing

CHINA: Final = timezone(timedelta(hours=8))

# What this service does not do. Who asks for it must not believe that it is done.
_UNDONE: Final = ("NeedRecord", "NeedAsr", "Audio", "DtmfConfig")

_EXPIRATION: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,6}", re.ASCII)


@final
@dataclass(frozen=True, slots=True)
class Case:
    """In a transaction of the thread that writes, or where the operation only reads, on the connection for that."""

    connection: sqlite3.Connection
    desk: Desk
    who: Caller
    given: Mapping[str, str]  # without empty ones
    pool: Pool
    wall_s: float

    def __getitem__(self, name: str) -> str:
        """A parameter, "" where it was not given."""
        return self.given.get(name, "")

    def must_have(self, name: str) -> str:
        """A parameter that the operation needs after all. Problem."""
        if not self[name]:
            raise illegal(name, "missing")
        return self[name]

    @property
    def scenario(self) -> str:
        """The one that bindings made here have, by their pool. Problem where the configuration knows none."""
        api = self.desk.config.api
        assert api is not None
        found = api.alibaba_scenarios.get(self.pool.key, api.alibaba_scenario)
        if not found:
            raise Problem(ProblemCode.SCENARIO_FORBIDS, "pool_key", "no scenario is configured for this pool")
        return found

    def binder(self) -> Binder:
        """What makes, changes and ends bindings."""
        return self.desk.binder(self.connection)

    def wrote(self, action: str, detail: str) -> None:
        """Notes for the audit what was done; without real numbers."""
        audited(self.connection, self.who, self.wall_s, action, detail)

    def must_hold(self, x: str) -> None:
        """Problem NOT_FOUND unless a 700 number lies in a block of the pool."""
        if len(x) != 15 or x[:BLOCK_DIGITS] not in self.pool.prefixes:
            raise Problem(ProblemCode.NOT_FOUND, "tel_x", "is no number of this pool")


def own_pool(connection: sqlite3.Connection, desk: Desk, who: Caller, key: str, wall_s: float) -> Pool:
    """The pool of a key; Problem NOT_FOUND where there is none, or it is another platform's."""
    standing = Standing(connection, desk.cipher, wall_s)
    pool = standing.pool(key)
    tenant = standing.tenant(pool.business_user) if pool is not None else None
    if pool is None or tenant is None or tenant.app_platform != who.app_platform:
        raise Problem(ProblemCode.NOT_FOUND, "pool_key", "there is no such pool")
    return pool


def check_undone(given: Mapping[str, str]) -> None:
    """Problem where a parameter asks for a recording, an announcement or the like."""
    for name in _UNDONE:
        value = given.get(name, "")
        if value and not (name.startswith("Need") and value.lower() == "false"):
            raise illegal(name, "this service neither records nor announces nor recognises speech: leave it out")


def illegal(name: str, why: str) -> Problem:
    """A parameter whose value is not allowed."""
    return Problem(ProblemCode.ILLEGAL_ARGUMENT, name, why)


def rfc3339(expiration: str) -> str:
    """A time of these operations, which is China's, as the binder reads it. Problem."""
    found = _EXPIRATION.fullmatch(expiration)
    if found is None:
        raise Problem(ProblemCode.EXPIRE_DATE_ILLEGAL, "Expiration", "must be as 2026-11-24 08:00:00, China time")
    return f"{found[1]}T{found[2]}+08:00"


def china_text(wall_s: float) -> str:
    """Seconds since the epoch as these operations write a time."""
    return datetime.fromtimestamp(wall_s, CHINA).strftime("%Y-%m-%d %H:%M:%S")


def seconds(name: str, text: str) -> int:
    """A whole number, 0 for "". Problem."""
    if not text:
        return 0
    if _WHOLE.fullmatch(text) is None:
        raise illegal(name, "must be a whole number of seconds")
    return int(text)
