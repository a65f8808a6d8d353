"""A binding as a story tells it, and what a platform would ask for to make it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import ConfigDict

from engine.store.binding_rules import BindRequest

BLOCK: Final = "70012345678"  # the one that inventory.toml assigns
TTL_S: Final = 10 * 86400.0  # within what the inventory's scenario allows


@dataclass(frozen=True)
class Bound:
    """A binding. Numbers are canonical."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    x: str
    a: str  # of a group its first member
    b: str
    ttl_s: float = TTL_S
    made_ago_s: float = 0.0  # how long ago it was made
    y: str = ""  # AXYB and GXYB
    colleagues: tuple[str, ...] = ()  # further members of the group: GXB and GXYB
    callback: str = ""  # of a group: default_a | last_caller | sequential
    legacy_x: str = ""  # the number of before 700, for as long as the binding
    scenario: str = "express"
    decision: Literal["", "closed"] = ""  # the platform is asked for each call, and without a word of it none goes
    then: Literal["", "unbound", "name-revoked", "order-forged"] = ""  # what has happened since it was made

    @property
    def order_id(self) -> str:
        """The order that it serves."""
        return f"order-{self.x[-4:]}"

    @property
    def mode(self) -> str:
        """What its numbers make of it."""
        return f"{'G' if self.callback else 'A'}X{'Y' if self.y else ''}B"

    @property
    def members(self) -> tuple[str, ...]:
        """Of its group, none without."""
        return (self.a, *self.colleagues) if self.callback else ()

    @property
    def group_id(self) -> str:
        """Its group, "" without."""
        return f"group-{self.x[-4:]}" if self.callback else ""

    def clock(self) -> float:
        """The time at which it is made, in seconds since the epoch."""
        return time.time() - self.made_ago_s

    @property
    def expiration(self) -> str:
        """When it ends, as requests and CSV files say it."""
        return datetime.fromtimestamp(self.clock() + self.ttl_s, UTC).isoformat(timespec="seconds")

    def request(self) -> BindRequest:
        """What a platform would ask for."""
        request = BindRequest(
            self.mode, self.x, self.y, "" if self.callback else self.a, self.b, self.group_id, "bu-test", self.order_id,
            self.scenario, self.expiration,
        )  # fmt: skip
        request.callback, request.decision = self.callback, self.decision
        if self.legacy_x:
            request.legacy_x, request.legacy_until = self.legacy_x, self.expiration
        return request
