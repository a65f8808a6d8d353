"""Expressions that some number makes try without end are refused, those that engineers write are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.config import ConfigError, load
from engine.config.backtracking import backtracks
from tests.own_time import own_cpu_s

SLOW = [
    "([0-9]+)*$",
    "^(11|1)*x",
    "(1[0-9]?)+$",
    "^(.*)*7x",
    "([0-9]{1,9}){1,9}x",
    "^.*.*.*.*x",
    "(?:1|1?)+x",
    "(1*|2)*x",
]


@pytest.mark.parametrize("expression", SLOW)
def test_what_can_take_very_long_is_refused(expression: str, tmp_path: Path) -> None:
    file = tmp_path / "veil.toml"
    peer = '[[peer]]\nname = "a"\ntargets = ["sip:10.0.0.1"]\n'
    file.write_text(f'{peer}[[route]]\nname = "r"\ncalled = \'{expression}\'\npeers = ["a"]\n')
    with pytest.raises(ConfigError, match=r":6: route\.called: .* can take too long: something repeated"):
        load(file)


@pytest.mark.parametrize(
    "expression",
    [
        "^1[3-9][0-9]{9}$", "^(10[0-9]{8}|2[0-9]{9}|[3-9][0-9]{9,10})$", "^(13|25)+$", "", "^1(3[0-9]|5[0-35-9])",
        "^(?:1(?:3|5|7)[0-9]{3})+$", "1.*2.*3", "([0-9]{2})*", "(?=1)[0-9]{11}", "^[0-9]+$", "(1)(?(1)2|3)",
    ],
)  # fmt: skip
def test_what_is_usual_is_taken_and_is_quick(expression: str) -> None:
    assert not backtracks(expression)
    with own_cpu_s() as took:
        for number in ("1" * 20, "12" * 10, "13" * 10, "10" * 10):
            re.search(f"{expression}x", number, re.ASCII)  # nothing of it matches: all is tried
        assert took() < 0.5
