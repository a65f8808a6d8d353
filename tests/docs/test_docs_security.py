"""docs/security.md says of each attack what its test says."""

from __future__ import annotations

import pytest

from docs.security import END, NUMBERS, PAGE, TESTS, attacks, with_attacks

FOUND = attacks()


def test_the_page_is_what_the_tests_give() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_attacks(page, FOUND), "run: make docs"


def test_each_attack_has_one_test_that_is_run() -> None:
    assert sorted(FOUND) == list(NUMBERS)
    for file in TESTS.glob("test_*.py"):
        text = file.read_text("utf-8")
        assert not any(word in text for word in ("skip(", "skipif", "mark.skip", "xfail", "mark.long"))


def test_an_attack_without_a_test_and_a_page_without_marks_are_refused() -> None:
    page = PAGE.read_text("utf-8")
    with pytest.raises(ValueError, match=r"without a test: \[3\]"):
        with_attacks(page, {number: told for number, told in FOUND.items() if number != 3})
    with pytest.raises(ValueError, match="needs both marks"):
        with_attacks(page.replace(END, ""), FOUND)
