"""An error about a value in the wrong column quoted a number in clear when it was written with separators."""

from __future__ import annotations

import pytest

from engine.store.binding_rules import shown


@pytest.mark.parametrize(
    "number",
    ["13800138000", "138-0013-8000", "138 0013 8000", "138.0013.8000", "+86 138 00138000", "(020) 8888-8888",
     "20-8888-8888", "１３８００１３８０００", "138 - 0013 - 8000", "1380-01-38 00088"],
)  # fmt: skip
def test_it_is_masked_however_it_is_written(number: str) -> None:
    quoted = shown(f"call {number} now")
    assert "****" in quoted
    assert number[-6:] not in quoted
    assert number[:6] not in quoted


@pytest.mark.parametrize("time", ["2030-01-31 08:00:00", "2030-01-31T08:00:00+08:00", "2030-01-31", "31.01.2030"])
def test_a_time_is_no_number(time: str) -> None:
    assert shown(time) == repr(time)
