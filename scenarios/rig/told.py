"""What came of a story: what each side saw, and what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from scenarios.rig.seen import Seen

_ASK_AGAIN: Final = 422  # the caller may ask again, for a longer session (RFC 4028 §6)


@dataclass(frozen=True)
class Told:
    """What all sides saw of one story, in order."""

    caller: list[Seen]
    callee: list[Seen]
    second: list[Seen] = field(default_factory=list)  # what came to the host that never answers
    records: list[dict[str, Any]] = field(default_factory=list)  # those of this story, real numbers in clear
    faults: list[str] = field(default_factory=list)  # what the engines complained about, and what the node still holds

    @property
    def final(self) -> Seen | None:
        """The first final response to the caller's first request; behind a 422, that to the request after it."""
        if not self.caller:
            return None
        method = self.caller[0].method
        finals = [m for m in self.caller if not m.is_sent and m.status >= 200 and m.method == method]
        return next((m for m in finals if m.status != _ASK_AGAIN), finals[0] if finals else None)

    @property
    def caller_call_id(self) -> str:
        """The Call-ID of the caller's dialog."""
        return self.caller[0].call_id if self.caller else ""

    @property
    def callee_call_id(self) -> str:
        """The Call-ID of the callee's last dialog; "" when there was none."""
        return self.callee[-1].call_id if self.callee else ""
