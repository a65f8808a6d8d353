"""The states of all that lives longer than a call, and the moves between them (one table a kind).

`number` and `binding` stand here as they are seen: that a number is idle, bound or cooling, and that a binding is in
force, is told by what the store holds; only their other states are written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from engine.domain.problems import Problem, ProblemCode

Machine = Mapping[str, tuple[str, ...]]  # state -> where it may go; the first one is where everything begins

_OF_A_NUMBER: Final = ("idle", "bound", "cooling")

MACHINES: Final[Mapping[str, Machine]] = MappingProxyType(
    {
        "app_platform": {
            "draft": ("registered",),
            "registered": ("active",),
            "active": ("suspended", "winding_down"),
            "suspended": ("active", "winding_down"),
            "winding_down": ("closed",),
            "closed": (),
        },
        "business_user": {
            "draft": ("registered",),
            "registered": ("active",),
            "active": ("frozen", "closed"),
            "frozen": ("active", "closed"),
            "closed": (),
        },
        "contract": {
            "draft": ("effective",),
            "effective": ("expired", "terminated"),
            "expired": (),
            "terminated": (),
        },
        "scenario": {
            "draft": ("approved",),
            "approved": ("retired",),
            "retired": (),
        },
        "number_block": {
            "granted": ("route_ready",),
            "route_ready": ("opened",),
            "opened": ("assigned",),
            "assigned": ("recalling",),
            "recalling": ("assigned", "returned"),  # to the same business user, or to another one
            "returned": (),
        },
        "number": {
            "idle": ("bound", "locked", "frozen", "returned"),
            "bound": ("cooling", "idle", "locked", "frozen"),
            "cooling": ("idle", "bound", "locked", "frozen", "returned"),
            "locked": (*_OF_A_NUMBER, "frozen", "returned"),
            "frozen": (*_OF_A_NUMBER, "locked", "returned"),
            "returned": (),
        },
        "number_pool": {
            "active": ("paused",),
            "paused": ("active",),
        },
        "subscriber": {
            "unknown": ("verified",),
            "verified": ("revoked",),
            "revoked": ("verified",),
        },
        "number_group": {
            "active": ("deleted",),
            "deleted": (),
        },
        "service_order": {
            "unverified": ("verified", "closed", "forged"),
            "verified": ("closed", "forged"),
            "closed": (),
            "forged": (),
        },
        "webhook": {
            "active": ("paused", "dead"),  # dead: nothing was taken for three days
            "paused": ("active",),
            "dead": ("active",),
        },
        "binding": {
            "pending": ("active",),
            "active": ("expired", "unbound", "revoked"),
            "expired": ("held",),
            "unbound": ("held",),
            "revoked": ("held",),
            "held": ("archived",),
            "archived": (),
        },
    }
)


class IllegalMove(Problem):
    """This state does not follow on that one; `legal` has those that do."""

    def __init__(self, kind: str, state: str, wanted: str, legal: tuple[str, ...]) -> None:
        what = kind.replace("_", " ")
        may = f"may become {' or '.join(legal)}" if legal else "stays so for ever"
        super().__init__(
            ProblemCode.ILLEGAL_STATE, "state", f"a {what} that is {state} cannot become {wanted}: it {may}", legal
        )


def first_state(kind: str) -> str:
    """Where a new one of this kind begins."""
    return next(iter(MACHINES[kind]))


def states_of(kind: str) -> tuple[str, ...]:
    """All states of this kind, in the order of its life."""
    return tuple(MACHINES[kind])


def next_state(kind: str, state: str, wanted: str) -> None:
    """IllegalMove, unless `wanted` follows on `state`. To stay is no move. `kind` is a key of MACHINES."""
    legal = MACHINES[kind].get(state, ())
    if wanted not in legal:
        raise IllegalMove(kind, state, wanted, legal)
