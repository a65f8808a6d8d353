"""What is written with each change of the inventory: its transition, its audit row, and what its platform is told.

All in the transaction of the change, which the caller owns.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from engine.store.audit import Asker, audit_row, insert_audit
from engine.store.many_rows import Shape
from engine.store.rows import utc_text

_TRANSITION: Final = (
    "INSERT INTO transition (kind, entity, from_state, to_state, at, actor, reason) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_EVENT: Final = ("app_platform", "kind", "at", "subject", "payload")
EVENT: Final = Shape("outbox", _EVENT, (_EVENT,))
_INSERT_EVENT: Final = f"INSERT INTO outbox ({', '.join(_EVENT)}) VALUES (?, ?, ?, ?, ?)"


def note_transition(
    connection: sqlite3.Connection, kind: str, entity: str, before: str, after: str, asker: Asker, wall_s: float
) -> None:
    """A move without its audit row, for what writes one of its own; `before` is "" of what was made."""
    at, actor, _, _, reason = audit_row(wall_s, asker, "", "")
    connection.execute(_TRANSITION, (kind, entity, before, after, at, actor, reason))


def note_move(
    connection: sqlite3.Connection, kind: str, entity: str, before: str, after: str, asker: Asker, wall_s: float
) -> None:
    """A move of a state machine, for ever and for the audit."""
    note_transition(connection, kind, entity, before, after, asker, wall_s)
    action = f"{kind}.state" if before else f"{kind}.create"
    note_act(connection, action, entity, f"{before} -> {after}" if before else after, asker, wall_s)


def note_act(connection: sqlite3.Connection, action: str, entity: str, what: str, asker: Asker, wall_s: float) -> None:
    """An audit row whose detail begins with the entity: "express: max_ttl_s 3600 -> 60"."""
    insert_audit(connection, wall_s, asker, action, f"{entity}: {what}")


def publish(
    connection: sqlite3.Connection,
    app_platform: str,
    kind: str,
    subject: str,
    payload: Mapping[str, object],
    wall_s: float,
) -> None:
    """What a platform is told; numbers in `payload` are masked."""
    body = json.dumps(payload, ensure_ascii=False)
    connection.execute(_INSERT_EVENT, (app_platform, kind, utc_text(wall_s), subject, body))
