"""Whom a 700 number has known: X is not given to a pair with one of its old parties, or with somebody who has called it
since, before it has cooled down (invariant I5). The same pair may have it back.

Nothing is kept for it: the versions of bindings say who was bound when, and an index finds those of a number.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, final
from urllib.parse import quote

from engine.domain.gates import COOL_S
from engine.domain.targets import Parties
from engine.store.crypto import NumberCipher

_ROW: Final = (
    "SELECT subs_id, tel_a, tel_b, group_id, valid_from, min(coalesce(valid_to, expires_at), expires_at), cool_s"
    " FROM binding LEFT JOIN number_pool ON key = pool_key WHERE"
)
_AFTER: Final = "expires_at > ?2 AND (valid_to IS NULL OR valid_to > ?2)"
_KNOWN: Final = f"{_ROW} tel_x = ?1 AND {_AFTER} UNION ALL {_ROW} tel_y = ?1 AND tel_y != '' AND {_AFTER}"
_REMEMBERED: Final = (
    f"SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM binding WHERE tel_x = value AND {_AFTER})"
    f" OR EXISTS (SELECT 1 FROM binding WHERE tel_y = value AND tel_y != '' AND {_AFTER})"
)
_MEMBERS: Final = (
    "SELECT member FROM group_member WHERE group_id = ?1 AND since_at <= ?3"
    " UNION SELECT member FROM group_past WHERE group_id = ?1 AND until_at >= ?2 AND since_at <= ?3"
)
_LONGEST: Final = "SELECT max(cool_s) FROM number_pool"
_STRANGER: Final = "SELECT 1 FROM stranger WHERE x = ? AND caller = ? AND at > ?"
_STRANGERS_SINCE: Final = 3  # the version of records.db that has them


class Objection(NamedTuple):
    """Why a number cannot be given to somebody."""

    number: str  # canonical, of the party that it is about
    subs_id: str  # of the binding that the number is known from; "" of one that has called
    until_s: float | None  # None: that binding is in force


class Past(NamedTuple):
    """What a number remembers."""

    bindings: int  # how many that are in force or cooling
    objection: Objection | None


@final
class RecentCallers:
    """Who has called a number without being a party of it, as records.db tells; nobody while it does not exist."""

    def __init__(self, records_db: Path, cipher: NumberCipher) -> None:
        self._path = records_db
        self._cipher = cipher
        self._connection: sqlite3.Connection | None = None

    def has_called(self, x: str, number: str, since_s: float) -> bool:
        """Whether a canonical number has called X since then. sqlite3.Error."""
        if self._connection is None:
            if not self._path.is_file():
                return False
            self._connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version < _STRANGERS_SINCE:
            return False
        row = (x, self._cipher.encrypt(number, "cdr.caller"), since_s)
        return self._connection.execute(_STRANGER, row).fetchone() is not None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@final
class NumberMemory:
    """As it is inside one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, recent: RecentCallers | None, wall_s: float
    ) -> None:
        self._connection = connection
        self._cipher = cipher
        self._recent = recent
        self._wall_s = wall_s
        self._after_s = wall_s - longest_s(connection)

    def past(self, x: str, parties: Parties, cool_s: int, own: str = "") -> Past:
        """What stands against giving X to these parties; bindings of subs_id `own` do not count.

        `cool_s` is for how long a call of a stranger to X counts.
        """
        rows = [row for row in self._connection.execute(_KNOWN, (x, self._after_s)) if row[0] != own]
        if not rows:
            return Past(0, None)
        known = _Known(parties, self._cipher)
        are_all_same = True
        for subs_id, tel_a, tel_b, group_id, begun_s, ended_s, row_cool_s in rows:
            until_s = ended_s + (COOL_S if row_cool_s is None else row_cool_s)
            if until_s <= self._wall_s:
                continue
            for pair in self._pairs(tel_a, tel_b, group_id, begun_s, ended_s):
                is_same, number = known.judge(*pair)
                are_all_same = are_all_same and is_same
                if number:
                    return Past(len(rows), Objection(number, subs_id, None if ended_s > self._wall_s else until_s))
        if self._recent is not None and not are_all_same:
            for number in parties.all():
                if self._recent.has_called(x, number, self._wall_s - cool_s):
                    return Past(len(rows), Objection(number, "", self._wall_s + cool_s))
        return Past(len(rows), None)

    def remembered(self, numbers: Sequence[str]) -> frozenset[str]:
        """Those of many that `past` may have something against."""
        found = self._connection.execute(_REMEMBERED, (json.dumps(numbers), self._after_s))
        return frozenset(row[0] for row in found)

    def _pairs(
        self, tel_a: bytes | None, tel_b: bytes, group_id: str, begun_s: float, ended_s: float
    ) -> Iterator[tuple[bytes, bytes, str]]:
        """The pairs of a binding, cipher text, and the column that the first of each is of."""
        if tel_a is not None:
            yield tel_a, tel_b, "binding.tel_a"
        else:
            for (member,) in self._connection.execute(_MEMBERS, (group_id, begun_s, ended_s)):
                yield member, tel_b, "group_member.member"


def is_cooling(connection: sqlite3.Connection, cipher: NumberCipher, x: str, caller: str, wall_s: float) -> bool:
    """Whether `caller` (canonical) was a party of X in a binding that has ended, while X cools down from it."""
    memory = NumberMemory(connection, cipher, None, wall_s)
    found = memory.past(x, Parties((caller,), ""), COOL_S).objection
    return found is not None and found.until_s is not None


def longest_s(connection: sqlite3.Connection) -> float:
    """The longest cool-down of any pool."""
    found = connection.execute(_LONGEST).fetchone()[0]
    return float(max(COOL_S, found or 0))


@final
class _Known:
    """The parties of a new binding, by what their cipher text is in each column."""

    def __init__(self, parties: Parties, cipher: NumberCipher) -> None:
        self._parties = parties
        self._cipher = cipher
        self._by_column: dict[str, dict[Any, str]] = {}

    def judge(self, one: bytes, other: bytes, column: str) -> tuple[bool, str]:
        """Whether an old pair is one of the new ones, and else its party that is also a new one, "" for neither."""
        first = self._column(column).get(one, "")
        second = self._column("binding.tel_b").get(other, "")
        tel_b, side_a = self._parties.tel_b, self._parties.side_a
        if first and second and ((first == tel_b and second in side_a) or (second == tel_b and first in side_a)):
            return True, ""
        return False, first or second

    def _column(self, column: str) -> dict[Any, str]:
        found = self._by_column.get(column)
        if found is None:
            numbers = [number for number in self._parties.all() if number]
            found = {self._cipher.encrypt(number, column): number for number in numbers}
            self._by_column[column] = found
        return found
