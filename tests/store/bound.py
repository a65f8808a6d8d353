"""A binding as tests ask for it, or in force as `target` has it, and who is in it."""

from __future__ import annotations

import sqlite3

from engine.store.binding_rules import BindRequest
from engine.store.crypto import NumberCipher

X = "700123456780001"
A, B, C = "13800138000", "13900139000", "13700137000"
REQUEST = BindRequest(
    mode="AXB",
    tel_x=X,
    tel_y="",
    tel_a=A,
    tel_b=B,
    group_id="",
    business_user="bu-express",
    order_id="order-1",
    scenario="express",
    expiration="2026-12-01T08:00:00+08:00",
)
EXPIRES_AT = 1_796_083_200.0


def bind(
    connection: sqlite3.Connection,
    cipher: NumberCipher,
    x: str,
    expires_at: float,
    subs_id: str = "s1",
    parties: tuple[str, str] = (A, B),
) -> None:
    """X between two parties, until then."""
    for caller, callee in (parties, parties[::-1]):
        connection.execute(
            "INSERT INTO target (x, caller, callee, presented, subs_id, version, mode, tel_y, app_platform,"
            " business_user, order_id, scenario, expires_at, key_id)"
            " VALUES (?, ?, ?, ?, ?, 1, 'AXB', '', 'ap-demo', 'bu-express', 'o', 'express', ?, ?)",
            (x, cipher.encrypt(caller, "target.caller"), cipher.encrypt(callee, "target.callee"), x, subs_id,
             expires_at, cipher.key_id),
        )  # fmt: skip
