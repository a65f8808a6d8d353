"""Dialogs with callees that nobody wanted: their 2xx was acknowledged, and they were ended (RFC 3261 §13.2.2.4).

A copy of such a 2xx gets its ACK again, and no second BYE: also when the call, and the transaction that it answers, are
forgotten before the last copy comes. A fork may answer just before that.
"""

from __future__ import annotations

from typing import final

from sipstack.events import Flow
from sipstack.timers import TimerOwner, TimerWheel

Acknowledgement = tuple[bytes, Flow]


@final
class Released(TimerOwner):
    """Our ACKs, by Call-ID and then To tag, each for as long as copies of its 2xx may come: 64*T1."""

    __slots__ = ("_acks", "_codes", "_kept_s", "_next", "_wheel")

    def __init__(self, wheel: TimerWheel, kept_s: float) -> None:
        self._wheel = wheel
        self._kept_s = kept_s
        self._acks: dict[str, dict[str, Acknowledgement]] = {}
        self._codes: dict[int, tuple[str, str]] = {}  # Call-ID and To tag by the code of the timer that forgets them
        self._next = 0

    def __len__(self) -> int:
        return len(self._codes)

    def ack_of(self, call_id: str, tag: str) -> Acknowledgement | None:
        """What to say again to a copy; None for a dialog that was not ended so."""
        acks = self._acks.get(call_id)
        return None if acks is None else acks.get(tag)

    def forks(self, call_id: str) -> int:
        """How many dialogs of one INVITE were ended so."""
        return len(self._acks.get(call_id, ()))

    def remember(self, call_id: str, tag: str, acknowledgement: Acknowledgement, now: float) -> None:
        """From now on copies get this."""
        self._acks.setdefault(call_id, {})[tag] = acknowledgement
        self._codes[self._next] = call_id, tag
        self._wheel.set(now, self._kept_s, self, self._next)
        self._next += 1

    def timer_fired(self, code: int, now: float) -> None:
        """No copy of it can come any more."""
        call_id, tag = self._codes.pop(code)
        acks = self._acks[call_id]
        del acks[tag]
        if not acks:
            del self._acks[call_id]
