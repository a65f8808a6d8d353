"""What `explain` tells of the conditions of a binding: the rows behind its steps, and what only a platform knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine.core.asking import AskHook
from engine.core.attempt import AttemptBase
from engine.core.binding import (
    ASK_ORDER,
    CALLEE_VERIFIED,
    CALLER_VERIFIED,
    LAST_CALLER,
    TO_GROUP,
    UNCONDITIONAL,
    Binding,
)
from engine.core.policy import (
    Step,
    not_blacklisted,
    order_not_over,
    real_names_known,
    unrestricted,
    within_hours,
)
from engine.explain.told import Line

_NAMED: Final = CALLER_VERIFIED | CALLEE_VERIFIED


def row_of(step: Step, attempt: AttemptBase) -> str:
    """The row that a step has read besides that of the target; "" for none."""
    found = attempt.facts.found
    if not isinstance(found, Binding):
        return ""
    said = found.conditions
    if step is unrestricted and said.restriction is not None:
        return f"row restriction ({', '.join(filter(None, (said.restriction.kind, said.restriction.id)))})"
    if step is within_hours and said.hours:
        return f"row scenario ({found.scenario}) hours = {said.hours}"
    if step is not_blacklisted and said.has_blacklist:
        return f"rows blacklist ({found.app_platform})"
    if step is real_names_known and said.flags & _NAMED:
        return f"rows subscriber ({found.app_platform})"
    if step is order_not_over and said.flags & ASK_ORDER:
        return f"row service_order ({found.business_user}, {found.order_id}) {said.order_state}"
    return ""


def limits(attempt: AttemptBase, row: str) -> Iterator[Line]:
    """What the binding says of how long, how often, and of whom else."""
    found = attempt.facts.found
    if not isinstance(found, Binding) or found.conditions is UNCONDITIONAL:
        return
    said = found.conditions
    told = [
        f"rings {said.ring_timeout_s} s at most" if said.ring_timeout_s else "",
        f"lasts {said.max_call_s} s at most" if said.max_call_s else "",
        f"{said.calls_per_day} calls of this caller a day, which the node counts" if said.calls_per_day else "",
        f"then {len(said.members)} more of the group, one after the other" if said.members else "",
    ]
    if said.flags & TO_GROUP and said.flags & LAST_CALLER:
        who = "whoever of the group has called last, as long as he is a member, else the first of it"
        yield Line("binding", "group", who, f"row last_caller ({found.subs_id})")
    if any(told):
        yield Line("binding", "limits", ", ".join(filter(None, told)), row)


def questions(asked: Sequence[AskHook]) -> Iterator[Line]:
    """What the app platform would be asked: it is not, and told as if it let it pass."""
    for question in asked:
        said = f"the app platform would be asked, {question.timeout_ms} ms: told as if it let it pass"
        yield Line("policy", f"{question.kind}_hook", said, f"row hook ({question.app_platform}, {question.kind})")
