"""Which of many numbers cannot be given to some parties, by few reads of many: what is left is judged one by one.

It takes out what is locked, frozen or returned, and what a party knows with somebody else by a binding of its own (not
of a group), in force or not cooled down from: nearly all that `NumberMemory` would have something against. So a search
of a pool looks closely at few numbers, however many of it a party has.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, final

from engine.domain.gates import COOL_S
from engine.domain.targets import Parties
from engine.store.crypto import NumberCipher
from engine.store.number_memory import longest_s

MOST_AT_ONCE: Final = 1024  # of one read; the first one has one number, since mostly that is free

_SIFT: Final = (
    "SELECT value FROM json_each(?1) WHERE NOT EXISTS (SELECT 1 FROM restriction WHERE kind = 'number' AND id = value)"
    " AND NOT EXISTS (SELECT 1 FROM binding LEFT JOIN number_pool ON key = pool_key WHERE tel_x = value AND {known})"
    " AND NOT EXISTS (SELECT 1 FROM binding LEFT JOIN number_pool ON key = pool_key"
    " WHERE tel_y = value AND tel_y != '' AND {known})"
)
_KNOWN: Final = (
    "tel_a IS NOT NULL AND expires_at > {after} AND (valid_to IS NULL OR valid_to > {after})"
    f" AND min(coalesce(valid_to, expires_at), expires_at) + coalesce(cool_s, {COOL_S}) > {{now}}"
    " AND (tel_a IN ({a}) OR tel_b IN ({b}))"
    " AND NOT ((tel_b = {b0} AND tel_a IN ({a})) OR (tel_a = {a0} AND tel_b IN ({b})))"
)


@final
class NumberSieve:
    """For the parties of one binding, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, parties: Parties, wall_s: float) -> None:
        self._connection = connection
        numbers = (parties.tel_b, *parties.side_a)
        count = len(numbers)
        names = [f"?{place}" for place in range(4, 4 + 2 * count)]
        as_a, as_b = names[:count], names[count:]
        known = _KNOWN.format(after="?2", now="?3", a=", ".join(as_a), b=", ".join(as_b), a0=as_a[0], b0=as_b[0])
        self._query = _SIFT.format(known=known)
        self._rest = (
            wall_s - longest_s(connection),
            wall_s,
            *(cipher.encrypt(number, column) for column in ("binding.tel_a", "binding.tel_b") for number in numbers),
        )

    def sift(self, numbers: Iterable[str]) -> Iterator[str]:
        """Those that are left, in their order, which are asked about as they are wanted."""
        source = iter(numbers)
        size = 1
        while some := list(islice(source, size)):
            for (number,) in self._connection.execute(self._query, (json.dumps(some), *self._rest)).fetchall():
                yield number
            size = min(2 * size, MOST_AT_ONCE)
