"""What the app platform is asked before a call or message is let through, and what its answer means.

An order is asked about until somebody has verified it; the decision on an attempt is asked for each time. The attempt
waits for the answer as it waits for the store, with a timer of its own: silence refuses, unless the binding says of a
decision that it lets pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from engine.core.binding import (
    ASK_DECISION,
    ASK_ORDER,
    CALLEE_VERIFIED,
    DECISION_OPEN,
    Binding,
    Conditions,
    closer,
)
from engine.core.numbers import canonical_real, is_landline, is_mobile, is_privacy_number, mask
from engine.core.policy import Refusal
from engine.core.records import ReleaseCause
from sipstack.events import Output

if TYPE_CHECKING:
    from engine.core.attempt import AttemptBase

ORDER: Final = "order"
DECISION: Final = "decision"

_UNVERIFIED: Final = Refusal(ReleaseCause.ORDER_UNVERIFIED, "order_hook")
_NO_WORD: Final = Refusal(ReleaseCause.VERIFY_TIMEOUT, "order_hook")
_CLOSED: Final = Refusal(ReleaseCause.HOOK_CLOSED, "decision_hook")
_NAMELESS: Final = Refusal(ReleaseCause.REALNAME_MISSING, "decision_hook")

MAX_ORDERS: Final = 50_000  # remembered; beyond it all are forgotten, and asked about again


@final
class AskHook(Output):
    """Ask the app platform and tell `CallService.hook_answered`; no number of it is in clear."""

    __slots__ = (
        "app_platform", "attempt", "business_user", "caller", "is_answered", "is_message", "kind", "order_id",
        "record_id", "subs_id", "timeout_ms", "x",
    )  # fmt: skip

    def __init__(self, attempt: AttemptBase, kind: str, timeout_ms: int) -> None:
        """`kind` is ORDER or DECISION."""
        record = attempt.record
        self.attempt = attempt
        self.kind: Final = kind
        self.timeout_ms: Final = timeout_ms
        self.record_id: Final = record.record_id
        self.app_platform: Final = record.app_platform
        self.business_user: Final = record.business_user
        self.subs_id: Final = record.subs_id
        self.order_id: Final = record.order_id
        self.x: Final = record.tel_x
        self.caller: Final = mask(record.caller)
        self.is_message: Final = record.kind == "message"
        self.is_answered = False


@final
class HookAnswer:
    """What the app platform says. Of a decision `callee` and `presented` may name others than the binding's, and two
    limits may be closer than its own."""

    __slots__ = ("callee", "is_yes", "max_call_s", "presented", "ring_timeout_s", "until_at")

    def __init__(
        self, is_yes: bool, until_at: float = 0.0, callee: str = "", presented: str = "", max_call_s: int = 0,
        ring_timeout_s: int = 0,
    ) -> None:  # fmt: skip
        """`until_at`: so long an order stays verified, in seconds since the epoch. A limit of 0 is none."""
        self.is_yes: Final = is_yes
        self.until_at: Final = until_at
        self.callee: Final = callee
        self.presented: Final = presented
        self.max_call_s: Final = max_call_s
        self.ring_timeout_s: Final = ring_timeout_s


@final
class Orders:
    """Orders that an app platform has called true, and until when."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}  # business user, order -> seconds since the epoch

    def verified(self, binding: Binding, until_at: float) -> None:
        """The platform has said so."""
        if len(self._until) >= MAX_ORDERS:
            self._until.clear()
        self._until[binding.business_user, binding.order_id] = until_at

    def is_verified(self, business_user: str, order_id: str, wall_s: float) -> bool:
        """True as long as that holds."""
        return self._until.get((business_user, order_id), 0.0) > wall_s


def next_question(attempt: AttemptBase, said: Conditions) -> AskHook | None:
    """What must be asked now; None when nothing is left. The order first: a decision is about a true one."""
    last = attempt.asked.kind if attempt.asked is not None else ""
    if said.flags & ASK_ORDER and not last and said.order_state != "verified":
        record = attempt.record
        orders = attempt.context.intake.orders
        if not orders.is_verified(record.business_user, record.order_id, attempt.facts.wall_s):
            return AskHook(attempt, ORDER, said.order_timeout_ms)
    if said.flags & ASK_DECISION and last != DECISION:
        return AskHook(attempt, DECISION, said.decision_timeout_ms)
    return None


def heed(attempt: AttemptBase, asked: AskHook, answer: HookAnswer | None, found: Binding) -> Binding | Refusal:
    """The binding that counts now, or why the attempt is refused."""
    if asked.kind == ORDER:
        if answer is None:
            return _NO_WORD
        if answer.is_yes:
            attempt.context.intake.orders.verified(found, answer.until_at)
            return found
        return _UNVERIFIED
    if answer is None:
        return found if found.conditions.flags & DECISION_OPEN else _CLOSED
    return _decided(_limited(found, answer), answer) if answer.is_yes else _CLOSED


def _limited(found: Binding, answer: HookAnswer) -> Binding:
    """A limit of the answer counts where it is closer than that of the binding."""
    if not answer.max_call_s and not answer.ring_timeout_s:
        return found
    said = found.conditions
    return found._replace(conditions=replace(
        said, max_call_s=closer(said.max_call_s, answer.max_call_s),
        ring_timeout_s=closer(said.ring_timeout_s, answer.ring_timeout_s),
    ))  # fmt: skip


def _decided(found: Binding, answer: HookAnswer) -> Binding | Refusal:
    """Who is called may be another, and so may the number that is shown: only one of the business user's own blocks."""
    if not answer.callee and not answer.presented:
        return found
    callee, presented = answer.callee or found.callee, answer.presented or found.presented
    if answer.callee:
        if canonical_real(callee) != callee or callee == found.caller:
            return _CLOSED
        if not is_mobile(callee) and not is_landline(callee):
            return _CLOSED  # 110 and 12345 are no person's, and who is called there would see a 700 number
        if found.conditions.flags & CALLEE_VERIFIED:
            return _NAMELESS  # of that number nothing is known
    if answer.presented and not (
        is_privacy_number(presented) and presented.startswith(found.conditions.blocks or ("-",))
    ):
        return _CLOSED
    if callee in presented or found.caller in presented or callee in found.tel_x:
        return _CLOSED  # the number that is shown would show a party
    conditions = replace(found.conditions, members=())
    return found._replace(callee=callee, presented=presented, conditions=conditions)
