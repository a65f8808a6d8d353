"""Hypothesis draws the same examples on every machine, and no test fails for being slow on one."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")
