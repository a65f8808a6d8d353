"""Calls in progress that a kill switch ends: on both sides, and recorded so.

Whoever throws the switch chooses whether it does so; new calls find the restriction by themselves. Messages are over in
a moment, and are let be.
"""

from __future__ import annotations

from typing import Final

from engine.core import call_table as t
from engine.core.call import Call
from engine.core.context import CoreContext
from engine.core.given import Given
from engine.core.policy import Refusal
from engine.core.records import CallRecord, ReleaseCause

KINDS: Final = ("everything", "app_platform", "business_user", "number_block", "number")

_OF_NUMBERS: Final = Refusal(ReleaseCause.NUMBER_FROZEN, "kill_switch")
_OF_TENANTS: Final = Refusal(ReleaseCause.TENANT_SUSPENDED, "kill_switch")


def release_calls(context: CoreContext, kind: str, entity: str, now: float) -> int:
    """Ends the calls that (kind, entity) is about; how many these are. `kind` is one of KINDS."""
    refusal = _OF_NUMBERS if kind in ("number_block", "number") else _OF_TENANTS
    calls = [one for one in context.attempts.values() if isinstance(one, Call) and _is_about(kind, entity, one.record)]
    return sum(_kill(call, refusal, now) for call in calls)


def _kill(call: Call, refusal: Refusal, now: float) -> bool:
    """False when its end is decided already."""
    if call.record.release_cause:
        return False
    call.refusal = refusal
    call.step(t.KILLED, Given(now))
    return True


def _is_about(kind: str, entity: str, record: CallRecord) -> bool:
    if kind == "everything":
        return True
    if kind == "app_platform":
        return record.app_platform == entity
    if kind == "business_user":
        return record.business_user == entity
    numbers = (record.tel_x, record.tel_y, record.presented_number)
    return entity in numbers if kind == "number" else any(number.startswith(entity) for number in numbers)
