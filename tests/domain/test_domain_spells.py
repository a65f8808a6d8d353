"""I1 and I5 on spells of a number, against a search through every pair of them."""

from __future__ import annotations

from itertools import combinations, permutations

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.spells import Spell, crossings, warm

PARTIES = ("a", "b", "c", "d", "e")


@st.composite
def histories(draw: st.DrawFn) -> list[Spell]:
    spells = []
    for number in range(draw(st.integers(0, 7))):
        begin = draw(st.integers(0, 20))
        one, other = draw(st.permutations(PARTIES))[:2]
        end = begin + draw(st.integers(0, 6))
        name = f"s{draw(st.integers(0, 3))}" if draw(st.booleans()) else f"own{number}"
        callers = draw(st.sampled_from(((one, other), (one,), (other,))))
        spells.append(
            Spell(name, number, begin, end, callers, ((one, other),), ((one, other),), draw(st.integers(0, 4)))
        )
    return spells


@given(histories())
def test_a_crossing_is_found_whenever_there_is_one(spells: list[Spell]) -> None:
    overlaps = [
        (one, other)
        for one, other in combinations(spells, 2)
        if set(one.callers) & set(other.callers) and max(one.begin, other.begin) < min(one.end, other.end)
    ]
    found = list(crossings("X", spells))
    assert bool(found) is bool(overlaps)
    assert all(finding.invariant == "I1" and finding.detail.startswith("X has two targets") for finding in found)


@given(histories())
def test_a_warm_number_is_found_for_each_spell_that_got_it(spells: list[Spell]) -> None:
    wanted = set()
    for new, old in permutations(spells, 2):
        is_after = old.end <= new.begin < old.end + old.cool_s
        shares = set(new.pairs[0]) & set(old.pairs[0])
        if is_after and old.subs_id != new.subs_id and shares and set(new.pairs[0]) != set(old.pairs[0]):
            wanted.add(new.named)
    found = list(warm("X", spells))
    assert {finding.detail.split("given to ")[1].split(" before")[0] for finding in found} == wanted
    assert len(found) == len(wanted)
