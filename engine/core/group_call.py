"""A call to a group whose members are called one after the other.

It goes on as after a redirect that is followed (`engine.core.redirect`): the record says whom it goes to before that
member hears of it, and neither the caller nor a later member learns of those before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine.core import call_table as t
from engine.core.binding import Binding
from engine.core.choice import Choice
from engine.core.given import Given
from engine.core.policy import Refusal
from engine.core.records import ReleaseCause
from engine.core.routing import Hop

if TYPE_CHECKING:
    from engine.core.attempt import AttemptBase
    from engine.core.call import Call
    from engine.core.callee_try import CalleeTry

# What of one member does not speak for the others. Who declines has been reached.
_GOES_ON: Final = (
    ReleaseCause.BUSY, ReleaseCause.NO_ANSWER, ReleaseCause.UNREACHABLE, ReleaseCause.UNALLOCATED,
    ReleaseCause.ALL_TARGETS_FAILED,
)  # fmt: skip


def first_reachable(attempt: AttemptBase, found: Binding) -> tuple[Binding, list[Hop]]:
    """The binding with the first of its members that a route leads to, and his places; [] when there is none."""
    for place, member in enumerate(found.conditions.members):
        hops = attempt.hops_to(member)
        if hops:
            rest = replace(found.conditions, members=found.conditions.members[place + 1 :])
            return found._replace(callee=member, conditions=rest), hops
    return found, []


def call_next(call: Call, tried: CalleeTry, refusal: Refusal, now: float) -> bool:
    """Turns the call from the member of `tried`, that `refusal` is about, to the next; False when there is none."""
    if not call.conditions.members or refusal.cause not in _GOES_ON:
        return False
    while (member := _next_member(call)) is not None:
        if call.try_next(now):
            if not tried.is_over:
                tried.ended(0, now)
                tried.cancel(now)
            call.record.group_member = member
            call.step(t.REDIRECTED, Given(now, tried))
            return True
    return False


def _next_member(call: Call) -> str | None:
    """The call's binding and places are those of the next member that can be reached at all."""
    found = call.facts.found
    assert isinstance(found, Binding)
    turned, hops = first_reachable(call, found)
    if not hops:
        return None
    call.facts.found = turned
    call.left_callees = (*call.left_callees, found.callee)
    call.party.also_hidden = (*call.party.also_hidden, turned.callee)
    call.choice = Choice(hops)
    call.first_try = len(call.record.attempts)
    return turned.callee
