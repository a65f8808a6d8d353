"""A binding as a story tells it, and what a platform would ask for to make it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import ConfigDict

from engine.store.binding_rules import BindRequest

BLOCK: Final = "70012345678"  # the one that inventory.toml assigns
TTL_S: Final = 10 * 86400.0  # within what the inventory's scenario allows


@dataclass(frozen=True)
class Bound:
    """A binding in mode AXB. Numbers are canonical."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    x: str
    a: str
    b: str
    ttl_s: float = TTL_S
    made_ago_s: float = 0.0  # how long ago it was made

    @property
    def order_id(self) -> str:
        """The order that it serves."""
        return f"order-{self.x[-4:]}"

    def clock(self) -> float:
        """The time at which it is made, in seconds since the epoch."""
        return time.time() - self.made_ago_s

    @property
    def expiration(self) -> str:
        """When it ends, as requests and CSV files say it."""
        return datetime.fromtimestamp(self.clock() + self.ttl_s, UTC).isoformat(timespec="seconds")

    def request(self) -> BindRequest:
        """What a platform would ask for."""
        return BindRequest("AXB", self.x, "", self.a, self.b, "", "bu-test", self.order_id, "express", self.expiration)
