"""Who may call whom: an ordered tuple of small steps, each of which may refuse. The first refusal ends it.

A step is a pure function of the facts; its name is what `decided_by` in the record says. The steps before the
lookup need the numbers alone, those after it the binding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from engine.core.binding import (
    ASK_ORDER,
    CALLS_BLOCKED,
    LEGACY,
    MESSAGES_BLOCKED,
    UNCONDITIONAL,
    Binding,
    Conditions,
    Miss,
    is_expired,
)
from engine.core.hours import is_within
from engine.core.numbers import PRIVACY, REAL, Dialled, DialledKind
from engine.core.records import BAD_NUMBER_TOO_LONG, CALLEE_FINAL, RELEASE, ReleaseCause
from engine.core.settings import PeerSettings


@final
class Refusal:
    """Why an attempt ends here, what the caller is told, and what told it so."""

    __slots__ = ("cause", "decided_by", "min_se_s", "q850", "status")

    def __init__(self, cause: ReleaseCause, decided_by: str, pair: tuple[int, int] | None = None) -> None:
        self.cause = cause
        self.decided_by = decided_by
        self.status, self.q850 = RELEASE[cause] if pair is None else pair
        self.min_se_s = 0  # the interval that a 422 asks for; 0: it is none

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Refusal):
            return NotImplemented
        return (self.cause, self.status, self.q850, self.decided_by) == (
            other.cause,
            other.status,
            other.q850,
            other.decided_by,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Refusal({self.cause.value}, {self.status}, {self.q850}, {self.decided_by})"


@final
class Facts:
    """What is known about an attempt. `found` is None until the store has answered; `wall_s` counts from the epoch."""

    __slots__ = ("called", "caller", "found", "is_message", "peer", "wall_s")

    def __init__(
        self, called: Dialled, caller: Dialled, peer: PeerSettings, wall_s: float, is_message: bool = False
    ) -> None:
        self.called = called
        self.caller = caller
        self.peer = peer
        self.wall_s = wall_s
        self.is_message = is_message
        self.found: Binding | Miss | None = None


Step = Callable[[Facts], Refusal | None]


def called_number(facts: Facts) -> Refusal | None:
    """The called number must be a 700 number of 15 digits."""
    kind = facts.called.kind
    if kind is PRIVACY:
        return None
    if kind is DialledKind.PRIVACY_SHORT:
        return Refusal(ReleaseCause.BAD_NUMBER, "called_number")
    if kind is DialledKind.PRIVACY_LONG:
        return Refusal(ReleaseCause.BAD_NUMBER, "called_number", BAD_NUMBER_TOO_LONG)
    return Refusal(ReleaseCause.NO_ROUTE, "called_number")


def loop(facts: Facts) -> Refusal | None:
    """X must not call X."""
    if facts.caller.kind is PRIVACY and facts.caller.number == facts.called.number:
        return Refusal(ReleaseCause.LOOP, "loop")
    return None


def caller_entitled(facts: Facts) -> Refusal | None:
    """A 700 number calls only from a peer that serves its block; any other caller must be readable."""
    caller = facts.caller
    if caller.kind is REAL:
        return None
    if caller.kind in (DialledKind.UNKNOWN, DialledKind.PRIVACY_SHORT, DialledKind.PRIVACY_LONG):
        return Refusal(ReleaseCause.NOT_IN_CALLER_SET, "caller_entitled")
    if not caller.number.startswith(facts.peer.serves_700 or ("-",)):
        return Refusal(ReleaseCause.NOT_IN_CALLER_SET, "caller_entitled")
    return None


def bound(facts: Facts) -> Refusal | None:
    """X must be bound, and for this caller."""
    found = facts.found
    if isinstance(found, Binding):
        return None
    return _REFUSAL_OF_MISS.get(found, _UNBOUND)


def in_force(facts: Facts) -> Refusal | None:
    """The binding must not have expired."""
    found = facts.found
    if isinstance(found, Binding) and is_expired(found, facts.wall_s):
        if found.conditions.flags & LEGACY:
            return Refusal(ReleaseCause.NO_BINDING, "in_force")
        return Refusal(ReleaseCause.BINDING_EXPIRED, "in_force")
    return None


def not_to_self(facts: Facts) -> Refusal | None:
    """The target must be neither the caller nor X itself."""
    found = facts.found
    if isinstance(found, Binding) and found.callee in (facts.caller.number, found.tel_x):
        return Refusal(ReleaseCause.LOOP, "not_to_self")
    return None


# -- what only some bindings ask for -----------------------------------------------------------------------------------


def unrestricted(facts: Facts) -> Refusal | None:
    """Neither the number, nor its block, nor its tenants may be locked, frozen or shut off."""
    found = _conditions(facts).restriction
    if found is None:
        return None
    if found.kind == "number" and found.state == "locked":
        return Refusal(ReleaseCause.NUMBER_LOCKED, "unrestricted")
    if found.kind in ("number", "number_block"):
        return Refusal(ReleaseCause.NUMBER_FROZEN, "unrestricted")
    return Refusal(ReleaseCause.TENANT_SUSPENDED, "unrestricted")


def way_open(facts: Facts) -> Refusal | None:
    """The binding must admit calls, or messages, in this direction."""
    blocked = MESSAGES_BLOCKED if facts.is_message else CALLS_BLOCKED
    return Refusal(ReleaseCause.DIRECTION_BLOCKED, "way_open") if _conditions(facts).flags & blocked else None


def within_hours(facts: Facts) -> Refusal | None:
    """The scenario must admit calls and messages at this time of the day in China."""
    hours = _conditions(facts).hours
    return Refusal(ReleaseCause.DIRECTION_BLOCKED, "within_hours") if not is_within(hours, facts.wall_s) else None


def not_blacklisted(facts: Facts) -> Refusal | None:
    """Neither party may stand on the black list of the app platform, alone or against the other."""
    listed = _conditions(facts).blacklisted
    if listed == "caller":
        return Refusal(ReleaseCause.CALLER_BLACKLISTED, "not_blacklisted")
    return Refusal(ReleaseCause.CALLEE_BLACKLISTED, "not_blacklisted") if listed else None


def real_names_known(facts: Facts) -> Refusal | None:
    """Where the scenario says so, the real name of the parties must have been verified."""
    return Refusal(ReleaseCause.REALNAME_MISSING, "real_names_known") if _conditions(facts).unverified else None


def order_not_over(facts: Facts) -> Refusal | None:
    """Where the scenario says so, the order must be neither closed nor forged."""
    said = _conditions(facts)
    is_over = said.flags & ASK_ORDER and said.order_state in ("closed", "forged")
    return Refusal(ReleaseCause.ORDER_UNVERIFIED, "order_not_over") if is_over else None


def _conditions(facts: Facts) -> Conditions:
    return facts.found.conditions if isinstance(facts.found, Binding) else UNCONDITIONAL


_UNBOUND: Final = Refusal(ReleaseCause.NO_BINDING, "bound")
_REFUSAL_OF_MISS: Final[dict[Miss | None, Refusal]] = {
    Miss.NOT_A_PARTY: Refusal(ReleaseCause.NOT_IN_CALLER_SET, "bound"),
    Miss.COOLING: Refusal(ReleaseCause.NUMBER_COOLING, "bound"),
    Miss.LOCKED: Refusal(ReleaseCause.NUMBER_LOCKED, "bound"),
    Miss.FROZEN: Refusal(ReleaseCause.NUMBER_FROZEN, "bound"),
    Miss.SUSPENDED: Refusal(ReleaseCause.TENANT_SUSPENDED, "bound"),
}

STEPS_BEFORE_LOOKUP: Final[tuple[Step, ...]] = (called_number, loop, caller_entitled)
STEPS_AFTER_LOOKUP: Final[tuple[Step, ...]] = (
    unrestricted, bound, in_force, way_open, within_hours, not_blacklisted, real_names_known, order_not_over,
    not_to_self,
)  # fmt: skip


def refusal_before_lookup(facts: Facts) -> Refusal | None:
    """The first refusal of STEPS_BEFORE_LOOKUP, which are called by name: compiled, that costs a third."""
    refusal = called_number(facts)
    if refusal is None:
        refusal = loop(facts)
    return caller_entitled(facts) if refusal is None else refusal


def refusal_after_lookup(facts: Facts) -> Refusal | None:
    """The first refusal of STEPS_AFTER_LOOKUP. Those are not asked that cannot refuse a binding without conditions."""
    found = facts.found
    if isinstance(found, Binding) and found.conditions is not UNCONDITIONAL:
        return first_refusal(STEPS_AFTER_LOOKUP, facts)
    refusal = bound(facts)
    if refusal is None:
        refusal = in_force(facts)
    return not_to_self(facts) if refusal is None else refusal


def first_refusal(steps: tuple[Step, ...], facts: Facts) -> Refusal | None:
    """Runs the steps in order and returns the first refusal; None when all let the attempt pass."""
    for step in steps:
        refusal = step(facts)
        if refusal is not None:
            return refusal
    return None


def callee_refusal(status: int) -> Refusal | None:
    """What a final status of the callee's side means (contract §5, second table); None: this target cannot serve.

    A 6xx of unknown meaning is a 600 (RFC 3261 §8.1.3.2): no other target is tried.
    """
    known = CALLEE_FINAL.get(status) or (CALLEE_FINAL[600] if status >= 600 else None)
    if known is not None:
        cause, sip_status, q850 = known
        return Refusal(cause, "callee", (sip_status, q850))
    return Refusal(ReleaseCause.FORWARDING_REFUSED, "callee") if status < 400 else None
