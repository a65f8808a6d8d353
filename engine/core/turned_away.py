"""An attempt that is refused before anything of it is decided: as few steps as a record needs.

Nothing is looked up, no body is read, no dialog made. The order is that of any refusal: recorded, then told; while the
store takes no record it is told at once, and kept (contract §6). It takes no place of a call: who sends many that are
turned away must not use up what `max_calls` lets in.
"""

from __future__ import annotations

from typing import Final, final

from engine.core.attempt import STORE_WAIT_S, AttemptBase
from engine.core.attempt_record import begun
from engine.core.context import CoreContext
from engine.core.numbers import Dialled
from engine.core.policy import Refusal
from engine.core.records import CLOSE, Step
from engine.core.settings import PeerSettings
from sipstack.server_transaction import ServerTransaction
from sipstack.timers import MILLISECONDS, Timer

# An INVITE hears something by then (RFC 3261 §17.2.1): nearly always its refusal, 100 where the store is slow.
_TRYING_S: Final = 200 * MILLISECONDS

# Timer codes
_TRYING: Final = 0
_STORE: Final = 1


@final
class TurnedAway(AttemptBase):
    """An INVITE or MESSAGE that the node does not take now."""

    __slots__ = ("_timer",)

    def __init__(
        self,
        context: CoreContext,
        transaction: ServerTransaction,
        peer: PeerSettings,
        kind: str,
        now: float,
        numbers: tuple[Dialled, Dialled] | None,
    ) -> None:
        """`numbers` as in `begun`. Raises RemoteSipError when the caller cannot be read."""
        known = begun(context, transaction.request, peer, kind, now, numbers)
        super().__init__(context, transaction, peer, context.tokens.tag(), known)
        transaction.owner = self
        context.intake.limits.ended(self.record.record_id)
        if kind == "message":
            self.record.parts = 1
            self.record.octets = len(self.request.body)
        self._timer: Timer | None = None

    @property
    def state_name(self) -> str:
        """Whether it has been told, in words."""
        return "Ended" if self._timer is None else "Refusing"

    def refused(self, refusal: Refusal, now: float) -> None:
        """Records the end; the answer waits for it, STORE_WAIT_S at the longest."""
        self.refusal = refusal
        self.record.release_time = self.context.wall(now)
        self.write_end(refusal, "platform")
        self.commit(CLOSE)
        wait = (_TRYING_S, _TRYING) if self.record.kind == "voice" else (STORE_WAIT_S, _STORE)
        self._timer = self.context.wheel.set(now, wait[0], self, wait[1])

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """The end is recorded, or the store takes it later."""
        if self._timer is None or self.refusal is None:
            return  # it was given up
        self._timer.cancel()
        self._timer = None
        if durable:
            self.send_refusal(self.refusal, now)
        else:
            self.send_unrecorded(self.refusal, now)
        self.context.leave(self.record.record_id)

    def timer_fired(self, code: int, now: float) -> None:
        """The store has said nothing yet, or says nothing at all."""
        if code == _STORE:
            self.committed(CLOSE, False, now)
            return
        self.context.respond(self.transaction, 100, self.transaction.head.build(100), now)
        self._timer = self.context.wheel.set(now, STORE_WAIT_S - _TRYING_S, self, _STORE)
