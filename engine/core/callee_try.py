"""One try at one target: its own Call-ID, tag and branch, and every dialog that answers to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core import transit
from engine.core.attempt import TIMED_OUT_STATUS, UNSENT_STATUS, Login, RequestOwner
from engine.core.binding import Binding
from engine.core.bodies import crossing_sdp
from engine.core.call_table import FIRST_RESPONSE_TIMER
from engine.core.context import CoreContext
from engine.core.crossing import INVITE, REQUESTS
from engine.core.disclosure import Party, RequestDraft, build
from engine.core.health import UP
from engine.core.identity import request_uri_for
from engine.core.login import bye_owner, with_credentials
from engine.core.pair import CALLEE, DialogPair, PairSide
from engine.core.records import rounded_ms
from engine.core.routing import Hop
from engine.core.session_bodies import OriginRewriter
from engine.core.transit import called_party, sender
from engine.core.try_ids import TryIds, ack_branch, ids_of_try
from engine.core.wire_forms import wire_forms
from sipstack import headers as h
from sipstack.client_transaction import CALLING, TERMINATED, ClientTransaction
from sipstack.dialog import Dialog, DialogId
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.sdp import CONTENT_TYPE

if TYPE_CHECKING:
    from engine.core.call import Call

# Tags that may answer one INVITE. No trunk forks to so many phones, and every tag costs memory.
MAX_FORKS: Final = 32


@final
class CalleeTry(RequestOwner):
    """An INVITE to a target. It is built at once, so that a leak shows before anything is recorded or sent."""

    __slots__ = (
        "_cancel_rows",
        "call",
        "call_id",
        "cancel_wanted",
        "credentials",
        "cseq",
        "hop",
        "is_over",
        "local",
        "local_tag",
        "offer",
        "origin",
        "pairs",
        "party",
        "record",
        "request_uri",
        "sent_at",
        "transaction",
    )

    def __init__(self, call: Call, hop: Hop, binding: Binding) -> None:
        """Raises LeakStopped, and RemoteSipError for a body that cannot be looked into."""
        context = call.context
        ids = self._ids(call, hop)
        self._cancel_rows: list[str] | None = None
        self.call = call
        self.hop = hop
        self.cseq = ids.cseq
        self.call_id = ids.call_id
        self.local_tag = ids.tag
        identity = sender(binding, call.request, call.facts, hop.peer, context.settings.domain)
        self.local = f"{identity};tag={self.local_tag}"
        contact = context.contact(hop.flow, binding.presented, hop.target.is_secure)
        self.party = Party(CALLEE, hop.peer, binding.caller, contact, call.left_callees)
        if context.has_rules:
            self.party.hide_too(wire_forms(binding.caller, call.peer, hop.peer, call.facts.caller.wire))
            call.party.hide_too(wire_forms("" if call.is_transit else binding.callee, hop.peer, call.peer))
        self.party.may_transfer = call.party.may_transfer = call.peer.allow_transfer and hop.peer.allow_transfer
        self.origin = OriginRewriter(context.tokens.session_id(), context.address(hop.flow))
        self.request_uri = request_uri_for(binding.callee, hop)
        self.pairs: dict[str, DialogPair] = {}
        self.credentials = ""  # the row that its ACK repeats, where it was asked for a password
        self.cancel_wanted = False
        self.is_over = False  # no final answer of this try decides anything any more
        self.sent_at = 0.0
        draft = self._draft(binding, identity, ids)
        rows = transit.INVITE if call.is_transit else INVITE
        self.offer = draft.body  # what every early dialog of it has been sent
        self.transaction = ClientTransaction("INVITE", draft.branch, build(rows, draft), draft.flow, self)
        self.record = call.new_try(hop, ids.call_id)

    @staticmethod
    def _ids(call: Call, hop: Hop) -> TryIds:
        """Of the first try at a callee by a Call-ID of its own: it stands in the open row before anything leaves."""
        key, first = call.context.run.key, call.first_try
        if len(call.record.attempts) == first:
            return TryIds(key, call.context.tokens.call_id())
        return ids_of_try(key, call.record.record_id, first, hop.name)

    def _draft(self, binding: Binding, identity: str, ids: TryIds) -> RequestDraft:
        remote = called_party(binding, self.call.request, self.call.facts, self.hop)
        dialog = Dialog((ids.call_id, ids.tag, ""), self.local, remote, self.cseq, -1)
        dialog.remote_target = self.request_uri
        request = self.call.request
        draft = RequestDraft(
            self.call.context, self.party, dialog, self.hop.flow, ("INVITE", ids.cseq), request, ids.branch
        )
        draft.identity = identity
        self.call.introduce(draft, self.hop.peer)
        draft.body, draft.content_type = crossing_sdp(request, self.origin), CONTENT_TYPE
        return draft

    def start(self, now: float) -> None:
        """Sends the INVITE."""
        self.sent_at = now
        self.call.context.start(self.transaction, now)

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """Provisionals, the final, and every 2xx (RFC 3261 §13.2.2)."""
        health = self.hop.health
        health.heard_at = now
        if health.state != UP or response.status == 503:
            health.heard(self.sent_at, response, self.call.record.callee, now)
        if self.hop.peer.overload_control:
            self.call.context.intake.throttles.heed(self.hop.health.address, response, now)
        if response.status < 200:
            if self.cancel_wanted:
                self._send_cancel(now)
            elif not self.is_over:
                self.call.provisional_received(self, response, now)
        elif response.status < 300:
            self.call.success_received(self, response, now)
        elif not self.is_over:
            self.ended(response.status, now)
            self.call.failure_received(self, response, now)

    @property
    def may_start_again(self) -> bool:
        """Nobody has given it up yet."""
        return not (self.is_over or self.cancel_wanted)

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """Timer B: the next target (contract §5)."""
        self.hop.health.silent(self.sent_at, now)
        self._lost(TIMED_OUT_STATUS, now)

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport could not send: the next target at once (RFC 3261 §8.1.3.1)."""
        self.hop.health.unreachable(self.sent_at, now)
        self._lost(UNSENT_STATUS, now)

    def login(self, transaction: ClientTransaction) -> Login | None:
        """The trunk may ask before anybody has rung: early dialogs would be those of another INVITE."""
        return None if self.is_over or self.pairs else (self.hop.peer, None)

    def sent_again(self, transaction: ClientTransaction, seq: int, credentials: str, now: float) -> None:
        """The try goes on, and its target has as long as at first to say something."""
        self.cseq, self.credentials = seq, credentials
        self.hop.health.answered(self.sent_at, now)
        self.call.set(FIRST_RESPONSE_TIMER, self.call.policy.first_response_ms / 1000, now)

    def _lost(self, status: int, now: float) -> None:
        if not self.is_over:
            self.ended(status, now)
            self.call.try_lost(self, now)

    def ended(self, status: int, now: float) -> None:
        """Writes how this try ended; nothing that comes later changes it."""
        self.is_over = True
        self.record.status = status
        self.record.ms = rounded_ms(now - self.sent_at)

    def cancel(self, now: float, rows: list[str] | None = None) -> None:
        """Takes the INVITE back: at once when a provisional has come, else as soon as one comes (§9.1). `rows`: why."""
        self._cancel_rows = rows
        if self.transaction.state == CALLING:
            self.cancel_wanted = True
        else:
            self._send_cancel(now)

    def _send_cancel(self, now: float) -> None:
        self.cancel_wanted = False
        self.call.context.cancel(self.transaction, now, self._cancel_rows)

    def may_fork(self, response: Message) -> bool:
        """False for a tag that is one too many (an early dialog for each of a thousand is an attack)."""
        return response.to_tag in self.pairs or len(self.pairs) < MAX_FORKS

    def pair_for(self, response: Message) -> DialogPair:
        """The dialogs of the tag that answers; made when it answers for the first time (§12.1, contract: forks)."""
        pair = self.pairs.get(response.to_tag)
        if pair is None:
            pair = self._new_pair(response)
            self.pairs[response.to_tag] = pair
            pair.register(self.call.context, self.call)
        elif response.status >= 200:
            self._refresh(pair.callee.dialog, response)
        return pair

    def _new_pair(self, response: Message) -> DialogPair:
        call = self.call
        tokens = call.context.tokens
        callee = self._side(self._callee_dialog(response), self.origin.in_early_dialog())
        callee.description = self.offer
        dialog = call.caller_dialog()
        origin = self.origin.opposite(tokens.session_id(), call.context.address(call.transaction.source))
        came = call.transaction
        flow = came.source if came.source.transport == "UDP" else came.flow
        caller = PairSide(dialog, call.party, flow, origin, call.context.listeners)
        caller.seqs[call.cseq] = self.cseq
        return DialogPair(caller, callee)

    def _callee_dialog(self, response: Message) -> Dialog:
        dialog = Dialog.as_client(self.local, self.local_tag, response, self.request_uri)
        dialog.local_seq = self.cseq
        return dialog

    def _refresh(self, dialog: Dialog, response: Message) -> None:
        """A later answer of the same dialog says where it is now; one without a usable Contact says nothing."""
        try:
            dialog.confirm(response)
        except RemoteSipError:
            self.call.context.count("contact_unusable")

    def release(self, response: Message, now: float) -> None:
        """Acknowledges a 2xx that nobody wants and ends its dialog (§13.2.2.4, §9.1); a copy is acknowledged again."""
        context = self.call.context
        known = context.released.ack_of(self.call_id, response.to_tag)
        if known is not None:
            context.send(*known)
        elif context.released.forks(self.call_id) < MAX_FORKS:
            acknowledgement = end_unwanted(context, self._unwanted_side(response), self.cseq, now)
            context.released.remember(self.call_id, response.to_tag, acknowledgement, now)

    def _unwanted_side(self, response: Message) -> PairSide:
        """The dialog of a 2xx that is to be ended: the early one where there is one, whose numbers have gone on.

        A 2xx whose route set or Contact cannot be used is ended where the INVITE was sent to.
        """
        pair = self.pairs.get(response.to_tag)
        if pair is not None:
            self._refresh(pair.callee.dialog, response)
            return pair.callee
        try:
            dialog = self._callee_dialog(response)
        except RemoteSipError:
            identity = DialogId(response.call_id, self.local_tag, response.to_tag)
            dialog = Dialog(identity, self.local, response.value(h.TO) or "", self.cseq, -1)
            dialog.remote_target = self.request_uri
        return self._side(dialog, self.origin)

    def _side(self, dialog: Dialog, origin: OriginRewriter) -> PairSide:
        side = PairSide(dialog, self.party, self.hop.flow, origin, self.call.context.listeners)
        side.credentials = self.credentials
        return side

    def drop(self) -> None:
        """Forgets the INVITE: the target has had 64*T1 since its CANCEL (§9.1)."""
        if self.transaction.state != TERMINATED:
            self.call.context.transactions.drop(self.transaction)


def end_unwanted(context: CoreContext, side: PairSide, cseq: int, now: float) -> tuple[bytes, Flow]:
    """Acknowledges the 2xx that made this dialog and ends it; the ACK, for copies of the 2xx, and where it goes."""
    flow = side.next_flow()
    acknowledgement = (ack(context, side, cseq), flow)
    context.send(*acknowledgement)
    draft = RequestDraft(context, side.party, side.dialog, flow, ("BYE", side.dialog.next_seq()))
    data = build(REQUESTS[CALLEE]["BYE"], draft)
    context.start(ClientTransaction("BYE", draft.branch, data, flow, bye_owner(side, None)), now)
    return acknowledgement


def ack(context: CoreContext, side: PairSide, cseq: int, body: bytes = b"") -> bytes:
    """The ACK of a 2xx on this side (§13.2.2.4). Raises LeakStopped for a body that shows a number."""
    dialog = side.dialog
    branch = ack_branch(dialog.local_tag, dialog.remote_tag, cseq)
    draft = RequestDraft(context, side.party, dialog, side.next_flow(), ("ACK", cseq), None, branch)
    draft.body, draft.content_type = body, CONTENT_TYPE
    data = build(REQUESTS[side.party.side]["ACK"], draft)
    return with_credentials(data, side.credentials) if side.credentials else data
