"""A 2xx to an INVITE of ours that nobody waits for any more: it is acknowledged, and the dialog that it made is ended.

Whoever sent the INVITE is gone: an earlier run of the node, or a call that is forgotten. The From tag says that it was
ours, since only this node can make it of the Call-ID (`try_ids`); where the other end is, it says itself (RFC 3261
§13.2.2.4). A 2xx whose From tag is not ours is nobody's, and gets nothing.

Whoever has had an INVITE of ours once can make such answers at any time, and each makes the node send up to twelve
datagrams. They go to the trunk that the answer came from and to no third host, and one INVITE has no more answers than
a living one may have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core.adoption import SKIPPED
from engine.core.callee_try import MAX_FORKS, end_unwanted
from engine.core.disclosure import Party
from engine.core.pair import CALLEE, PairSide
from engine.core.session_bodies import OriginRewriter
from engine.core.try_ids import TryIds
from sipstack import headers as h
from sipstack.dialog import Dialog
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.timers import TimerOwner

if TYPE_CHECKING:
    from engine.core.context import CoreContext

# Dialogs ended so within 64*T1; a 2xx beyond that is left alone, and its sender gives up by itself (§13.3.1.4).
_MOST: Final = 4096


@final
class StrayAnswers(TimerOwner):
    """What has been ended, so that a copy of a 2xx gets its ACK again and no second BYE."""

    __slots__ = ("_acks", "_codes", "_context", "_next")

    def __init__(self, context: CoreContext) -> None:
        self._context = context
        self._acks: dict[str, dict[str, tuple[bytes, Flow]]] = {}  # by Call-ID, then To tag
        self._codes: dict[int, tuple[str, str]] = {}  # Call-ID and To tag by the code of the timer that forgets them
        self._next = 0

    def end(self, response: Message, flow: Flow, now: float) -> None:
        """Acknowledges and ends it, if it is ours; else it is counted."""
        context = self._context
        ids = TryIds(context.run.key, response.call_id)
        peer = context.routing.peer_of(flow.host, flow.port)
        if (response.from_tag, response.cseq) != (ids.tag, ids.cseq) or peer is None:
            context.count("stray_successes")
            return
        acks = self._acks.get(response.call_id, {})
        if response.to_tag in acks:
            context.send(*acks[response.to_tag])
            return
        try:
            dialog = Dialog.as_client(response.value(h.FROM) or "", ids.tag, response)
        except RemoteSipError:  # it says nothing of where it is
            context.count("stray_successes")
            return
        if len(acks) >= MAX_FORKS or len(self._codes) >= _MOST:
            context.count("stray_successes")
            return
        context.count("stray_successes_ended")
        dialog.local_seq += SKIPPED  # the other run may have sent PRACKs and UPDATEs (§12.2.1.1)
        side = PairSide(dialog, Party(CALLEE, peer, "", ""), flow, OriginRewriter(0, context.advertised_host))
        there = side.next_flow()
        if context.routing.peer_of(there.host, there.port) is not peer:
            side.stay_at(flow)
        self._remember((response.call_id, response.to_tag), end_unwanted(context, side, ids.cseq, now), now)

    def _remember(self, key: tuple[str, str], acknowledgement: tuple[bytes, Flow], now: float) -> None:
        call_id, tag = key
        self._acks.setdefault(call_id, {})[tag] = acknowledgement
        self._codes[self._next] = key
        self._context.wheel.set(now, self._context.transactions.timing.transaction_s, self, self._next)
        self._next += 1

    def timer_fired(self, code: int, now: float) -> None:
        """No copy of it can come any more."""
        call_id, tag = self._codes.pop(code)
        acks = self._acks[call_id]
        del acks[tag]
        if not acks:
            del self._acks[call_id]
