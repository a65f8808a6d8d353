"""Bindings by a number instead of a subs_id, for who keeps such an identifier in a 64 bit integer.

It is the row of a binding's first version: no binding is ever deleted, so it stays the same, and is nobody else's.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, final

from engine.store.binding_rows import VERSION
from engine.store.crypto import NumberCipher

MAX_SERIAL: Final = 2**63 - 1

_FIRST: Final = "SELECT id FROM binding WHERE subs_id = ? AND version = ?"
_SUBS_ID: Final = "SELECT subs_id, valid_from FROM binding WHERE id = ? AND version = ?"
_NEWEST: Final = (
    "SELECT app_platform, business_user, tel_x, tel_a, tel_b, group_id, order_id, industrial_id, call_restrict,"
    " scenario, expires_at, valid_to FROM binding WHERE subs_id = ? ORDER BY version DESC LIMIT 1"
)
_NEWEST_ON: Final = (
    "SELECT subs_id FROM binding WHERE tel_x = ? AND expires_at > ? AND valid_to IS NULL AND app_platform = ?"
    " ORDER BY id DESC LIMIT 1"
)


@final
@dataclass(frozen=True, slots=True)
class Numbered:
    """A binding as its newest version says; real numbers in clear. Seconds since the epoch (UTC)."""

    subs_id: str
    serial: int
    app_platform: str
    business_user: str
    tel_x: str
    tel_a: str  # "" with a group
    tel_b: str
    group_id: str
    order_id: str
    industrial_id: str
    call_restrict: str
    scenario: str
    expires_at: float
    made_at: float
    is_ended: bool  # unbound or revoked; not merely expired


def serial_of(connection: sqlite3.Connection, subs_id: str) -> int:
    """The number of a binding that is there."""
    return int(connection.execute(_FIRST, (subs_id, VERSION)).fetchone()[0])


def find_serial(connection: sqlite3.Connection, cipher: NumberCipher, serial: int) -> Numbered | None:
    """The binding with a number, ended or not; None where there is none."""
    row = connection.execute(_SUBS_ID, (min(serial, MAX_SERIAL), VERSION)).fetchone()
    if row is None:
        return None
    subs_id, made_at = row
    newest = connection.execute(_NEWEST, (subs_id,)).fetchone()
    platform, user, tel_x, tel_a, tel_b, group_id, order_id, industrial_id, restrict, scenario, until, ended = newest
    number_a = "" if tel_a is None else cipher.decrypt(tel_a, "binding.tel_a")
    return Numbered(
        subs_id, serial, platform, user, tel_x, number_a, cipher.decrypt(tel_b, "binding.tel_b"), group_id, order_id,
        industrial_id, restrict, scenario, until, made_at, ended is not None,
    )  # fmt: skip


def newest_on(connection: sqlite3.Connection, x: str, app_platform: str, wall_s: float) -> str | None:
    """The subs_id of the binding on X that a platform has made last, of those in force."""
    row = connection.execute(_NEWEST_ON, (x, wall_s, app_platform)).fetchone()
    return None if row is None else str(row[0])
