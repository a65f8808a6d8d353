"""What calls are answered from (`target`) is what the bindings in force say: no target more, none less, none else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final, final

from engine.domain.spells import Finding
from engine.store.crypto import NumberCipher
from engine.store.number_pages import NumberRows, Target, Version

_MEMBERS: Final = "SELECT member FROM group_member WHERE group_id = ? ORDER BY position"
_MEMBERSHIP: Final = (
    "SELECT member, since_at, 9e999 FROM group_member WHERE group_id = ?1"
    " UNION ALL SELECT member, since_at, until_at FROM group_past WHERE group_id = ?1"
)
_LEGACY: Final = "SELECT 1 FROM binding WHERE subs_id = ? AND version = ? AND legacy_x = ? AND valid_to IS NULL"


@final
class TargetCheck:
    """Inside the read transaction of its caller."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, wall_s: float) -> None:
        self._connection = connection
        self._cipher = cipher
        self._wall_s = wall_s

    def members(self, version: Version) -> tuple[str, ...]:
        """Who is in its group now, in order; nobody of a binding without one."""
        if not version.group_id:
            return ()
        rows = self._connection.execute(_MEMBERS, (version.group_id,))
        return tuple(self._cipher.decrypt(member, "group_member.member") for (member,) in rows)

    def membership(self, group_id: str) -> list[tuple[str, float, float]]:
        """Who was in a group from when to when; infinite for those who are."""
        rows = self._connection.execute(_MEMBERSHIP, (group_id,))
        return [(self._cipher.decrypt(member, "group_member.member"), since, until) for member, since, until in rows]

    def findings(self, number: str, rows: NumberRows) -> Iterator[Finding]:
        """I1 and I7 of all targets in force of a number."""
        wanted = dict(self._wanted(number, rows))
        for caller, target in rows.targets:
            expected = wanted.pop(caller, None)
            if expected is None:
                if self._connection.execute(_LEGACY, (target.subs_id, target.version, number)).fetchone() is None:
                    yield Finding("I1", f"{number} has a target of {target.subs_id} that no binding in force asks for")
            elif expected.presented != target.presented:
                yield Finding("I7", f"{number} shows {target.presented} for {target.subs_id}, not {expected.presented}")
            elif expected != target:
                yield Finding("I1", f"{number} has a target of {target.subs_id} that differs from its binding")
        for expected in wanted.values():
            yield Finding("I1", f"{number} has no target for a party of {expected.subs_id}")

    def _wanted(self, number: str, rows: NumberRows) -> Iterator[tuple[str, Target]]:
        """Caller and target of each direction, as the modes have it."""
        for version in (*rows.as_x, *rows.as_y):
            if version.end <= self._wall_s:
                continue
            side_a = (version.tel_a,) if version.tel_a else self.members(version)
            rest = (version.subs_id, version.version, version.business_user, version.expires_at)
            seen_by_a = version.tel_y or version.tel_x
            if number == seen_by_a:
                for caller in side_a:
                    yield caller, Target(version.tel_b, version.tel_x, *rest)
            if number == version.tel_x and side_a:
                callee = version.default_a if version.default_a in side_a else side_a[0]
                yield version.tel_b, Target(callee, seen_by_a, *rest)
