"""The part of the store that decides about bindings, read into the facts that the gates judge."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final, final

from engine.domain.days import china_day
from engine.domain.gates import Block, Order, Person, Pool, Scenario, Tenant
from engine.store.crypto import NumberCipher

_TENANT: Final = (
    "SELECT business_user.app_platform, app_platform.state, business_user.state, consent, coalesce("
    "(SELECT max(to_day) FROM contract WHERE business_user = business_user.id"
    " AND contract.app_platform = business_user.app_platform AND state = 'effective'"
    " AND from_day <= ?1 AND to_day >= ?1), ''), coalesce("
    "(SELECT kind FROM restriction WHERE (kind, id) IN (VALUES ('everything', ''),"
    " ('app_platform', business_user.app_platform), ('business_user', business_user.id)) LIMIT 1), ''), scenarios"
    " FROM business_user JOIN app_platform ON app_platform.id = business_user.app_platform WHERE business_user.id = ?2"
)
_SCENARIO: Final = (
    "SELECT code, state, modes, max_ttl_s, hours, sms, real_name, order_check, max_call_s, calls_per_day"
    " FROM scenario WHERE code = ?"
)
_BLOCK: Final = (
    "SELECT prefix, state, business_user,"
    " EXISTS (SELECT 1 FROM restriction WHERE kind = 'number_block' AND id = prefix) FROM number_block WHERE prefix = ?"
)
_POOL: Final = "SELECT business_user, state, choice, callback, cool_s FROM number_pool WHERE key = ?"
_POOL_BLOCKS: Final = "SELECT prefix FROM pool_block WHERE pool = ? ORDER BY prefix"
_BLOCKS_OF: Final = "SELECT prefix FROM number_block WHERE business_user = ? AND state = 'assigned' ORDER BY prefix"
_RESTRICTED: Final = "SELECT state FROM restriction WHERE kind = 'number' AND id = ?"
_ALL_RESTRICTED: Final = "SELECT id FROM restriction WHERE kind = 'number'"
_ORDER: Final = "SELECT state, until_at FROM service_order WHERE business_user = ? AND order_id = ?"
_PERSON: Final = "SELECT state, consent_ref FROM subscriber WHERE app_platform = ? AND number = ?"


@final
class Standing:
    """As it is inside one transaction: what was read once is not read again."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, wall_s: float) -> None:
        self._connection = connection
        self._cipher = cipher
        self._today = china_day(wall_s)
        self._tenants: dict[str, Tenant | None] = {}
        self._scenarios: dict[str, Scenario | None] = {}
        self._blocks: dict[str, Block | None] = {}

    def tenant(self, business_user: str) -> Tenant | None:
        if business_user not in self._tenants:
            row = self._one(_TENANT, self._today, business_user)
            self._tenants[business_user] = row and _tenant(business_user, *row)
        return self._tenants[business_user]

    def scenario(self, code: str) -> Scenario | None:
        if code not in self._scenarios:
            row = self._one(_SCENARIO, code)
            self._scenarios[code] = row and _scenario(*row)
        return self._scenarios[code]

    def block(self, prefix: str) -> Block | None:
        if prefix not in self._blocks:
            row = self._one(_BLOCK, prefix)
            self._blocks[prefix] = row and Block(row[0], row[1], row[2], bool(row[3]))
        return self._blocks[prefix]

    def pool(self, key: str) -> Pool | None:
        row = self._one(_POOL, key)
        if row is None:
            return None
        business_user, state, choice, callback, cool_s = row
        return Pool(key, business_user, state, choice, callback, cool_s, self._column(_POOL_BLOCKS, key))

    def blocks_of(self, business_user: str) -> tuple[str, ...]:
        """All blocks that are assigned to a business user."""
        return self._column(_BLOCKS_OF, business_user)

    def restriction(self, number: str) -> str:
        """The state of a number's own restriction, "" without one."""
        row = self._one(_RESTRICTED, number)
        return str(row[0]) if row else ""

    def restricted(self) -> frozenset[str]:
        """All numbers with a restriction of their own."""
        return frozenset(self._column(_ALL_RESTRICTED))

    def order(self, business_user: str, order_id: str) -> Order | None:
        row = self._one(_ORDER, business_user, order_id)
        return row and Order(*row)

    def person(self, app_platform: str, number: str) -> Person:
        """Who is behind a canonical number, as far as the platform has said."""
        row = self._one(_PERSON, app_platform, self._cipher.encrypt(number, "subscriber.number"))
        return Person(number, bool(row) and row[0] == "verified", bool(row) and row[1] != "")

    def _one(self, query: str, *parameters: object) -> Any:
        return self._connection.execute(query, parameters).fetchone()

    def _column(self, query: str, *parameters: object) -> tuple[str, ...]:
        return tuple(row[0] for row in self._connection.execute(query, parameters))


def _tenant(
    business_user: str, platform: str, platform_state: str, state: str, consent: str, to_day: str, killed: str,
    scenarios: str,
) -> Tenant:  # fmt: skip
    codes = tuple(json.loads(scenarios or "[]"))
    return Tenant(business_user, platform, platform_state, state, consent == "required", to_day, killed, codes)


def _scenario(
    code: str, state: str, modes: str, max_ttl_s: int, hours: str, sms: int, real_name: str, order_check: str,
    max_call_s: int, calls_per_day: int,
) -> Scenario:  # fmt: skip
    allowed = tuple(json.loads(modes))
    return Scenario(
        code, state, allowed, max_ttl_s, hours != "", bool(sms), real_name, order_check, max_call_s, calls_per_day
    )
