"""Patterns of called numbers: what is read of them takes what the expression takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.called_pattern import CalledPattern

DIGIT = st.sampled_from("0123456789")
RANGE = st.tuples(DIGIT, DIGIT).map(lambda pair: "-".join(sorted(pair)))
IN_BRACKETS = st.lists(DIGIT | RANGE, min_size=1, max_size=3).map(lambda of: f"[{''.join(of)}]")
PLACE = st.one_of(DIGIT, st.just(r"\d"), IN_BRACKETS)
TIMES = st.one_of(st.just(""), st.integers(0, 12).map(lambda times: f"{{{times}}}"))
PLACES = st.lists(st.tuples(PLACE, TIMES).map("".join), max_size=6).map("".join)
READ = st.tuples(st.just("^"), PLACES, st.sampled_from(["", "$"])).map("".join) | st.sampled_from([".", "^."])
NUMBERS = st.text("0123456789", max_size=20)


@given(pattern=READ, number=NUMBERS | st.text("0123456789\n１a", max_size=14))
@example("^1[3-9][0-9]{9}$", "13900139000")
@example("^1[3-9][0-9]{9}$", "12900139000")
@example("^1[3-9][0-9]{9}$", "139001390001")
@example("^139", "13900139000")
@example("^9{0}5$", "5")
@example("^[0-9]{3}$", "110\n")
@example("^", "")
@example(".", "")
def test_what_is_read_takes_what_the_expression_takes(pattern: str, number: str) -> None:
    read = CalledPattern(pattern)
    assert read._is_read
    assert read.takes(number) is (re.search(pattern, number, re.ASCII) is not None)


@given(number=NUMBERS)
@pytest.mark.parametrize(
    "pattern",
    [
        "139",
        "^(13|15)",
        "^1[^3]",
        "^1?3",
        "^1.*",
        "^1|^2",
        "[0-9]{3}$",
        "^13$|^14$",
        "^1[3-9][0-9]{8,9}$",
        "$",
        "^$^",
        "^+?1",
    ],
)
def test_any_other_is_searched(pattern: str, number: str) -> None:
    try:
        expression = re.compile(pattern, re.ASCII)
    except re.error:
        with pytest.raises(re.error):
            CalledPattern(pattern)
        return
    other = CalledPattern(pattern)
    assert not other._is_read
    assert other.takes(number) is (expression.search(number) is not None)


def test_a_range_that_goes_down_is_an_error_as_ever() -> None:
    with pytest.raises(re.error):
        CalledPattern("^[9-3]$")
