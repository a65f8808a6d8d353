"""I1 and I5 on spells of a number, against a search through every pair of them."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.spells import Spell, crossings, warm

PARTIES = ("a", "b", "c")


@st.composite
def histories(draw: st.DrawFn) -> list[Spell]:
    spells = []
    for number in range(draw(st.integers(0, 7))):
        begin = draw(st.integers(0, 20))
        one, other = draw(st.permutations(PARTIES))[:2]
        end = begin + draw(st.integers(0, 6))
        name = draw(st.sampled_from(("s1", "s2")))
        callers = draw(st.sampled_from(((one, other), (one,), (other,))))
        spells.append(
            Spell(name, number, begin, end, callers, ((one, other),), ((one, other),), draw(st.integers(0, 4)))
        )
    return spells


@given(histories())
def test_each_spell_that_crosses_one_of_before_is_found(spells: list[Spell]) -> None:
    wanted = 0
    for caller in PARTIES:
        own = sorted((spell for spell in spells if caller in spell.callers and spell.begin < spell.end), key=by_begin)
        wanted += sum(any(one.end > spell.begin for one in own[:at]) for at, spell in enumerate(own))
    found = list(crossings("X", spells))
    assert len(found) == wanted
    assert all(finding.invariant == "I1" and finding.detail.startswith("X has two targets") for finding in found)


def by_begin(spell: Spell) -> float:
    return spell.begin


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
