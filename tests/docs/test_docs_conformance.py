"""docs/conformance.md says of each requirement what its test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.conformance import END, NUMBERS, PAGE, TESTS, missing, requirements, with_requirements
from tests.docs.pages import rows

FOUND = requirements()


def test_the_page_is_what_the_tests_give() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_requirements(page, FOUND), "run: make docs"


def test_no_requirement_is_without_a_test() -> None:
    assert missing(FOUND) == []
    assert {each.number for each in FOUND} == set(NUMBERS)


def test_a_requirement_without_a_test_is_told() -> None:
    fewer = [each for each in FOUND if each.number != 14]
    assert missing(fewer) == [14]
    with pytest.raises(ValueError, match=r"without a test: \[14\]"):
        with_requirements(PAGE.read_text("utf-8"), fewer)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs both marks"):
        with_requirements(PAGE.read_text("utf-8").replace(END, ""), FOUND)


@pytest.mark.parametrize("text", ["RFC 3261 §1: a rule.", "a rule\n\nChecked: all.", ""])
def test_a_docstring_that_says_too_little_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(f'"""Requirements 1 to 2: some."""\ndef test_req_001_any():\n    """{text}"""\n')
    with pytest.raises(ValueError, match=r"test_some\.py::test_req_001_any: needs"):
        requirements(tmp_path)


def test_a_deviation_is_shown_with_its_reason(tmp_path: Path) -> None:
    text = "RFC 3261 §1: a rule\n    of two lines.\n\n    Checked: all.\n    Deviation: none, but\n    for this."
    (tmp_path / "test_some.py").write_text(f'"""R: some."""\ndef test_req_001_any():\n    """{text}"""\n')
    (found,) = requirements(tmp_path)
    assert (found.source, found.rule, found.checked) == ("RFC 3261 §1", "a rule of two lines.", "all.")
    assert found.deviation == "none, but for this."


def test_what_is_passed_has_been_run() -> None:
    """No test of a requirement is left out or expected to fail."""
    for file in TESTS.glob("test_*.py"):
        assert not any(
            word in file.read_text("utf-8") for word in ("skip(", "skipif", "mark.skip", "xfail", "mark.long")
        )


def test_the_tables_read_as_tables() -> None:
    shown = rows(PAGE.read_text("utf-8"), "no.")
    assert [int(row[0]) for row in shown] == [each.number for each in FOUND]
    assert all(row[4].startswith(("passed", "deviation: ")) for row in shown)
