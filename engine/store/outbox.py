"""What happened to a binding, for the feed of its platform: written in the transaction in which it happened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from engine.store.binding_rows import VERSION, Terms
from engine.store.binding_rules import BindRequest
from engine.store.history import INSERT_EVENT, publish
from engine.store.rows import utc_text

_TOLD: Final = (
    "mode", "tel_x", "tel_y", "group_id", "business_user", "order_id", "out_order_id", "out_id", "industrial_id",
    "scenario",
)  # fmt: skip

_TOLD_OF_TERMS: Final = ("mode", "tel_x", "business_user", "order_id", "scenario")


def announce(
    connection: sqlite3.Connection, app_platform: str, kind: str, wall_s: float, subs_id: str, request: BindRequest,
    more: dict[str, object],
) -> None:  # fmt: skip
    """No real number goes into it: the platform knows them by the subs_id."""
    told = {name: value for name in _TOLD if (value := getattr(request, name))} | more
    publish(connection, app_platform, kind, subs_id, told, wall_s)


def announce_all(connection: sqlite3.Connection, made: Iterable[tuple[str, Terms]], wall_s: float) -> None:
    """`binding.created` of many without options: subs_id and terms of each."""
    at = utc_text(wall_s)
    connection.executemany(
        INSERT_EVENT, [(terms.app_platform, "binding.created", at, subs_id, _told(terms)) for subs_id, terms in made]
    )


def _told(terms: Terms) -> str:
    told: dict[str, object] = {name: value for name in _TOLD_OF_TERMS if (value := getattr(terms, name))}
    return json.dumps(told | {"version": VERSION, "expiration": utc_text(terms.expires_at)}, ensure_ascii=False)
