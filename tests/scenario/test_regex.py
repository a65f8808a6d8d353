"""POSIX extended regular expressions; `grep -E` is the other opinion."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sipstack.scenario.regex import compile_ere, search


def found(expression: str, text: str) -> str | None:
    pattern, is_greedy = compile_ere(expression)
    match = search(pattern, is_greedy, text)
    return None if match is None else match[0]


@pytest.mark.parametrize(
    ("expression", "text", "match"),
    [
        ("1[3-9][0-9]{9}", 'To: <sip:13900139000@h>', "13900139000"),
        ("a|ab|abc", "xabcd", "abc"),
        ("(a?)(ab)?", "ab", "ab"),
        ("(a|ab)(c|bcd)(d*)", "abcd", "abcd"),
        (".*", " a\nb", " a\nb"),
        ("[[:digit:]]+", "ab12c", "12"),
        ("[^[:space:]]+", " ab c", "ab"),
        ("[]x]+", "a]x]", "]x]"),
        ("[a-]+", "b-a", "-a"),
        ("[--a]+", "b-a.b", "-a."),
        ("[\\d]+", "7\\d", "\\d"),
        (r"\.\*\[\{", "a.*[{", ".*[{"),
        (r"\<sip\>", "a sips sip", "sip"),
        ("^a", "ba", None),
        ("a$", "ab", None),
        ("b+$", "abb", "bb"),
        (r"(.)\1", "abccd", "cc"),
        ("a**b", "xaaab", "aaab"),
        ("a*?b", "aab", "aab"),
        ("(ab){2}{2}c", "abababababc", "ababababc"),
        ("x(a|(b))+*", "xabbay", "xabba"),
        ("a$|b+", "abba", "bb"),
        ("^(a*|b*)$", "bb", "bb"),
        ("é".encode().decode("latin-1"), "é".encode().decode("latin-1"), "é".encode().decode("latin-1")),
    ],
)  # fmt: skip
def test_matches(expression: str, text: str, match: str | None) -> None:
    assert found(expression, text) == match


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("(", "missing ), unterminated subpattern at position 0"), (")", "unbalanced parenthesis at position 0"),
        ("*a", "nothing to repeat before *"), ("a|*", "nothing to repeat before *"),
        ("a{300}", "repeats more than 255 times"), ("a{x", "a brace that is no repetition needs a backslash"),
        ("[a", "unmatched ["), ("[[.a.]]", "collating elements are not supported"), ("a\\", "trailing backslash"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(expression: str, text: str) -> None:
    with pytest.raises(ValueError) as raised:
        compile_ere(expression)
    assert str(raised.value) == text


ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", "[[:alpha:]]"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(lambda two: f"({two[0]}){two[1]}"),
    ),
    max_leaves=6,
)


@settings(max_examples=80)
@example("(a|ab)(c|bcd)", "abcd")
@given(EXPRESSIONS, st.text("abc", min_size=1, max_size=8))
def test_the_match_is_that_of_the_c_library(expression: str, text: str) -> None:
    match = found(expression, text)
    assume(match != "")  # grep shows no empty match
    told = subprocess.run(
        ["grep", "-oE", "-m1", "--", expression], input=text, capture_output=True, text=True, check=False
    )
    assert told.stderr == ""
    assert match == (told.stdout.splitlines() or [None])[0]
