"""A binding as a call sees it: who may call whom through X, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, final

# `mode` of what is relayed with its identities untouched (`engine.core.transit`): there is no binding then.
TRANSIT: Final = "transit"


class Miss(Enum):
    """Why a lookup of (X, caller) found no target."""

    UNBOUND = "X has no binding in force"
    NOT_A_PARTY = "X is bound, but not for this caller"


@final
@dataclass(frozen=True, slots=True)
class Binding:
    """One row of table `target`: at most one per (tel_x, caller), by primary key (decision 5)."""

    subs_id: str
    version: int
    mode: str  # "AXB"; TRANSIT
    tel_x: str
    tel_y: str  # "" where the mode has none
    caller: str  # canonical national number
    callee: str  # canonical national number
    presented: str  # the 700 number that the callee sees
    app_platform: str
    business_user: str
    order_id: str
    scenario: str
    expires_at: float  # seconds since the epoch, UTC

    def is_expired(self, wall_s: float) -> bool:
        """True from the very second named in `expiration` on."""
        return wall_s >= self.expires_at
