"""INVITEs that an earlier run may have sent for calls that it has not finished: taken back (RFC 3261 §9.1).

Nothing of them is stored but where the first has gone. What a CANCEL must repeat is made again of the record
(`try_ids`, `targets`) and of the configuration; an INVITE that never left, or that left another way, is unknown to its
target, which answers 481. Whoever had answered before is acknowledged and ended like any other answer that nobody waits
for.

In transit From and To were the caller's own words, of which only the numbers are stored. The CANCEL of such an INVITE
says as little as can be, anonymous in From: what it belongs to says its branch (§9.2, §17.2.3).
"""

from __future__ import annotations

from typing import final

from engine.core.adoption import note_fault
from engine.core.attempt import RequestOwner
from engine.core.binding import TRANSIT
from engine.core.context import CoreContext
from engine.core.crossing import INVITE
from engine.core.disclosure import Party, RequestDraft, build
from engine.core.identity import presented_uri, request_uri_for, to_value_for
from engine.core.login import second_branch
from engine.core.pair import CALLEE
from engine.core.records import Attempt, CallRecord
from engine.core.routing import Hop
from engine.core.stray_answers import StrayAnswers
from engine.core.transit import ANONYMOUS
from engine.core.try_ids import TryIds, ids_of_try
from sipstack.client_transaction import ClientTransaction
from sipstack.dialog import Dialog, DialogId
from sipstack.events import Flow
from sipstack.message import Message


def take_back_tries(context: CoreContext, strays: StrayAnswers, record: CallRecord, now: float) -> None:
    """Takes back every INVITE that the call of this record may have sent: from the last try that its open row knows.

    One that cannot be made again is left to its target: its callee hears it until somebody there gives up.
    """
    first = len(record.attempts) - 1
    for hop in _hops(context, record):
        for is_again in (False, True) if hop.peer.username else (False,):
            try:
                LostTry(context, strays, record, first, hop, is_again).take_back(now)
            except Exception as fault:
                note_fault(context, fault)


def _hops(context: CoreContext, record: CallRecord) -> list[Hop]:
    """Where its INVITEs may have gone: where the DNS leads now, and where the open row says that the first has gone."""
    hops = context.routing.hops(record.callee, record.record_id, record.mode == TRANSIT)
    tried = record.attempts[-1] if record.attempts else None
    if tried is not None and not any(_is_at(tried, hop) for hop in hops):
        gone = context.routing.hop_at(tried.peer, tried.target, tried.address)
        if gone is not None and gone.target not in gone.peer.targets:
            return [gone]  # a Route has led there, and to no place of ours (`engine.core.isc`)
        return hops if gone is None else [gone, *hops]
    return hops


def _is_at(tried: Attempt, hop: Hop) -> bool:
    return (tried.peer, tried.target, tried.address) == (hop.peer.name, hop.target.uri, hop.address)


def _ids(key: bytes, record: CallRecord, first: int, hop: Hop) -> TryIds:
    """Of the try that the open row knows they follow from the Call-ID beside it, of those behind it from the record."""
    if record.callee_call_id and _is_at(record.attempts[-1], hop):
        return TryIds(key, record.callee_call_id)
    return ids_of_try(key, record.record_id, first, hop.name)


@final
class LostTry(RequestOwner):
    """One of them, until it has been answered, or has had 64*T1 for that."""

    __slots__ = ("_context", "_strays", "_transaction")

    def __init__(
        self, context: CoreContext, strays: StrayAnswers, record: CallRecord, first: int, hop: Hop, is_again: bool
    ) -> None:
        """`is_again`: as it would have been sent with a password."""
        ids = _ids(context.run.key, record, first, hop)
        branch, cseq = (second_branch(ids.branch), ids.cseq + 1) if is_again else (ids.branch, ids.cseq)
        identity = ANONYMOUS
        if record.mode != TRANSIT:
            identity = presented_uri(record.presented_number, hop.peer, context.settings.domain)
        remote = to_value_for(record.callee, hop)
        dialog = Dialog(DialogId(ids.call_id, ids.tag, ""), f"{identity};tag={ids.tag}", remote, cseq, -1)
        dialog.remote_target = request_uri_for(record.callee, hop)
        party = Party(CALLEE, hop.peer, record.caller, context.contact(hop.flow, record.presented_number))
        draft = RequestDraft(context, party, dialog, hop.flow, ("INVITE", cseq), None, branch)
        draft.identity = identity
        self._context = context
        self._strays = strays
        self._transaction = ClientTransaction("INVITE", branch, build(INVITE, draft), hop.flow, self)

    def take_back(self, now: float) -> None:
        """Sends the CANCEL, and listens for what the INVITE is answered."""
        context = self._context
        context.transactions.resume(self._transaction)
        context.cancel(self._transaction, now)
        context.wheel.set(now, context.transactions.timing.transaction_s, self, 0)

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """A 2xx that crossed the CANCEL, or came before the restart; a failure has had its ACK."""
        if 200 <= response.status < 300:
            self._strays.end(response, flow, now)

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """It never was."""

    def timer_fired(self, code: int, now: float) -> None:
        """§9.1: the INVITE counts as cancelled."""
        if self._transaction.awaits_final:
            self._context.transactions.drop(self._transaction)
