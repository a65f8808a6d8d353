"""Option tags that a request requires: what does not cross is refused, and named."""

from __future__ import annotations

import pytest

from engine.core.admission import unsupported_options
from tests.core.gate import message


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        (["Require: 100rel"], []),
        (["Require: 100REL , Timer,precondition"], []),
        (["Require: replaces"], ["replaces"]),
        (["Proxy-Require: sec-agree"], ["sec-agree"]),
        (["Require: 100rel, foo", "require: Bar"], ["foo", "bar"]),
        (["Require: , ,"], []),
        (["Require: foo bar"], ["malformed"]),
        (['Require: "a'], ["malformed"]),
        (["Require: 100rel;x"], ["malformed"]),
    ],
)
def test_unsupported_options(rows: list[str], expected: list[str]) -> None:
    assert unsupported_options(message(*rows)) == expected


def test_very_many_options_are_an_answer_not_an_error() -> None:
    """More values than a list may have must not come out of the core as an exception."""
    assert len(unsupported_options(message("Require: " + "x," * 2000))) == 2000
