"""Addresses of their own for the tests that drive an element."""

from __future__ import annotations

from tests.e2e.conftest import place, places

__all__ = ["place", "places"]
