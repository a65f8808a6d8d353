"""A binding as a call sees it: who may call whom through X, until when, and what else stands for or against it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, final

# `mode` of what is relayed with its identities untouched (`engine.core.transit`): there is no binding then.
TRANSIT: Final = "transit"

# Bits of `target.flags`: what a call must know of its binding beside the numbers.
CALLS_BLOCKED: Final = 1
MESSAGES_BLOCKED: Final = 2
TO_GROUP: Final = 4  # B calls the group
LAST_CALLER: Final = 8  # ... of which the member is called that has called B last
SEQUENTIAL: Final = 16  # ... of which one member after the other is called
ASK_DECISION: Final = 32  # the app platform is asked for each call
DECISION_OPEN: Final = 64  # ... and its silence lets the call pass
ASK_ORDER: Final = 128  # the order must be verified
CALLER_VERIFIED: Final = 256  # whoever calls must be known by his real name
CALLEE_VERIFIED: Final = 512
HOURS: Final = 1024  # the scenario has hours
DAILY: Final = 2048  # the scenario limits the calls of a day
LEGACY: Final = 4096  # what is called is the number of before 700

_IS_ASKED: Final = ASK_DECISION | ASK_ORDER


class Miss(Enum):
    """Why a lookup of (X, caller) found no target."""

    UNBOUND = "X has no binding in force"
    NOT_A_PARTY = "X is bound, but not for this caller"
    COOLING = "X has no binding in force, and rests from one with this caller"
    LOCKED = "X is locked"
    FROZEN = "X or its block must not be used"
    SUSPENDED = "no call may be made at all"


@final
@dataclass(frozen=True, slots=True)
class Restriction:
    """A row of `restriction`: what must not be used now, by whatever binding."""

    kind: str  # everything | app_platform | business_user | number_block | number
    id: str
    state: str  # killed; of a number: locked | frozen | returned


@final
@dataclass(frozen=True, slots=True)
class Conditions:
    """What the store says of a target beyond who reaches whom; UNCONDITIONAL where it says nothing."""

    flags: int = 0
    max_call_s: int = 0  # the smaller one of binding and scenario; 0: the node's own limit
    ring_timeout_s: int = 0  # 0: the node's own
    members: tuple[str, ...] = ()  # of the group: who is called after `callee`, in order
    restriction: Restriction | None = None
    has_blacklist: bool = False  # the app platform has one
    blacklisted: str = ""  # caller | callee: whose list or number it is; "" for neither
    unverified: str = ""  # caller | callee: whose real name is missing; "" for neither
    hours: str = ""  # "08:00-22:00", China time; "" always
    calls_per_day: int = 0  # of this caller through X; 0: no limit
    calls_recorded: int = 0  # where they are limited: how many of today are on record, calls_per_day at most
    order_state: str = ""  # where the order is asked for: verified | unverified | closed | forged
    order_timeout_ms: int = 0  # how long the platform may take, where it is asked
    decision_timeout_ms: int = 0
    blocks: tuple[str, ...] = ()  # of the business user, where the platform's decision may name the number shown

    @property
    def is_asked(self) -> bool:
        """True when the app platform has a say in each call."""
        return self.flags & _IS_ASKED != 0


UNCONDITIONAL: Final = Conditions()


def closer(one: int, other: int) -> int:
    """Of two limits of which 0 is none."""
    return min(one, other) if one and other else one or other


@final
class Binding(NamedTuple):
    """One row of table `target`: at most one per (tel_x, caller), by primary key (decision 5).

    A tuple, since one is made for each call: a frozen dataclass takes five times as long to make.
    """

    subs_id: str
    version: int
    mode: str  # "AXB", "AXYB", "GXB", "GXYB"; TRANSIT
    tel_x: str  # of the binding: not what was called, where that is Y or the number of before 700
    tel_y: str  # "" where the mode has none
    caller: str  # canonical national number
    callee: str  # canonical national number
    presented: str  # the 700 number that the callee sees
    app_platform: str
    business_user: str
    order_id: str
    scenario: str
    expires_at: float  # seconds since the epoch, UTC
    conditions: Conditions = UNCONDITIONAL

    @property
    def member(self) -> str:
        """Of a group binding the member that calls or is called, "" of any other."""
        if self.mode[:1] != "G":
            return ""
        return self.callee if self.conditions.flags & TO_GROUP else self.caller


def is_expired(binding: Binding, wall_s: float) -> bool:
    """True from the very second named in `expiration` on. A function, since a method of a tuple is searched for."""
    return wall_s >= binding.expires_at
