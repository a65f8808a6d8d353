"""What the store knows of a past moment: who had which block, in which state it was, which numbers were in use.

History is append-only, so the same moment always looks the same; what of a block is not kept by history (operator,
certificate) is as it stands now. Each function reads inside a connection of its caller; moments in seconds since the
epoch (UTC).
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple, final

from engine.domain.gates import COOL_S
from engine.store.rows import NEVER, utc_text

BLOCK_DIGITS: Final = 11
BLOCK_SIZE: Final = 10_000
RESTRICTED: Final = frozenset(("locked", "frozen", "returned", "killed"))
_COOLING: Final = 1  # of what a number is the highest counts
_IN_USE: Final = 2
_RESTRICTED: Final = 3

_LEDGER: Final = (
    "SELECT prefix, app_platform, business_user, from_at, until_at FROM assignment ORDER BY prefix, from_at, id"
)
_BLOCKS: Final = (
    "SELECT prefix, operator, app_platform, business_user, certificate_no, state, opened_day, reported_day"
    " FROM number_block ORDER BY prefix"
)
_MOVES: Final = "SELECT entity, from_state, to_state, at FROM transition WHERE kind = ? ORDER BY id"
SCENARIO_RULES: Final = (
    "name", "risk_class", "state", "modes", "max_ttl_s", "hours", "sms", "real_name", "order_check", "max_call_s",
    "calls_per_day",
)  # fmt: skip
_SCENARIOS: Final = f"SELECT code, {', '.join(SCENARIO_RULES)} FROM scenario ORDER BY code"
_MADE: Final = (
    "SELECT scenario, app_platform, business_user, count(*) FROM binding WHERE version = 1 AND valid_from >= ?"
    " AND valid_from < ? GROUP BY 1, 2, 3"
)
_BINDINGS: Final = (
    "SELECT tel_x, tel_y, version, valid_from, min(coalesce(valid_to, expires_at), expires_at),"
    f" coalesce(cool_s, {COOL_S}) FROM binding LEFT JOIN number_pool ON key = pool_key WHERE valid_from < ?"
)


class Assignment(NamedTuple):
    """A stretch of time in which a business user had a block; `until_at` None while it has it."""

    prefix: str
    app_platform: str
    business_user: str
    from_at: float
    until_at: float | None


class Block(NamedTuple):
    """A block as it stands in the inventory."""

    prefix: str
    operator: str
    app_platform: str
    business_user: str
    certificate_no: str
    state: str
    opened_day: str  # "" while it has not been opened
    reported_day: str  # "" while that has not been reported


class Numbers(NamedTuple):
    """How many numbers of one block were what at a moment; each is one of the three at most."""

    in_use: int = 0
    cooling: int = 0
    restricted: int = 0
    bindings_made: int = 0


def assignments(connection: sqlite3.Connection) -> list[Assignment]:
    """The register of use, by block and time."""
    return [Assignment(*row) for row in connection.execute(_LEDGER)]


def blocks(connection: sqlite3.Connection) -> list[Block]:
    """All blocks of the inventory, by prefix."""
    return [Block(*row) for row in connection.execute(_BLOCKS)]


def scenarios(connection: sqlite3.Connection) -> dict[str, tuple[str | int, ...]]:
    """SCENARIO_RULES of each scenario by its code, as they are now."""
    return {row[0]: row[1:] for row in connection.execute(_SCENARIOS)}


def bindings_made(connection: sqlite3.Connection, since_s: float, until_s: float) -> dict[tuple[str, ...], int]:
    """How many bindings were made in a period, by scenario, app platform and business user."""
    return {
        (code, platform, user): count for code, platform, user, count in connection.execute(_MADE, (since_s, until_s))
    }


def overlaps(register: list[Assignment]) -> Iterator[str]:
    """Where a block had two business users at once: a line each."""
    longest: Assignment | None = None
    for entry in register:
        if longest is not None and longest.prefix == entry.prefix:
            if longest.until_at is None or entry.from_at < longest.until_at:
                both = f"{longest.business_user} and {entry.business_user}"
                yield f"{entry.prefix}: the register gives it to {both} at once"
            if longest.until_at is None or (entry.until_at is not None and entry.until_at < longest.until_at):
                continue
        longest = entry


@final
class Holders:
    """Who had which block when; moments are compared as stored times are."""

    def __init__(self, register: list[Assignment]) -> None:
        self._of: defaultdict[str, list[tuple[str, str, Assignment]]] = defaultdict(list)
        for entry in register:
            until = NEVER if entry.until_at is None else utc_text(entry.until_at)
            self._of[entry.prefix].append((utc_text(entry.from_at), until, entry))

    def at(self, prefix: str, at: str) -> Assignment | None:
        """Who had a block at a moment (RFC 3339 UTC with milliseconds)."""
        for begin, end, entry in self._of.get(prefix, ()):
            if begin <= at < end:
                return entry
        return None


def states_at(connection: sqlite3.Connection, kind: str, wall_s: float) -> dict[str, str]:
    """The states that those of a kind were in at the end of a moment; "" of what was made later.

    Of what has not moved since history began nothing is here: it is in the state that it has now.
    """
    end = utc_text(wall_s)
    found: dict[str, str] = {}
    for entity, before, after, at in connection.execute(_MOVES, (kind,)):
        if at < end:
            found[entity] = after
        else:
            found.setdefault(entity, before)
    return found


def numbers_at(connection: sqlite3.Connection, since_s: float, wall_s: float) -> dict[str, Numbers]:
    """By block what its numbers were just before a moment, and the bindings made since another one.

    All bindings are read once, in the order in which they lie in the file; what is remembered is a byte for each
    number of each block that has any.
    """
    found: defaultdict[str, bytearray] = defaultdict(lambda: bytearray(BLOCK_SIZE))
    made: Counter[str] = Counter()
    for tel_x, tel_y, version, begin, end, cool_s in connection.execute(_BINDINGS, (wall_s,)):
        made[tel_x[:BLOCK_DIGITS]] += version == 1 and begin >= since_s
        state = _IN_USE if end >= wall_s else _COOLING if end + cool_s > wall_s else 0
        for number in (tel_x, tel_y) if tel_y else (tel_x,):
            states, place = found[number[:BLOCK_DIGITS]], int(number[BLOCK_DIGITS:])
            states[place] = max(states[place], state)
    for number in _restricted(connection, wall_s):
        found[number[:BLOCK_DIGITS]][int(number[BLOCK_DIGITS:])] = _RESTRICTED
    return {
        prefix: Numbers(states.count(_IN_USE), states.count(_COOLING), states.count(_RESTRICTED), made[prefix])
        for prefix, states in found.items()
    }


def _restricted(connection: sqlite3.Connection, wall_s: float) -> set[str]:
    """The numbers that nothing could use then, by themselves."""
    moved = {key for key, state in states_at(connection, "number", wall_s).items() if state in RESTRICTED}
    switches = states_at(connection, "kill", wall_s).items()
    killed = {key.removeprefix("number/") for key, state in switches if state in RESTRICTED and key[:7] == "number/"}
    return moved | killed
