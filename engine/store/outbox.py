"""What happened to a binding, for the feed of its platform: written in the transaction in which it happened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from engine.store.binding_rows import VERSION, Terms
from engine.store.binding_rules import BindRequest
from engine.store.history import INSERT_EVENT, publish
from engine.store.rows import UtcText

_TOLD: Final = (
    "mode", "tel_x", "tel_y", "group_id", "business_user", "order_id", "out_order_id", "out_id", "industrial_id",
    "scenario",
)  # fmt: skip

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


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
    rows = [
        (terms.app_platform, "binding.created", at, subs_id, _told(terms, clock.text(terms.expires_at)))
        for subs_id, terms in made
    ]
    connection.executemany(INSERT_EVENT, rows)


def _told(terms: Terms, expiration: str) -> str:
    told: dict[str, object] = {
        "mode": terms.mode, "tel_x": terms.tel_x, "business_user": terms.business_user, "order_id": terms.order_id,
        "scenario": terms.scenario, "version": VERSION, "expiration": expiration,
    }  # fmt: skip
    return _encode(told)
