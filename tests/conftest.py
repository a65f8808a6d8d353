"""Hypothesis draws the same examples on every machine, and no test fails for being slow on one."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")

# Their asserts show values too: they are what most end-to-end tests consist of, and tests elsewhere import them first.
pytest.register_assert_rewrite("tests.e2e.datagrams", "tests.e2e.stories")
