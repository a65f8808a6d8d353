"""The counts of attempts and records are held against each other."""

from __future__ import annotations

import pytest

from engine.completeness import Completeness


@pytest.mark.parametrize(
    ("attempts", "in_progress", "spooled", "written", "is_settled", "expected"),
    [
        (0, 0, 0, 0, True, (0, True)),
        (10, 3, 2, 5, False, (0, True)),
        (10, 3, 2, 6, False, (-1, True)),  # written, and the loop has not heard of it
        (10, 3, 2, 4, False, (1, False)),
        (10, 3, 0, 6, True, (1, False)),
        (10, 3, 0, 8, True, (-1, False)),  # nothing is under way that could be counted twice
    ],
)
def test_each_attempt_is_in_progress_or_kept_or_written(
    attempts: int, in_progress: int, spooled: int, written: int, is_settled: bool, expected: tuple[int, bool]
) -> None:
    books = Completeness()
    difference = books.difference(attempts, in_progress, spooled, written)
    assert (difference, books.is_complete(difference, is_settled)) == expected


def test_missing_records_are_told_once_and_not_for_a_moment() -> None:
    books = Completeness()
    told = [books.must_tell(difference) for difference in (0, 1, 0, 1, 1, 2, 0, 1, 1, -1)]
    assert told == [False, False, False, False, True, False, False, False, False, False]
