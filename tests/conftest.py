"""Hypothesis draws the same examples on every machine, and no test fails for being slow on one."""

from __future__ import annotations

import time

import pytest
from hypothesis import settings

from engine.core.compiled import is_compiled

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")

# Their asserts show values too: they are what most end-to-end tests consist of, and tests elsewhere import them first.
pytest.register_assert_rewrite("tests.e2e.datagrams", "tests.e2e.stories")


@pytest.fixture
def same_day() -> None:
    """No day ends within the next half minute, neither of UTC nor of China (both do at a multiple of eight hours)."""
    left_s = -time.time() % (8 * 3600)
    if left_s < 30:
        time.sleep(left_s + 0.1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is compiled in cannot be replaced: such a test runs on the pure build alone."""
    if is_compiled():
        for item in items:
            if item.get_closest_marker("pure") is not None:
                item.add_marker(pytest.mark.skip(reason="replaces what is compiled in"))
