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
from engine.core.settings import PeerSettings
from engine.core.try_ids import TryIds
from sipstack import headers as h
from sipstack.dialog import Dialog
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message

if TYPE_CHECKING:
    from engine.core.context import CoreContext

# Dialogs ended so within 64*T1; a 2xx beyond that is left alone, and its sender gives up by itself (§13.3.1.4).
_MOST: Final = 4096


@final
class StrayAnswers:
    """Ends what such a 2xx has made."""

    __slots__ = ("_context",)

    def __init__(self, context: CoreContext) -> None:
        self._context = context

    def end(self, response: Message, flow: Flow, now: float) -> None:
        """Acknowledges and ends it, if it is ours; else it is counted."""
        context = self._context
        ids = TryIds(context.run.key, response.call_id)
        peer = context.routing.peer_of(flow)
        if peer is None or response.from_tag != ids.tag or not _is_of_try(response.cseq, ids.cseq, peer):
            context.count("stray_successes")
            return
        released = context.released
        known = released.ack_of(response.call_id, response.to_tag)
        if known is not None:
            context.send(*known)
            return
        try:
            dialog = Dialog.as_client(response.value(h.FROM) or "", ids.tag, response)
        except RemoteSipError:  # it says nothing of where it is
            context.count("stray_successes")
            return
        if released.forks(response.call_id) >= MAX_FORKS or len(released) >= _MOST:
            context.count("stray_successes")
            return
        context.count("stray_successes_ended")
        dialog.local_seq += SKIPPED  # the other run may have sent PRACKs and UPDATEs (§12.2.1.1)
        origin = OriginRewriter(0, context.address(flow))
        side = PairSide(dialog, Party(CALLEE, peer, "", ""), flow, origin, context.listeners)
        there = side.next_flow()
        if context.routing.peer_of(there) is not peer:
            side.stay_at(flow)
        acknowledgement = end_unwanted(context, side, response.cseq, now)
        released.remember(response.call_id, response.to_tag, acknowledgement, now)


def _is_of_try(cseq: int, first: int, peer: PeerSettings) -> bool:
    """True for the number of an INVITE, or of the one that was sent again with a password (`engine.core.login`)."""
    return cseq == first or (peer.username != "" and cseq == first + 1)
