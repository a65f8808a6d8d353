"""Whole conversations whose messages are mutated: whatever comes, what veil700 promises holds at every step.

A failure shows a Case, shrunk: that is all that is needed to play it again (`stage.play`), and what tests/regress keeps
of it. `make long` does this for VEIL700_FUZZ_MINUTES, 30 unless it says otherwise, from another seed in each round.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from tests.fuzz.stage import EVENTS, Case, Twist, play
from tests.fuzz.talks import TALKS, VARIANTS, steps_of
from tests.fuzz.twists import CHANGES

IN_EVERY_RUN: Final = 900  # 18 s of CPU
IN_A_ROUND: Final = 500
MOST_TWISTS: Final = 6
SLOW: Final = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A conversation, a node, and up to six mutations."""
    talk = draw(st.sampled_from(sorted(TALKS)))
    number = st.integers(0, 65_535)
    twist = st.builds(
        Twist,
        at=st.integers(0, len(steps_of(talk)) - 1),
        kind=st.sampled_from((*CHANGES, *EVENTS)),
        where=number,
        what=number,
    )
    twists = draw(st.lists(twist, min_size=1, max_size=MOST_TWISTS))
    return Case(talk, draw(st.integers(0, len(VARIANTS) - 1)), tuple(twists))


@settings(max_examples=IN_EVERY_RUN, suppress_health_check=SLOW)
@given(cases())
def test_mutated_conversations(case: Case) -> None:
    note(repr(case))
    play(case)


@pytest.mark.parametrize("variant", range(len(VARIANTS)))
@pytest.mark.parametrize("talk", sorted(TALKS))
def test_conversations_as_they_are(talk: str, variant: int) -> None:
    play(Case(talk, variant, ()))


@pytest.mark.long
def test_mutated_conversations_for_long(capsys: pytest.CaptureFixture[str]) -> None:
    minutes = float(os.environ.get("VEIL700_FUZZ_MINUTES", "30"))
    first = int(os.environ.get("VEIL700_FUZZ_SEED", str(time.time_ns() % 1_000_000)))
    end = time.monotonic() + 60 * minutes
    played = 0

    def played_well(case: Case) -> None:
        nonlocal played
        played += 1
        note(repr(case))
        if time.monotonic() < end:
            play(case)

    for number in range(first, first + 1_000_000):
        one_round = settings(max_examples=IN_A_ROUND, derandomize=False, database=None, suppress_health_check=SLOW)
        seed(number)(one_round(given(cases())(played_well)))()
        left = end - time.monotonic()
        with capsys.disabled():
            told = f"fuzz: seed {number}, {played} conversations, {max(left, 0) / 60:.0f} minutes left"
            print(told, file=sys.stderr, flush=True)  # of a worker of pytest-xdist nothing else is seen
        if left <= 0:
            return
