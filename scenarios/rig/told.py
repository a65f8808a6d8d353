"""What came of a story: what each side saw, and what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from scenarios.rig.seen import Seen

_BEGINS: Final = ("INVITE", "MESSAGE")  # what makes an attempt


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
        """The first final response to the caller's last request outside a dialog."""
        asked = [
            m for m in self.caller if m.is_sent and m.method in _BEGINS and not m.status and "tag=" not in m.value("To")
        ]
        if not asked:
            return None
        sequence = asked[-1].value("CSeq")
        return next((m for m in self.caller if not m.is_sent and m.status >= 200 and m.value("CSeq") == sequence), None)

    @property
    def caller_call_id(self) -> str:
        """The Call-ID of the caller's dialog."""
        return self.caller[0].call_id if self.caller else ""

    @property
    def callee_call_id(self) -> str:
        """The Call-ID of the callee's last dialog; "" when there was none."""
        begun = [m.call_id for m in self.callee if not m.is_sent and not m.status and m.method in _BEGINS]
        return begun[-1] if begun else ""
