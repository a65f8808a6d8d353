"""Whom the decision hook of a platform may name: the rules of a bind for a party that no bind has seen."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.store import blacklist
from engine.store.crypto import NumberCipher
from engine.store.standing import Standing

_BARRED: Final = "SELECT 1 FROM blacklist WHERE app_platform = ? AND first = ? AND second = ?"


def why_not(
    connection: sqlite3.Connection, cipher: NumberCipher, app_platform: str, business_user: str, number: str,
    wall_s: float,
) -> str:  # fmt: skip
    """Why the person behind a canonical number may not be named, in one line without the number; "" when he may.

    Of the black list only what counts for everybody is looked at: who calls is not known where this is asked.
    """
    sealed = cipher.encrypt(number, blacklist.COLUMN)
    if connection.execute(_BARRED, (app_platform, sealed, blacklist.NOBODY)).fetchone() is not None:
        return "the callee is on the black list"
    standing = Standing(connection, cipher, wall_s)
    tenant = standing.tenant(business_user)
    if tenant is None or tenant.app_platform != app_platform:
        return "the business user is another platform's"
    if tenant.is_consent_required and not standing.person(app_platform, number).has_consented:
        return "the callee has not consented"
    return ""
