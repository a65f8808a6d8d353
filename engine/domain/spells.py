"""Who could call whom through a number from when to when, and what must never have been (invariants I1 and I5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

Pair = tuple[str, str]  # two canonical numbers that are hidden from one another, in the order of A and B


class Finding(NamedTuple):
    """An invariant that does not hold: which, and where, in one line without a real number."""

    invariant: str  # I1
    detail: str


class Spell(NamedTuple):
    """One version of a binding at one of its numbers, in force from `begin` until `end` (seconds since the epoch)."""

    subs_id: str
    version: int
    begin: float
    end: float  # exclusive
    callers: tuple[str, ...]  # who reaches somebody through this number
    given: tuple[Pair, ...]  # to whom the number was given at `begin`
    pairs: tuple[Pair, ...]  # who has known it until `end`
    cool_s: float  # so long the number keeps away from these parties after the end

    @property
    def named(self) -> str:
        return f"{self.subs_id} version {self.version}"


def crossings(number: str, spells: Iterable[Spell]) -> Iterator[Finding]:
    """I1: at any moment a caller reaches one party at most through a number."""
    by_caller: defaultdict[str, list[Spell]] = defaultdict(list)
    for spell in spells:
        if spell.begin < spell.end:
            for caller in spell.callers:
                by_caller[caller].append(spell)
    for of_caller in by_caller.values():
        of_caller.sort(key=lambda spell: spell.begin)
        longest = of_caller[0]
        for spell in of_caller[1:]:
            if spell.begin < longest.end:
                yield Finding("I1", f"{number} has two targets for one caller: {longest.named} and {spell.named}")
            if spell.end > longest.end:
                longest = spell


def warm(number: str, spells: Iterable[Spell]) -> Iterator[Finding]:
    """I5: a number is not given to an old party with somebody new before it has cooled down."""
    known: defaultdict[str, list[tuple[Spell, Pair]]] = defaultdict(list)
    for spell in sorted(spells, key=lambda spell: (spell.end, spell.begin)):
        for pair in spell.pairs:
            for party in pair:
                known[party].append((spell, pair))
    for spell in {id(spell): spell for of_party in known.values() for spell, _ in of_party}.values():
        old = _warm_one(spell, known)
        if old is not None:
            yield Finding("I5", f"{number} was given to {spell.named} before it had cooled down from {old.named}")


def _warm_one(spell: Spell, known: defaultdict[str, list[tuple[Spell, Pair]]]) -> Spell | None:
    same = {frozenset(pair) for pair in spell.pairs}
    for party in {party for pair in spell.given for party in pair}:
        for old, pair in known[party]:
            if old.end > spell.begin:
                break  # they stand in the order of their ends
            is_warm = old.end + old.cool_s > spell.begin and old.subs_id != spell.subs_id
            if is_warm and frozenset(pair) not in same:
                return old
    return None
