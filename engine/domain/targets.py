"""What each mode makes of a binding: who reaches whom through which number, and what the other side sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from engine.core.binding import (
    ASK_DECISION,
    ASK_ORDER,
    CALLEE_VERIFIED,
    CALLER_VERIFIED,
    CALLS_BLOCKED,
    DAILY,
    DECISION_OPEN,
    HOURS,
    LAST_CALLER,
    LEGACY,
    MESSAGES_BLOCKED,
    SEQUENTIAL,
    TO_GROUP,
)
from engine.domain.gates import Scenario

AXB: Final = "AXB"
MODES: Final = ("AXB", "AXYB", "GXB", "GXYB")
WITH_Y: Final = frozenset(("AXYB", "GXYB"))
WITH_GROUP: Final = frozenset(("GXB", "GXYB"))

A_BLOCKED: Final = "CONTROL_AX_DISABLE"
B_BLOCKED: Final = "CONTROL_BX_DISABLE"
GROUP_BLOCKED: Final = "CONTROL_GX_DISABLE"
NOBODY_BLOCKED: Final = "CONTROL_CLEAR_DISABLE"

CALLBACKS: Final = {"last_caller": LAST_CALLER, "sequential": SEQUENTIAL, "default_a": 0}


class Target(NamedTuple):
    """`caller` who dials `x` reaches `callee`, who sees `presented`."""

    x: str
    caller: str
    callee: str
    presented: str
    flags: int


@final
@dataclass(frozen=True, slots=True)
class Parties:
    """Who is hidden from whom: everybody of `side_a` (A, or a group in its order) from B. Canonical numbers."""

    side_a: tuple[str, ...]
    tel_b: str

    def all(self) -> tuple[str, ...]:
        return (*self.side_a, self.tel_b)


@final
@dataclass(frozen=True, slots=True)
class Wiring:
    """The numbers and choices of a binding that its targets follow from."""

    mode: str
    tel_x: str
    tel_y: str  # "" without Y
    default_a: str  # "" : the first member
    call_restrict: str
    callback: str  # of a group: last_caller | default_a | sequential
    sms: bool
    decision: str  # "" | closed | open
    legacy_x: str  # "" without


def common_flags(wiring: Wiring, scenario: Scenario) -> int:
    """What holds in both directions."""
    flags = 0 if wiring.sms and scenario.sms else MESSAGES_BLOCKED
    if wiring.decision:
        flags |= ASK_DECISION | (DECISION_OPEN if wiring.decision == "open" else 0)
    if scenario.order_check == "call":
        flags |= ASK_ORDER
    if scenario.has_hours:
        flags |= HOURS
    if scenario.calls_per_day:
        flags |= DAILY
    return flags


def targets_of(wiring: Wiring, parties: Parties, scenario: Scenario) -> Iterator[Target]:
    """All targets of a binding: side A's first, in their order, then B's, then those of its legacy number."""
    yield from _targets(wiring, parties, scenario)
    if wiring.legacy_x:
        for target in _targets(wiring, parties, scenario):
            yield target._replace(x=wiring.legacy_x, flags=target.flags | LEGACY)


def _targets(wiring: Wiring, parties: Parties, scenario: Scenario) -> Iterator[Target]:
    side_a, tel_b = parties.side_a, parties.tel_b
    seen_by_a = wiring.tel_y or wiring.tel_x  # what side A dials, and what it sees of B
    both = common_flags(wiring, scenario)
    named = {"off": (0, 0), "a": (CALLER_VERIFIED, CALLEE_VERIFIED)}.get(
        scenario.real_name, (CALLER_VERIFIED | CALLEE_VERIFIED,) * 2
    )
    is_group = wiring.mode in WITH_GROUP
    shut_a = wiring.call_restrict in (A_BLOCKED, GROUP_BLOCKED)
    from_a = both | named[0] | (CALLS_BLOCKED if shut_a else 0)
    for member in side_a:
        yield Target(seen_by_a, member, tel_b, wiring.tel_x, from_a)
    from_b = both | named[1] | (CALLS_BLOCKED if wiring.call_restrict == B_BLOCKED else 0)
    if is_group:
        from_b |= TO_GROUP | CALLBACKS[wiring.callback]
    yield Target(wiring.tel_x, tel_b, _first(wiring.default_a, side_a), seen_by_a, from_b)


def _first(default_a: str, members: Sequence[str]) -> str:
    """Whom B reaches before anybody has called: one who has left the group is nobody."""
    return default_a if default_a in members else members[0]
