"""Scenarios out of a capture: which calls are in it, and both sides of one of them in SIPp's XML."""

from __future__ import annotations

from sipstack.scenario.captured.calls import CapturedCall, Leg, calls_of
from sipstack.scenario.captured.numbers import MOST as MOST_NUMBERS
from sipstack.scenario.captured.pair import MOST_MESSAGES, Pair, pair_of

__all__ = ["MOST_MESSAGES", "MOST_NUMBERS", "CapturedCall", "Leg", "Pair", "calls_of", "pair_of"]
