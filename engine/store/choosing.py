"""X and Y of a binding: those that it names, held against every rule, or such as a pool has."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

from engine.core.numbers import mask
from engine.domain.gates import COOL_S, Pool, block_is_assigned, number_is_free, pool_is_open
from engine.domain.pool_choice import (
    BLOCK_SIZE,
    LEAST_RECENTLY_USED,
    STICKY,
    Draw,
    block_of,
    drawn,
    numbered,
    one_by_one,
)
from engine.domain.problems import Problem, ProblemCode
from engine.domain.targets import Parties
from engine.store.crypto import NumberCipher
from engine.store.number_memory import NumberMemory, Objection
from engine.store.number_sieve import NumberSieve
from engine.store.standing import Standing

_GIVEN: Final = (
    "SELECT tel_x, tel_y, tel_b FROM binding WHERE pool_key = ? AND tel_a IS ? AND group_id = ? ORDER BY id DESC"
    " LIMIT 64"
)
_OLDEST: Final = "SELECT used_at, x FROM x_use WHERE prefix = ? ORDER BY used_at, x"
_FILLED: Final = "SELECT 1 FROM x_use WHERE prefix = ? LIMIT 1"
_FILL: Final = "INSERT INTO x_use VALUES (?, ?, 0)"
_USED: Final = "UPDATE x_use SET used_at = ? WHERE x = ?"
_TAKEN: Final = "SELECT 1 FROM target WHERE x = ? AND caller = ? AND expires_at > ?"

_Count = Callable[[str, Parties, int], int | None]

_ANY: Final = Pool("", "", "active", "random", "last_caller", COOL_S, ())


@final
@dataclass(frozen=True, slots=True)
class Wish:
    """For whom numbers are wanted."""

    business_user: str
    parties: Parties
    group_id: str
    pool_key: str  # "" : all assigned blocks of the business user


@final
class Chooser:
    """For one binding, inside its transaction."""

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, standing: Standing, memory: NumberMemory,
        draw: Draw, wall_s: float,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._cipher = cipher
        self._standing = standing
        self._memory = memory
        self._draw = draw
        self._wall_s = wall_s

    def pool(self, wish: Wish) -> Pool:
        """The pool that is named, or what holds without one."""
        if not wish.pool_key:
            return _ANY
        pool = self._standing.pool(wish.pool_key)
        pool_is_open(pool, wish.pool_key, wish.business_user)
        assert pool is not None
        return pool

    def may_be_used(self, field: str, number: str, business_user: str, pool: Pool) -> None:
        """The gates of a number that is named, whoever its parties are."""
        block_is_assigned(field, number, self._standing.block(block_of(number)), business_user)
        number_is_free(field, number, self._standing.restriction(number))
        if pool.key and block_of(number) not in pool.prefixes:
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, field, f"{number} lies in no block of pool {pool.key}")

    def suits(self, field: str, number: str, parties: Parties, cool_s: int, own: str = "") -> None:
        """A Problem when a number that is named cannot be given to these parties; `own`: the binding that has it."""
        if _shows_a_party(number, parties):
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, field, "contains the number of a party, so it would show it")
        found = self._memory.past(number, parties, cool_s, own).objection
        if found is not None:
            raise objected(field, number, found)

    def choose(self, field: str, wish: Wish, pool: Pool, other: str) -> str:
        """A number of the pool for `tel_x` or `tel_y`; not `other`. A Problem when there is none."""
        prefixes = self._open_blocks(pool.prefixes if pool.key else self._standing.blocks_of(wish.business_user), wish)
        tried = _Tried(self._count, wish.parties, pool.cool_s, other)
        sift = NumberSieve(self._connection, self._cipher, wish.parties, self._wall_s).sift
        if pool.choice == LEAST_RECENTLY_USED:
            found = tried.first(sift(self._longest_unused(prefixes)))
        else:
            before = self._given_before(field, wish, prefixes) if pool.choice == STICKY else ()
            found = tried.first(before) or tried.least(drawn(prefixes, self._draw))
            found = found or tried.first(sift(one_by_one(prefixes, self._draw)))
        if not found:
            raise Problem(ProblemCode.NO_AVAILABLE_NUMBER, field, self._nothing(wish, prefixes))
        if pool.choice == LEAST_RECENTLY_USED:
            self._connection.execute(_USED, (self._wall_s, found))
        return found

    def _count(self, number: str, parties: Parties, cool_s: int) -> int | None:
        """How many bindings of a number are remembered; None when it cannot be given to these parties."""
        if _shows_a_party(number, parties) or self._standing.restriction(number):
            return None
        past = self._memory.past(number, parties, cool_s)
        if past.objection is not None:
            return None
        if past.bindings and any(map(self._is_taken, [number] * len(parties.all()), parties.all())):
            return None
        return past.bindings

    def _is_taken(self, number: str, caller: str) -> bool:
        row = (number, self._cipher.encrypt(caller, "target.caller"), self._wall_s)
        return self._connection.execute(_TAKEN, row).fetchone() is not None

    def _open_blocks(self, prefixes: Sequence[str], wish: Wish) -> list[str]:
        """Those that the business user may bind in now."""
        blocks = map(self._standing.block, prefixes)
        return [
            block.prefix
            for block in blocks
            if block is not None
            and block.state == "assigned"
            and block.business_user == wish.business_user
            and not block.is_killed
        ]

    def _given_before(self, field: str, wish: Wish, prefixes: Sequence[str]) -> Iterator[str]:
        """What the pool has given the same pair, newest first, then what it has given the same A."""
        encrypt = self._cipher.encrypt
        tel_a = None if wish.group_id else encrypt(wish.parties.side_a[0], "binding.tel_a")
        tel_b = encrypt(wish.parties.tel_b, "binding.tel_b")
        rows = self._connection.execute(_GIVEN, (wish.pool_key, tel_a, wish.group_id)).fetchall()
        for is_of_pair in (True, False):
            for tel_x, tel_y, known_b in rows:
                number = tel_x if field == "tel_x" else tel_y
                if (known_b == tel_b) is is_of_pair and number and block_of(number) in prefixes:
                    yield number

    def _longest_unused(self, prefixes: Sequence[str]) -> Iterator[str]:
        execute = self._connection.execute
        for prefix in prefixes:
            if execute(_FILLED, (prefix,)).fetchone() is None:
                rows = [(numbered((prefix,), place), prefix) for place in range(BLOCK_SIZE)]
                self._connection.executemany(_FILL, rows)
        for _, number in heapq.merge(*[execute(_OLDEST, (prefix,)) for prefix in prefixes]):
            yield number

    def _nothing(self, wish: Wish, prefixes: Sequence[str]) -> str:
        where = f"pool {wish.pool_key}" if wish.pool_key else wish.business_user
        if not prefixes:
            return f"{where} has no block that numbers can be taken from"
        return f"{where} has no number left that these parties may be given"


@final
class _Tried:
    """Numbers that are tried for the parties of one binding; "" when none of them suits."""

    def __init__(self, count: _Count, parties: Parties, cool_s: int, other: str) -> None:
        self._count = count
        self._parties = parties
        self._cool_s = cool_s
        self._other = other

    def first(self, numbers: Iterable[str]) -> str:
        return next((number for number in numbers if self._suits(number) is not None), "")

    def least(self, numbers: Iterable[str]) -> str:
        """One that nobody has, else one that as few bindings have as any of them."""
        found, least = "", 0
        for number in numbers:
            count = self._suits(number)
            if count is not None and (not found or count < least):
                found, least = number, count
                if count == 0:
                    break
        return found

    def _suits(self, number: str) -> int | None:
        return None if number == self._other else self._count(number, self._parties, self._cool_s)


def objected(field: str, number: str, found: Objection) -> Problem:
    """What the memory of a number has against a party."""
    if found.until_s is None:
        return taken(field, number, found.number, found.subs_id)
    who = mask(found.number)
    why = f"was bound for {who}" if found.subs_id else f"was called by {who}"
    return Problem(
        ProblemCode.NUMBER_COOLING, field, f"{number} {why} not long ago, and goes to no other pair for a while"
    )


def taken(field: str, number: str, party: str, subs_id: str) -> Problem:
    """Somebody else's binding has a party's place at a number."""
    return Problem(ProblemCode.BIND_CONFLICT, field, f"{number} is already bound for {mask(party)}, by {subs_id}")


def _shows_a_party(number: str, parties: Parties) -> bool:
    return any(party in number for party in parties.all())
