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
    joined: tuple[tuple[Pair, float], ...]  # to whom the number was given, and when: each has known it until `end`
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


def warm(number: str, spells: Iterable[Spell], since_s: float = float("-inf")) -> Iterator[Finding]:
    """I5: a number is given to nobody who knows it with somebody else, by a binding that is in force or that it has not
    cooled down from. What was given before `since_s` is not judged; one finding a spell.
    """
    gifts = [(at, pair, spell) for spell in spells for pair, at in spell.joined]
    gifts.sort(key=lambda gift: gift[0])
    known: defaultdict[str, defaultdict[frozenset[str], list[Spell]]] = defaultdict(lambda: defaultdict(list))
    told: set[str] = set()
    for at, pair, spell in gifts:
        if at >= since_s and spell.named not in told:
            old = next(_not_cold(at, pair, spell, known), None)
            if old is not None:
                told.add(spell.named)
                is_now = at < old.end
                why = f"while {old.named} was in force" if is_now else f"before it had cooled down from {old.named}"
                yield Finding("I5", f"{number} was given to {spell.named} {why}")
        for party in pair:
            known[party][frozenset(pair)].append(spell)


def _not_cold(
    at: float, pair: Pair, spell: Spell, known: defaultdict[str, defaultdict[frozenset[str], list[Spell]]]
) -> Iterator[Spell]:
    """Spells of other bindings from which a party of this pair knows the number, in another pair than these."""
    for party in pair:
        for known_pair, holders in list(known[party].items()):
            if known_pair == frozenset(pair):
                continue
            not_cold = known[party][known_pair] = [old for old in holders if at < old.end + old.cool_s]
            if not not_cold:
                del known[party][known_pair]
            others = [old for old in not_cold if old.subs_id != spell.subs_id]
            if others and all(frozenset(own) != known_pair for own, _ in spell.joined):
                yield others[0]
