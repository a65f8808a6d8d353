"""Conversations in which the fuzzer has found something, as they were when it was found (tests/fuzz)."""

from __future__ import annotations

import pytest

from tests.fuzz.stage import Case, Twist, play

FOUND = {
    "a number with separators in a media line": Case("kept up", 0, (Twist(0, "number", 15720, 32766),)),
    "a number with escapes in a media line": Case("call", 2, (Twist(10, "number", 11366, 58176),)),
    "another host in the Contact of a peer that is not trusted": Case("call", 2, (Twist(8, "drop", 782, 0),)),
}


@pytest.mark.parametrize("name", FOUND)
def test_it_holds_now(name: str) -> None:
    play(FOUND[name])
