"""I1 and I5 on spells of a number, against a search through every pair of them."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.spells import Pair, Spell, crossings, warm

PARTIES = ("a", "b", "c")


@st.composite
def histories(draw: st.DrawFn) -> list[Spell]:
    spells = []
    for number in range(draw(st.integers(0, 7))):
        begin = draw(st.integers(0, 20))
        one, other, late = draw(st.permutations(PARTIES))[:3]
        end = begin + draw(st.integers(0, 6))
        name = draw(st.sampled_from(("s1", "s2")))
        callers = draw(st.sampled_from(((one, other), (one,), (other,))))
        joined: tuple[tuple[Pair, float], ...] = (((one, other), begin),)
        if end > begin and draw(st.booleans()):
            joined += (((late, other), draw(st.integers(begin, end - 1))),)
        spells.append(Spell(name, number, begin, end, callers, joined, draw(st.integers(0, 4))))
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


@given(histories(), st.integers(0, 20))
def test_a_warm_number_is_found_for_each_spell_that_got_it(spells: list[Spell], since: int) -> None:
    """Each who joins is judged when it joins: by all that the number was given before, in the same or another spell."""
    gifts = [(spell, pair, at) for spell in spells for pair, at in spell.joined]
    wanted = set()
    for (place, (new, pair, at)), (before, (old, known, known_at)) in permutations(enumerate(gifts), 2):
        is_later = (known_at, before) < (at, place)
        is_not_cold = at < old.end + old.cool_s
        is_same = any(set(own) == set(known) for own, _ in new.joined)
        if is_later and is_not_cold and old.subs_id != new.subs_id and set(pair) & set(known) and not is_same:
            wanted |= {new.named} if at >= since else set()
    found = list(warm("X", spells, since))
    assert {" ".join(finding.detail.split()[4:7]) for finding in found} == wanted
    assert len(found) == len(wanted)


@pytest.mark.parametrize(
    ("joins", "finding"),
    [
        (5, "s2 version 1 while s1 version 1 was in force"),
        (15, "s2 version 1 before it had cooled down from s1 version 1"),
        (20, ""),
    ],
)
def test_who_joins_later_is_judged_then(joins: int, finding: str) -> None:
    """Of a group that has a number with "d" since 0 it may be the old party of another binding that comes in."""
    old = Spell("s1", 1, 1, 10, (), ((("a", "b"), 1),), 10)
    group = Spell("s2", 1, 0, 100, (), ((("c", "d"), 0), (("a", "d"), joins)), 10)
    assert [found.detail for found in warm("X", [group, old])] == ([f"X was given to {finding}"] if finding else [])
    alone = group._replace(joined=group.joined[:1])
    assert list(warm("X", [alone, old])) == []
