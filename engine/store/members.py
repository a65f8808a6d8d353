"""Who is in a group, in its order."""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.domain.problems import Problem, ProblemCode
from engine.store.binding_rules import shown
from engine.store.crypto import NumberCipher

COLUMN: Final = "group_member.member"

_GROUP: Final = "SELECT business_user, state FROM number_group WHERE group_id = ?"
_MEMBERS: Final = "SELECT member FROM group_member WHERE group_id = ? ORDER BY position"


def members_of(
    connection: sqlite3.Connection, cipher: NumberCipher, group_id: str, business_user: str
) -> tuple[str, ...]:
    """Canonical numbers, at least one; a Problem when it is no active group of this business user."""
    row = connection.execute(_GROUP, (group_id,)).fetchone()
    if row is None or row[0] != business_user:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "group_id", f"{shown(group_id)} is no group of {business_user}")
    if row[1] != "active":
        raise Problem(ProblemCode.ILLEGAL_STATE, "group_id", f"{shown(group_id)} is {row[1]}, not active")
    return read_members(connection, cipher, group_id)


def read_members(connection: sqlite3.Connection, cipher: NumberCipher, group_id: str) -> tuple[str, ...]:
    """Canonical numbers; none of a group that is not there."""
    return tuple(cipher.decrypt(row[0], COLUMN) for row in connection.execute(_MEMBERS, (group_id,)))
