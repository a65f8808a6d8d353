"""What is said of the numbers of two expressions holds for `re`, whatever the expressions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.languages import UnknownExpression, language, number_in

_ATOMS = st.sampled_from(["0", "1", "2", "13", ".", r"\d", "[13]", "[^13]", "[0-2]", "[]1-]", "x", r"\+", "^", "$"])
_COUNTS = st.sampled_from(["", "", "", "*", "+", "?", "*?", "{2}", "{1,}", "{,2}", "{1,3}"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.sampled_from(["({})", "(?:{})"])
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(group, inner, inner).map(lambda parts: parts[0].format(f"{parts[1]}|{parts[2]}")),
        st.tuples(group, inner, _COUNTS).map(lambda parts: parts[0].format(parts[1]) + parts[2]),
    )


EXPRESSIONS = st.recursive(_ATOMS, _larger, max_leaves=6)
NUMBERS = st.text("0123", min_size=1, max_size=6)


@given(EXPRESSIONS, EXPRESSIONS, st.lists(NUMBERS, max_size=20))
def test_an_answer_holds_for_re(one: str, other: str, numbers: list[str]) -> None:
    patterns = re.compile(one, re.ASCII), re.compile(other, re.ASCII)
    try:
        number = number_in(language(one), language(other))
    except UnknownExpression:
        return
    if number is not None:
        assert patterns[0].search(number) and not patterns[1].search(number)
        return
    for number in numbers:
        assert patterns[1].search(number) or not patterns[0].search(number)


@pytest.mark.parametrize(
    ("one", "other", "number"),
    [
        ("^1[3-9][0-9]{9}$", "^1", None),
        ("^1", "^1[3-9][0-9]{9}$", "1"),
        ("^(1[3-9][0-9]{9}|95588)$", "^1", "95588"),
        ("^(1[3-9][0-9]{9}|95588)$", "^(1|9)", None),
        ("^139", "", None),
        ("", "^0", "1"),
        ("^1{2,4}$", "^11$", "111"),
        ("^0?1", "^1", "01"),
        (r"^\+86139", "^9", None),
        ("^(?:0?)1", "^01|^1", None),
    ],
)
def test_what_routes_look_like(one: str, other: str, number: str | None) -> None:
    assert number_in(language(one), language(other)) == number


@pytest.mark.parametrize(
    "expression",
    ["(?!1)2", r"(1)\1", "(?i)1", "1++", r"\w", "^^1", "(^|1)^2", "(?:^)*1", "1{40}", "(?P<a>1)", "1{", "[\\d-3]"],
)
def test_what_is_not_known_is_not_guessed(expression: str) -> None:
    try:
        re.compile(expression)
    except re.error:
        return
    with pytest.raises(UnknownExpression):
        language(expression)


def test_a_walk_is_bounded() -> None:
    with pytest.raises(UnknownExpression):
        number_in(language("(1|2)*1" + "." * 16), language("(1|2)*1" + "." * 15 + "[0-8]"))
