"""What the inventory said when: the facts that `inventory verify` holds bindings against. Small, and kept in memory."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Final, NamedTuple

from engine.domain.days import end_of_day
from engine.domain.gates import BLOCK_DIGITS, COOL_S
from engine.store.rows import utc_seconds

# Moments are stored as they are shown, in whole milliseconds.
ROUNDING_S: Final = 0.001

_LEDGER: Final = "SELECT prefix, business_user, from_at, until_at FROM assignment ORDER BY prefix, from_at, id"
_HOLDERS: Final = "SELECT prefix, business_user FROM number_block WHERE state IN ('assigned', 'recalling')"
_MOVES: Final = "SELECT entity, to_state, at FROM transition WHERE kind = 'app_platform' ORDER BY id"
_CHANGES: Final = "SELECT at, detail FROM audit WHERE action = ? ORDER BY id"
_CONTRACTS: Final = "SELECT app_platform, business_user, from_day, to_day FROM contract"
_SINCE: Final = "SELECT value FROM meta WHERE name = 'gates_since'"


class Held(NamedTuple):
    """A stretch of time in which a business user had a block; `until_at` is infinite while it has it."""

    business_user: str
    from_at: float
    until_at: float


class Facts:
    """Read once; changes of what a binding was held against are known from the audit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.held: Final[defaultdict[str, list[Held]]] = defaultdict(list)
        for prefix, user, from_at, until_at in connection.execute(_LEDGER):
            self.held[prefix].append(Held(user, from_at, float("inf") if until_at is None else until_at))
        self.holders: Final = dict(connection.execute(_HOLDERS).fetchall())
        row = connection.execute(_SINCE).fetchone()
        self.gates_since: Final = float(row[0]) if row else 0.0
        self._max_ttl_s = dict(connection.execute("SELECT code, max_ttl_s FROM scenario").fetchall())
        self._cool_s = dict(connection.execute("SELECT key, cool_s FROM number_pool").fetchall())
        self._changed = {kind: _changes(connection, kind) for kind in ("scenario", "contract", "number_pool")}
        self._contracts: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for platform, user, from_day, to_day in connection.execute(_CONTRACTS):
            self._contracts[platform, user].append((end_of_day(from_day) - 86_400.0, end_of_day(to_day)))
        self._leaving = _leaving(connection)

    def had(self, business_user: str, number: str, at_s: float) -> bool:
        """Whether the block of a number was a business user's at a moment."""
        return any(
            held.business_user == business_user and held.from_at - ROUNDING_S <= at_s < held.until_at
            for held in self.held.get(number[:BLOCK_DIGITS], ())
        )

    def max_ttl_s(self, scenario: str, at_s: float) -> float | None:
        """The longest life that the scenario allowed then; None when it has been changed since, or is not known."""
        return self._as_of("scenario", scenario, at_s, self._max_ttl_s.get(scenario))

    def cool_s(self, pool_key: str, at_s: float) -> float:
        """How long a number of this pool cooled down then; 0 when that has been changed since."""
        known = self._cool_s.get(pool_key, COOL_S)
        return self._as_of("number_pool", pool_key, at_s, known) or 0.0

    def contract_end(self, app_platform: str, business_user: str, at_s: float) -> float:
        """Until when a binding that was made then may live by its contracts; 0 when none was in force."""
        spans = self._contracts.get((app_platform, business_user), [])
        return max((until for since, until in spans if since <= at_s < until), default=0.0)

    def was_leaving(self, app_platform: str, at_s: float) -> bool:
        """Whether the platform had been winding down for more than a moment."""
        return any(since + ROUNDING_S < at_s < until for since, until in self._leaving.get(app_platform, ()))

    def _as_of(self, kind: str, key: str, at_s: float, value: float | None) -> float | None:
        return value if self._changed[kind].get(key, 0.0) <= at_s else None


def _changes(connection: sqlite3.Connection, kind: str) -> dict[str, float]:
    """When each of a kind was changed last."""
    rows = connection.execute(_CHANGES, (f"{kind}.change",))
    return {detail.partition(": ")[0]: utc_seconds(at) for at, detail in rows}


def _leaving(connection: sqlite3.Connection) -> dict[str, list[tuple[float, float]]]:
    """When each app platform was winding down."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for entity, state, at in connection.execute(_MOVES):
        moment = utc_seconds(at)
        spans = found[entity]
        if spans and spans[-1][1] == float("inf"):
            spans[-1] = (spans[-1][0], moment)
        if state == "winding_down":
            spans.append((moment, float("inf")))
    return found
