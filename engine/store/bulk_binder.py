"""Many bindings in one transaction of the caller: those without options a batch at a time, the others one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, fields
from operator import attrgetter, itemgetter
from typing import Final, final

from engine.domain.gates import COOL_S
from engine.domain.pool_choice import Draw
from engine.domain.problems import Problem
from engine.domain.targets import Parties
from engine.store.binder import Binder, Bound
from engine.store.binding_rows import (
    HOLDER,
    INSERT_PLAIN_TARGET,
    PLAIN_BINDING,
    PLAIN_TARGETS,
    VERSION,
    Columns,
    Row,
    Terms,
    make_columns,
    new_subs_id,
    whole_ms,
)
from engine.store.binding_rules import BindRequest, plain_request
from engine.store.choosing import objected, taken
from engine.store.crypto import NumberCipher
from engine.store.many_rows import insert_many, rows_of, some_of
from engine.store.number_memory import NumberMemory, RecentCallers
from engine.store.outbox import announce_all
from engine.store.quick_check import QuickCheck
from engine.store.standing import Standing

_DIGITS: Final = 12  # of a subs_id, hexadecimal: the number of its request
_PLAIN: Final = 10  # the first fields of a BindRequest: the others are options
_FIELDS: Final = [field.name for field in fields(BindRequest)]
_NO_OPTIONS: Final = astuple(plain_request([""] * _PLAIN))[_PLAIN:]
_options_of: Final = attrgetter(*_FIELDS[_PLAIN:])
_plain_of: Final = attrgetter(*_FIELDS[:_PLAIN])

Result = tuple[int, Bound | Problem]
_Line = tuple[str, int, Terms]  # X, number of the request, what it says
_number = itemgetter(1)


@final
class BulkBinder:
    """Requests are added under numbers that grow, and are written at `flush` at the latest. Of two that want a target
    the first gets it.
    """

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, recent: RecentCallers | None, draw: Draw,
        wall_s: float, announces: bool = True,
    ) -> None:  # fmt: skip
        """What it writes is in force from `wall_s` on, seconds since the epoch."""
        self._connection = connection
        self._cipher = cipher
        self._wall_s = whole_ms(wall_s)
        self._announces = announces
        self._binder = Binder(connection, cipher, recent, draw, announces)
        self._quick = QuickCheck(connection, Standing(connection, cipher, self._wall_s), self._wall_s).terms
        self._memory = NumberMemory(connection, cipher, recent, self._wall_s)
        # The number of the request is added to it: ids are unique without drawing a million, and tell the request.
        self._id_head = new_subs_id(self._wall_s)[:-_DIGITS]
        self._plain: list[_Line] = []
        self._results: list[Result] = []

    def add_values(self, number: int, values: Sequence[str]) -> None:
        """A request without options: its ten values as they were read."""
        terms = self._quick(values)
        if terms is not None:
            self._plain.append((terms.tel_x, number, terms))
        else:
            self._write_other(number, plain_request([value.strip() for value in values]))

    def add(self, number: int, request: BindRequest) -> None:
        """Any request."""
        terms = self._quick(_plain_of(request)) if _options_of(request) == _NO_OPTIONS else None
        if terms is not None:
            self._plain.append((terms.tel_x, number, terms))
        else:
            self._write_other(number, request)

    def flush(self) -> list[Result]:
        """Write what was added since the last time: what became of each, in the order of their numbers."""
        self._write_pending()
        results, self._results = self._results, []
        results.sort(key=itemgetter(0))
        return results

    def _write_pending(self) -> None:
        """Those without options that were added since the last time."""
        if self._plain:
            self._results += self._write_plain(self._plain)
            self._plain = []

    def number_of(self, subs_id: str) -> int:
        """Under which number the request was added that got this subs_id; 0 for none of ours."""
        return int(subs_id[-_DIGITS:], 16) if subs_id.startswith(self._id_head) else 0

    def _subs_id(self, number: int) -> str:
        return f"{self._id_head}{number:0{_DIGITS}x}"

    def _write_other(self, number: int, request: BindRequest) -> None:
        """By the whole rules, behind those that were added before it."""
        self._write_pending()
        execute = self._connection.execute
        execute("SAVEPOINT line")
        try:
            bound: Bound | Problem = self._binder.bind(request, self._wall_s, self._subs_id(number))
        except Problem as problem:
            execute("ROLLBACK TO line")
            bound = problem
        execute("RELEASE line")
        self._results.append((number, bound))

    def _write_plain(self, batch: list[_Line]) -> list[Result]:
        """At once; line by line only when some target is taken."""
        batch.sort()  # by X: neighbours share pages
        results: list[Result] = []
        known = self._memory.remembered([x for x, _, _ in batch])
        free = batch
        if known:
            free = [line for line in batch if line[0] not in known or self._is_free(line, results)]
        if not free:
            return results
        subs_ids = [self._subs_id(number) for _, number, _ in free]
        bindings, targets = make_columns(subs_ids, [terms for _, _, terms in free], self._cipher, self._wall_s)
        in_order = sorted(range(len(free)), key=[number for _, number, _ in free].__getitem__)
        self._connection.execute("SAVEPOINT batch")
        if not self._all_fit(targets):
            self._connection.execute("ROLLBACK TO batch")
            rows = rows_of(PLAIN_TARGETS, targets)  # of two lines the first gets the target
            in_order = [place for place in in_order if self._is_written(free[place], rows[place], results)]
        # As they were added: both keys of the table grow at their ends.
        insert_many(self._connection, PLAIN_BINDING, some_of(bindings, in_order))
        self._connection.execute("RELEASE batch")
        told = [(subs_ids[place], free[place][2]) for place in in_order]
        results += [
            (free[place][1], Bound(subs_id, VERSION, terms.tel_x, "", terms.expires_at))
            for place, (subs_id, terms) in zip(in_order, told, strict=True)
        ]
        if self._announces:
            announce_all(self._connection, told, self._wall_s)
        return results

    def _is_free(self, line: _Line, results: list[Result]) -> bool:
        """Whether the memory of X has nothing against a line; what it has is its result."""
        x, number, terms = line
        found = self._memory.past(x, Parties((terms.tel_a,), terms.tel_b), COOL_S).objection
        if found is not None:
            results.append((number, objected("tel_x", x, found)))
        return found is None

    def _is_written(self, line: _Line, rows: Sequence[Row], results: list[Result]) -> bool:
        """Write both targets of a line, or none: then who has one of them is its result."""
        x, number, terms = line
        execute = self._connection.execute
        execute("SAVEPOINT line")
        for real, row in zip((terms.tel_a, terms.tel_b), rows, strict=True):
            if execute(INSERT_PLAIN_TARGET, (*row, self._wall_s)).rowcount != 1:
                execute("ROLLBACK TO line")
                execute("RELEASE line")
                results.append((number, taken("tel_x", x, real, execute(HOLDER, row[:2]).fetchone()[0])))
                return False
        execute("RELEASE line")
        return True

    def _all_fit(self, targets: Columns) -> bool:
        """Write all of them; False when some target is taken, and all must be rolled back."""
        try:
            insert_many(self._connection, PLAIN_TARGETS, targets)
        except sqlite3.IntegrityError:  # perhaps by one that has expired, and gives way
            self._connection.execute("ROLLBACK TO batch")
            rows = [(*row, self._wall_s) for both in rows_of(PLAIN_TARGETS, targets) for row in both]
            return self._connection.executemany(INSERT_PLAIN_TARGET, rows).rowcount == len(rows)
        return True
