"""A binding in force as `target` has it, for tests of what must wait for its end."""

from __future__ import annotations

import sqlite3

from engine.store.crypto import NumberCipher

A = "13800138000"
B = "13900139000"


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
