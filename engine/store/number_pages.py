"""What the proof looks at: all bindings and targets of some hundred numbers, as they are at one moment and in clear.

Number by number it would cost five statements and six deciphered values each: three times what all the rest takes.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, final

from engine.store.crypto import NumberCipher

ROWS_AT_ONCE: Final = 1_000  # of each kind; all of a number are always together

_HIDDEN: Final = ("tel_a", "tel_b", "default_a")
_COLUMNS: Final = (
    "tel_a, tel_b, default_a, subs_id, version, mode, tel_x, tel_y, group_id, business_user, app_platform, scenario,"
    " expires_at, valid_from, valid_to, pool_key, legacy_x, legacy_until"
)
# The last number of the next rows of each kind. A page ends with the smallest of the three.
_LAST: Final = (
    "SELECT max(tel_x) FROM (SELECT tel_x FROM binding WHERE tel_x > ? ORDER BY tel_x LIMIT ?)",
    "SELECT max(tel_y) FROM (SELECT tel_y FROM binding WHERE tel_y > ? AND tel_y != '' ORDER BY tel_y LIMIT ?)",
    "SELECT max(x) FROM (SELECT x FROM target WHERE x > ? ORDER BY x LIMIT ?)",
)
_OF_X: Final = f"SELECT tel_x, {_COLUMNS} FROM binding WHERE tel_x > ? AND tel_x <= ? ORDER BY tel_x, expires_at, id"
_OF_Y: Final = (
    f"SELECT tel_y, {_COLUMNS} FROM binding WHERE tel_y > ? AND tel_y <= ? AND tel_y != ''"
    " ORDER BY tel_y, expires_at, id"
)
_TARGETS: Final = (
    "SELECT x, expires_at > ?3, caller, callee, presented, subs_id, version, business_user, expires_at FROM target"
    " WHERE x > ?1 AND x <= ?2 ORDER BY x, caller"
)


class Version(NamedTuple):
    """A row of `binding`, numbers in clear."""

    tel_a: str  # "" of a group
    tel_b: str
    default_a: str
    subs_id: str
    version: int
    mode: str
    tel_x: str
    tel_y: str
    group_id: str
    business_user: str
    app_platform: str
    scenario: str
    expires_at: float
    valid_from: float
    valid_to: float | None
    pool_key: str
    legacy_x: str
    legacy_until: float | None

    @property
    def end(self) -> float:
        return self.expires_at if self.valid_to is None else min(self.valid_to, self.expires_at)

    @property
    def named(self) -> str:
        return f"{self.subs_id} version {self.version}"


class Target(NamedTuple):
    """What a row of `target` leads to, number in clear."""

    callee: str
    presented: str
    subs_id: str
    version: int
    business_user: str
    expires_at: float


class NumberRows:
    """All that the store has of one number."""

    __slots__ = ("as_x", "as_y", "targets")

    def __init__(self) -> None:
        self.as_x: list[Version] = []
        self.as_y: list[Version] = []
        self.targets: list[tuple[str, Target]] = []  # those in force, with their callers


@final
class NumberPages:
    """One page after the other, in the order of numbers; each inside a read transaction of the caller's."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, wall_s: float) -> None:
        """Targets are in force at `wall_s`, seconds since the epoch."""
        self._connection = connection
        self._cipher = cipher.batch()
        self._wall_s = wall_s
        self._after = ""

    def next(self) -> dict[str, NumberRows]:
        """Numbers of which anything is known, in order; none behind the last. sqlite3.Error, StoreError."""
        row = (self._after, ROWS_AT_ONCE)
        lasts = [self._connection.execute(query, row).fetchone()[0] for query in _LAST]
        last = min((str(one) for one in lasts if one is not None), default="")
        if not last:
            return {}
        span = (self._after, last)
        self._after = last
        found: defaultdict[str, NumberRows] = defaultdict(NumberRows)
        for number, version in self._versions(_OF_X, span):
            found[number].as_x.append(version)
        for number, version in self._versions(_OF_Y, span):
            found[number].as_y.append(version)
        self._add_targets(span, found)
        return dict(sorted(found.items()))

    def _versions(self, query: str, span: tuple[str, str]) -> Iterable[tuple[str, Version]]:
        rows = self._connection.execute(query, span).fetchall()
        columns = [self._clear([row[at] for row in rows], f"binding.{name}") for at, name in enumerate(_HIDDEN, 1)]
        for row, *clear in zip(rows, *columns, strict=True):
            yield row[0], Version(*clear, *row[1 + len(_HIDDEN) :])

    def _add_targets(self, span: tuple[str, str], found: defaultdict[str, NumberRows]) -> None:
        rows = self._connection.execute(_TARGETS, (*span, self._wall_s)).fetchall()
        in_force = []
        for row in rows:
            of_number = found[row[0]]  # one that has nothing else is looked at, too
            if row[1]:
                in_force.append((of_number, row))
        callers = self._cipher.decrypt_all([row[2] for _, row in in_force], "target.caller")
        callees = self._cipher.decrypt_all([row[3] for _, row in in_force], "target.callee")
        for (of_number, row), caller, callee in zip(in_force, callers, callees, strict=True):
            of_number.targets.append((caller, Target(callee, *row[4:])))

    def _clear(self, blobs: Sequence[bytes | None], column: str) -> list[str]:
        """Each in clear, "" for none."""
        clear = iter(self._cipher.decrypt_all([blob for blob in blobs if blob], column))
        return [next(clear) if blob else "" for blob in blobs]
