"""What offences do to the credit of a company: the four kinds that the notice names (A14)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

FULL_SCORE: Final = 100

# offence -> what one of it takes away: resold or lent numbers, forged orders, fraud, marketing calls or messages
WEIGHTS: Final[Mapping[str, int]] = MappingProxyType({"resale": 40, "forged_orders": 40, "fraud": 60, "marketing": 20})


def score(offences: Iterable[str]) -> int:
    """100 without an offence, 0 at the least. Nothing is forgotten: who forgives takes it up with the authority."""
    return max(0, FULL_SCORE - sum(WEIGHTS[offence] for offence in offences))
