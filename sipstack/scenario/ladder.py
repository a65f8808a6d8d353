"""What went over the wire in the first call that has failed, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from sipstack.scenario.received import Received
from sipstack.scenario.report import Exchanged

# Of a call; one that has more says nothing that its first ones and its reason do not.
_MOST_KEPT: Final = 100


@final
class Ladder:
    """Made of the first call that fails. It shows no URI: numbers stand in them."""

    def __init__(self) -> None:
        self.is_made = False
        self.lines: list[str] = []

    def keep(self, seen: list[Exchanged], exchanged: Exchanged) -> None:
        """One message more of a call."""
        if len(seen) < _MOST_KEPT:
            seen.append(exchanged)

    def failed(self, call_id: str, seen: Sequence[Exchanged], reason: str) -> None:
        """A call has failed; all but the first are of no interest."""
        if self.is_made:
            return
        self.is_made = True
        began_s = seen[0].at_s if seen else 0.0
        self.lines = [f"the first call that failed, {call_id}:"]
        for one in seen:
            self.lines.append(f"{one.at_s - began_s:10.3f} s  {'-->' if one.is_sent else '<--'}  {_named(one.data)}")
        self.lines.append(f"{'':10}    ended: {reason}")


def _named(data: bytes) -> str:
    message = Received(data)
    number, method = message.cseq
    if message.status:
        return f"{message.status} to {method or '?'} (CSeq {number})"
    return f"{message.method or 'no SIP'} (CSeq {number})"
