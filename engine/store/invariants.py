"""`inventory verify`: bindings, targets and the register of use are held against the invariants of the domain.

A few hundred numbers at a time, as they are at one moment, so that nobody who writes has to wait. What was true when a
binding was made is looked for: rules that came later, and values that were changed later, are not held against it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, final

from engine.core.numbers import is_privacy_number
from engine.domain.spells import Finding, Spell, crossings, warm
from engine.store.crypto import NumberCipher
from engine.store.invariant_facts import ROUNDING_S, Facts
from engine.store.number_pages import NumberPages, NumberRows, Version
from engine.store.target_invariants import TargetCheck

Progress = Callable[[int, int], None]  # rows looked at, of how many

MIN_TTL_S: Final = 60.0  # I4
PROGRESS_ROWS: Final = 10_000

_BEFORE: Final = "SELECT expires_at FROM binding WHERE subs_id = ? AND version = ?"
_REQUESTS: Final = (
    "SELECT app_platform, req_id, answer FROM api_request WHERE (app_platform, req_id) > (?, ?)"
    " ORDER BY app_platform, req_id LIMIT 1000"
)
_PLATFORM: Final = "SELECT app_platform FROM binding WHERE subs_id = ? LIMIT 1"


@final
class BindingInvariants:
    """One look over bindings.db."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, wall_s: float) -> None:
        self._connection = connection
        self._cipher = cipher
        self._wall_s = wall_s
        self._facts = Facts(connection)
        self._pages = NumberPages(connection, cipher, wall_s)
        self._targets = TargetCheck(connection, cipher, wall_s)
        self.bindings = 0  # versions that were looked at
        self.numbers = 0

    def total(self) -> int:
        """Rows that there are to look at."""
        return int(self._connection.execute("SELECT count(*) FROM binding").fetchone()[0])

    def findings(self, progress: Progress | None = None) -> Iterator[Finding]:
        """What does not hold of I1, I2, I3, I4, I5, I13 and I14. sqlite3.Error."""
        yield from self._of_register()
        total = self.total()
        told = 0
        while (found := self._of_page()) is not None:
            yield from found
            if progress is not None and self.bindings - told >= PROGRESS_ROWS:
                told = self.bindings
                progress(min(told, total), total)
        yield from self._of_requests()

    def _of_page(self) -> list[Finding] | None:
        """Of the next numbers, each as it is at one moment; None behind the last one."""
        self._connection.execute("BEGIN")
        try:
            page = self._pages.next()
            found: list[Finding] = []
            for number, rows in page.items():
                found += self._of_number(number, rows)
        finally:
            self._connection.execute("COMMIT")
        self.numbers += len(page)
        return found if page else None

    def _of_number(self, number: str, rows: NumberRows) -> list[Finding]:
        found = [*self._targets.findings(number, rows)]
        self.bindings += len(rows.as_x)
        versions = [*rows.as_x, *rows.as_y]
        if len(versions) > 1:
            found += crossings(number, [way for version in versions for way in self._ways(version, number)])
            since_s = self._facts.gates_since
            spells = [self._spell(version) for version in versions if version.end >= since_s]
            found += warm(number, spells, since_s)
        for version in rows.as_x:
            found += self._of_version(version)
        return found

    def _ways(self, version: Version, number: str) -> Iterator[Spell]:
        """Each caller of this number by this binding, and as long as it was one: a member may come later and leave."""
        rest = ((), 0.0)
        if version.tel_x == number:
            yield Spell(version.subs_id, version.version, version.valid_from, version.end, (version.tel_b,), *rest)
        if (version.tel_y or version.tel_x) == number:
            for caller, since, until in self._side_a(version):
                begin, end = max(version.valid_from, since), min(version.end, until)
                yield Spell(version.subs_id, version.version, begin, end, (caller,), *rest)

    def _spell(self, version: Version) -> Spell:
        """To whom a number was given by this binding, and when: a member of its group may come later."""
        begin, end = version.valid_from, version.end
        joined = tuple(
            ((one, version.tel_b), max(begin, since))
            for one, since, until in self._side_a(version)
            if until > begin and (since < end or since <= begin)  # also of one that ended as it began
        )
        cool_s = self._facts.cool_s(version.pool_key, begin)
        return Spell(version.subs_id, version.version, begin, end, (), joined, cool_s)

    def _side_a(self, version: Version) -> list[tuple[str, float, float]]:
        """A, or each member of the group: from when to when."""
        if version.tel_a:
            return [(version.tel_a, version.valid_from, float("inf"))]
        return self._targets.membership(version.group_id)

    def _of_version(self, version: Version) -> Iterator[Finding]:
        yield from self._of_numbers(version)
        begin, facts = version.valid_from, self._facts
        before = None
        if version.version > 1:
            before = self._connection.execute(_BEFORE, (version.subs_id, version.version - 1)).fetchone()
        if before is not None and before[0] == version.expires_at:
            return  # what it says of its end was judged with the version that said so first
        if version.expires_at <= begin + MIN_TTL_S:
            yield Finding("I4", f"{version.named} expires within {MIN_TTL_S:.0f} s of its beginning")
        if begin < facts.gates_since:
            return
        longest = facts.max_ttl_s(version.scenario, begin)
        if longest is not None and version.expires_at > begin + longest + ROUNDING_S:
            yield Finding("I4", f"{version.named} lives longer than scenario {version.scenario} allows")
        if version.expires_at > facts.contract_end(version.app_platform, version.business_user, begin):
            yield Finding("I4", f"{version.named} lives longer than any contract that was in force")
        is_more = before is None or version.expires_at > before[0]
        if is_more and facts.was_leaving(version.app_platform, begin):
            what = "was made" if before is None else "was renewed"
            yield Finding("I13", f"{version.named} {what} while {version.app_platform} was winding down")

    def _of_numbers(self, version: Version) -> Iterator[Finding]:
        if version.tel_y and version.tel_y == version.tel_x:
            yield Finding("I2", f"{version.named} has one number as X and Y")
        for number in filter(None, (version.tel_x, version.tel_y)):
            if not is_privacy_number(number):
                yield Finding("I3", f"{version.named} has a number that is not one of 700")
            elif not self._facts.had(version.business_user, number, version.valid_from):
                invariant = "I3" if number == version.tel_x else "I2"
                yield Finding(invariant, f"{version.named}: {number} lay in no block of {version.business_user}")

    def _of_register(self) -> Iterator[Finding]:
        """I3: a block has one business user at a time, and the one that the register tells."""
        for prefix, stretches in self._facts.held.items():
            for one, other in pairwise(stretches):
                if other.from_at < one.until_at:
                    names = f"{one.business_user} and {other.business_user}"
                    yield Finding("I3", f"block {prefix} was {names} at the same time")
            for held in stretches:
                if held.until_at == float("inf") and self._facts.holders.get(prefix) != held.business_user:
                    yield Finding("I3", f"block {prefix} is {held.business_user} in the register only")
        for prefix, user in self._facts.holders.items():
            if not any(held.until_at == float("inf") for held in self._facts.held.get(prefix, ())):
                yield Finding("I3", f"block {prefix} of {user} is not in the register")

    def _of_requests(self) -> Iterator[Finding]:
        """I14: what an answer names is there, and the asker's own; an operator may ask for any platform."""
        last = ("", "")
        platforms = {key for (key,) in self._connection.execute("SELECT id FROM app_platform")}
        while rows := self._connection.execute(_REQUESTS, last).fetchall():
            for platform, req_id, answer in rows:  # an operator's stand under his own name
                subs_id = _subs_id(answer)
                row = self._connection.execute(_PLATFORM, (subs_id,)).fetchone() if subs_id else None
                if subs_id and (row is None or (platform in platforms and row[0] != platform)):
                    yield Finding(
                        "I14", f"req_id {req_id!r} of {platform} was answered with {subs_id}, not its binding"
                    )
            last = rows[-1][:2]


def _subs_id(answer: str) -> str:
    """The binding that an answer of the API names, "" for none."""
    try:
        body = json.loads(answer)
    except ValueError:
        return ""
    return str(body.get("subs_id", "")) if isinstance(body, dict) else ""
