"""The places, nodes and SIPp processes of the end-to-end tests, for pages that are held against real calls."""

from __future__ import annotations

from tests.e2e.conftest import make_node, place, places, sipp

__all__ = ["make_node", "place", "places", "sipp"]
