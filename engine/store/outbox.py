"""What happened to a binding, for the feed of its platform: written in the transaction in which it happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from json.encoder import encode_basestring
from typing import Final

from engine.store.binding_rows import VERSION, Terms
from engine.store.binding_rules import BindRequest
from engine.store.history import EVENT, publish
from engine.store.many_rows import condensed, insert_many
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
    """`binding.created` of many without options: subs_id and terms of each, at least one."""
    clock = UtcText()
    tails: dict[tuple[str, str, float], tuple[str, str]] = {}  # what many of them have in common
    subs_ids: list[str] = []
    platforms: list[str] = []
    payloads: list[str] = []
    for subs_id, terms in made:
        mode, x, _, _, _, _, user, platform, order, scenario, end = terms
        key = (user, scenario, end)
        common = tails.get(key)
        if common is None:
            common = tails[key] = _common(terms, clock.text(end))
        subs_ids.append(subs_id)
        platforms.append(platform)
        payloads.append(
            f'{{"mode": "{mode}", "tel_x": "{x}", {common[0]}, "order_id": {encode_basestring(order)}, {common[1]}}}'
        )
    values: dict[str, object] = {"subject": subs_ids, "payload": payloads, "app_platform": condensed(platforms)}
    insert_many(connection, EVENT, values | {"kind": "binding.created", "at": clock.text(wall_s)})


def _common(terms: Terms, expiration: str) -> tuple[str, str]:
    """What stands between the number and the order, and behind the order, as `json.dumps` writes it."""
    user, scenario = encode_basestring(terms.business_user), encode_basestring(terms.scenario)
    return f'"business_user": {user}', f'"scenario": {scenario}, "version": {VERSION}, "expiration": "{expiration}"'
