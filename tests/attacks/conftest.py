"""Attacks are tried on the nodes of tests/conformance, with the same search of all that each party got."""

from __future__ import annotations

from tests.conformance.conftest import make_rig, module_rig, rig

__all__ = ("make_rig", "module_rig", "rig")
