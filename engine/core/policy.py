"""Who may call whom: an ordered tuple of small steps, each of which may refuse. The first refusal ends it.

A step is a pure function of the facts; its name is what `decided_by` in the record says. The steps before the
lookup need the numbers alone, those after it the binding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from engine.core.binding import Binding, Miss
from engine.core.numbers import PRIVACY, REAL, Dialled, DialledKind
from engine.core.records import BAD_NUMBER_TOO_LONG, RELEASE, ReleaseCause
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

    __slots__ = ("called", "caller", "found", "peer", "wall_s")

    def __init__(self, called: Dialled, caller: Dialled, peer: PeerSettings, wall_s: float) -> None:
        self.called = called
        self.caller = caller
        self.peer = peer
        self.wall_s = wall_s
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
    if facts.found is Miss.NOT_A_PARTY:
        return Refusal(ReleaseCause.NOT_IN_CALLER_SET, "bound")
    if not isinstance(facts.found, Binding):
        return Refusal(ReleaseCause.NO_BINDING, "bound")
    return None


def in_force(facts: Facts) -> Refusal | None:
    """The binding must not have expired."""
    if isinstance(facts.found, Binding) and facts.found.is_expired(facts.wall_s):
        return Refusal(ReleaseCause.BINDING_EXPIRED, "in_force")
    return None


def not_to_self(facts: Facts) -> Refusal | None:
    """The target must be neither the caller nor X itself."""
    found = facts.found
    if isinstance(found, Binding) and found.callee in (facts.caller.number, found.tel_x):
        return Refusal(ReleaseCause.LOOP, "not_to_self")
    return None


STEPS_BEFORE_LOOKUP: Final[tuple[Step, ...]] = (called_number, loop, caller_entitled)
STEPS_AFTER_LOOKUP: Final[tuple[Step, ...]] = (bound, in_force, not_to_self)


def first_refusal(steps: tuple[Step, ...], facts: Facts) -> Refusal | None:
    """Runs the steps in order and returns the first refusal; None when all let the attempt pass."""
    for step in steps:
        refusal = step(facts)
        if refusal is not None:
            return refusal
    return None
