"""Statements and rows of `binding` and `target`."""

from __future__ import annotations

import secrets
from typing import Final

from engine.store.binding_rules import BindRequest, Terms
from engine.store.crypto import NumberCipher

VERSION: Final = 1  # of a new binding

INSERT_BINDING: Final = (
    "INSERT INTO binding (subs_id, version, mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user,"
    " app_platform, order_id, scenario, expires_at, created_at, state, key_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'active', ?)"
)
# A target that has expired gives way; one in force does not, and the statement then changes no row. Last
# parameter: now.
INSERT_TARGET: Final = (
    "INSERT INTO target VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (x, caller)"
    " DO UPDATE SET callee = excluded.callee, presented = excluded.presented, subs_id = excluded.subs_id,"
    " version = excluded.version, mode = excluded.mode, tel_y = excluded.tel_y,"
    " app_platform = excluded.app_platform, business_user = excluded.business_user,"
    " order_id = excluded.order_id, scenario = excluded.scenario, expires_at = excluded.expires_at,"
    " key_id = excluded.key_id WHERE target.expires_at <= ?"
)
HOLDER: Final = "SELECT subs_id FROM target WHERE x = ? AND caller = ?"

Row = tuple[object, ...]


def new_subs_id(wall_s: float) -> str:
    """32 hex digits: 12 of milliseconds since the epoch, so that they sort, and 20 at random."""
    return f"{int(wall_s * 1000.0):012x}{secrets.token_hex(10)}"


def binding_row(subs_id: str, request: BindRequest, terms: Terms, cipher: NumberCipher, wall_s: float) -> Row:
    """Parameters of INSERT_BINDING."""
    return (
        subs_id, VERSION, request.mode, request.tel_x, request.tel_y, cipher.encrypt(terms.tel_a,
        "binding.tel_a"), cipher.encrypt(terms.tel_b, "binding.tel_b"), request.group_id,
        request.business_user, terms.app_platform, request.order_id, request.scenario, terms.expires_at,
        wall_s, cipher.key_id,
    )  # fmt: skip


def target_rows(
    subs_id: str, request: BindRequest, terms: Terms, cipher: NumberCipher, wall_s: float
) -> tuple[Row, Row]:
    """Parameters of INSERT_TARGET for both directions of AXB: (X, A) to B and (X, B) to A."""
    encrypt, tel_x = cipher.encrypt, request.tel_x
    common = (
        tel_x, subs_id, VERSION, request.mode, request.tel_y, terms.app_platform, request.business_user,
        request.order_id, request.scenario, terms.expires_at, cipher.key_id, wall_s,
    )  # fmt: skip
    return (
        (tel_x, encrypt(terms.tel_a, "target.caller"), encrypt(terms.tel_b, "target.callee"), *common),
        (tel_x, encrypt(terms.tel_b, "target.caller"), encrypt(terms.tel_a, "target.callee"), *common),
    )
