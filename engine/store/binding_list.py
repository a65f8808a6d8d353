"""Bindings as the API shows them: one by its subs_id, or pages in the order in which they were made."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from engine.core.numbers import mask
from engine.store.crypto import NumberCipher
from engine.store.rows import utc_text

Shown = dict[str, Any]

# Rows that are looked at for one page: bindings of other platforms lie between those of one.
MAX_LOOKED_AT: Final = 20_000

_NUMBERS: Final = ("tel_a", "tel_b", "default_a")
_COLUMNS: Final = (
    "subs_id", "version", "mode", "tel_x", "tel_y", "tel_a", "tel_b", "group_id", "default_a", "business_user",
    "app_platform", "order_id", "scenario", "pool_key", "out_order_id", "out_id", "industrial_id", "consent_ref",
    "call_restrict", "max_call_s", "ring_timeout_s", "sms", "callback", "decision", "legacy_x", "legacy_until",
    "expires_at", "valid_from", "valid_to", "ended_because",
)  # fmt: skip
_SELECT: Final = f"SELECT id, {', '.join(_COLUMNS)} FROM binding"
_ONE: Final = f"{_SELECT} WHERE subs_id = ? ORDER BY version DESC LIMIT 1"
_OWNER: Final = "SELECT app_platform FROM binding WHERE subs_id = ? LIMIT 1"
_NAMED: Final = "SELECT business_user, scenario FROM binding WHERE subs_id = ? LIMIT 1"  # no version changes them
_NEWEST: Final = "ended_because != 'replaced'"


def owner_of(connection: sqlite3.Connection, subs_id: str) -> str | None:
    """The app platform of a binding; None where there is none."""
    row = connection.execute(_OWNER, (subs_id,)).fetchone()
    return None if row is None else str(row[0])


def named_by(connection: sqlite3.Connection, subs_id: str) -> tuple[str, str] | None:
    """Business user and scenario of a binding; None where there is none."""
    row = connection.execute(_NAMED, (subs_id,)).fetchone()
    return None if row is None else (str(row[0]), str(row[1]))


def show_binding(
    connection: sqlite3.Connection, cipher: NumberCipher, subs_id: str, reveals: bool, wall_s: float
) -> Shown | None:
    """Its newest version, real numbers masked unless `reveals`; None where there is none."""
    row = connection.execute(_ONE, (subs_id,)).fetchone()
    return None if row is None else _shown(cipher, row, reveals, wall_s)


def page_of_bindings(
    connection: sqlite3.Connection, cipher: NumberCipher, where: dict[str, str], after: int, limit: int,
    reveals: bool, wall_s: float,
) -> tuple[list[Shown], int | None]:  # fmt: skip
    """Up to `limit` behind the row `after`, and the row behind which the next page begins, None at the end.

    `where`: column (app_platform, business_user, tel_x) -> value. A page may be short, or empty, with more to come.
    """
    wanted = "".join(f" AND {name} = ?" for name in where)
    until = after + MAX_LOOKED_AT
    if "tel_x" in where:  # its index finds them
        until = 2**63 - 1
    query = f"{_SELECT} WHERE id > ? AND id <= ? AND {_NEWEST}{wanted} ORDER BY id LIMIT ?"
    rows = connection.execute(query, (after, until, *where.values(), limit)).fetchall()
    found = [_shown(cipher, row, reveals, wall_s) for row in rows]
    if len(rows) == limit:
        return found, int(rows[-1][0])
    last = connection.execute("SELECT max(id) FROM binding").fetchone()[0] or 0
    return found, until if until < last else None


def _shown(cipher: NumberCipher, row: tuple[Any, ...], reveals: bool, wall_s: float) -> Shown:
    found = dict(zip(_COLUMNS, row[1:], strict=True))
    for name in _NUMBERS:
        blob = found[name]
        number = "" if blob is None else cipher.decrypt(blob, f"binding.{name}")
        found[name] = number if reveals else mask(number) if number else ""
    ended, because = found.pop("valid_to"), found.pop("ended_because")
    state = "active" if found["expires_at"] > wall_s else "expired"
    if ended is not None and ended < found["expires_at"]:
        state = because or "unbound"
    found |= {
        "sms": bool(found["sms"]),
        "legacy_until": None if found["legacy_until"] is None else utc_text(found["legacy_until"]),
        "expires_at": utc_text(found["expires_at"]),
        "valid_from": utc_text(found["valid_from"]),
        "ended_at": None if ended is None else utc_text(ended),
        "state": state,
    }
    return found
