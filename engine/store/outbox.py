"""What happened to a binding, for the feed of its platform: written in the transaction in which it happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from json.encoder import encode_basestring
from typing import Final

from engine.store.binding_rows import VERSION, Terms
from engine.store.binding_rules import BindRequest
from engine.store.history import INSERT_EVENT, publish
from engine.store.many_rows import insert_many
from engine.store.rows import UtcText

_TOLD: Final = (
    "mode", "tel_x", "tel_y", "group_id", "business_user", "order_id", "out_order_id", "out_id", "industrial_id",
    "scenario",
)  # fmt: skip


def announce(
    connection: sqlite3.Connection, app_platform: str, kind: str, wall_s: float, subs_id: str, request: BindRequest,
    more: dict[str, object],
) -> None:  # fmt: skip
    """No real number goes into it: the platform knows them by the subs_id."""
    told = {name: value for name in _TOLD if (value := getattr(request, name))} | more
    publish(connection, app_platform, kind, subs_id, told, wall_s)


def announce_all(connection: sqlite3.Connection, made: Iterable[tuple[str, Terms]], wall_s: float) -> None:
    """`binding.created` of many without options: subs_id and terms of each."""
    clock = UtcText()  # many of them end in the same second
    at = clock.text(wall_s)
    tails: dict[tuple[str, str, float], tuple[str, str]] = {}  # what many of them have in common
    rows = []
    for subs_id, terms in made:
        key = (terms.business_user, terms.scenario, terms.expires_at)
        common = tails.get(key)
        if common is None:
            common = tails[key] = _common(terms, clock.text(terms.expires_at))
        order = encode_basestring(terms.order_id)
        told = f'{{"mode": "{terms.mode}", "tel_x": "{terms.tel_x}", {common[0]}, "order_id": {order}, {common[1]}}}'
        rows.append((terms.app_platform, "binding.created", at, subs_id, told))
    insert_many(connection, INSERT_EVENT, rows)


def _common(terms: Terms, expiration: str) -> tuple[str, str]:
    """What stands between the number and the order, and behind the order, as `json.dumps` writes it."""
    user, scenario = encode_basestring(terms.business_user), encode_basestring(terms.scenario)
    return f'"business_user": {user}', f'"scenario": {scenario}, "version": {VERSION}, "expiration": "{expiration}"'
