"""A MESSAGE of ours to one target: built at once, so that a leak shows before anything is recorded or sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core import transit
from engine.core.attempt import Login, RequestOwner
from engine.core.binding import Binding
from engine.core.crossing import MESSAGE
from engine.core.disclosure import Party, RequestDraft, build
from engine.core.pair import CALLEE
from engine.core.records import Attempt, rounded_ms
from engine.core.routing import Hop
from engine.core.settings import MessageText
from engine.core.transit import sender
from engine.core.wire_forms import wire_forms
from sipstack.client_transaction import ClientTransaction
from sipstack.dialog import Dialog
from sipstack.events import Flow
from sipstack.message import Message

if TYPE_CHECKING:
    from engine.core.message_attempt import MessageAttempt

_RELAY: Final = MessageText.RELAY


@final
class MessageTry(RequestOwner):
    """A MESSAGE to one target."""

    __slots__ = ("attempt", "health", "peer", "record", "sent_at", "transaction")

    def __init__(self, attempt: MessageAttempt, hop: Hop, binding: Binding, outgoing: tuple[str, str]) -> None:
        """Builds it; `outgoing` are Request-URI and value of To. Raises LeakStopped and RemoteSipError."""
        context = attempt.context
        tokens = context.tokens
        call_id, tag, seq = tokens.call_id(), tokens.tag(), tokens.first_cseq()
        identity = sender(binding, attempt.request, attempt.facts, hop.peer, context.settings.domain)
        uri, to = outgoing
        dialog = Dialog((call_id, tag, ""), f"{identity};tag={tag}", to, seq, -1)
        dialog.remote_target = uri
        party = Party(CALLEE, hop.peer, binding.caller, "", attempt.left_callees)
        if context.has_rules:
            party.hide_too(wire_forms(binding.caller, attempt.peer, hop.peer, attempt.facts.caller.wire))
        draft = RequestDraft(context, party, dialog, hop.flow, ("MESSAGE", seq), attempt.request)
        draft.identity = identity
        attempt.introduce(draft, hop.peer)
        rows = transit.MESSAGE if attempt.is_transit else MESSAGE
        if attempt.policy.message_text is _RELAY:
            build(rows, draft)  # what the sender writes of himself may cross, not what a row says
            draft.party = Party(CALLEE, hop.peer, "", "")
        draft.body, draft.content_type = attempt.body, attempt.content_type
        self.attempt = attempt
        self.peer = hop.peer
        self.health = hop.health
        self.sent_at = 0.0
        self.transaction = ClientTransaction("MESSAGE", draft.branch, build(rows, draft), hop.flow, self)
        self.record: Attempt = attempt.new_try(hop, call_id)

    def start(self, now: float) -> None:
        """Sends it."""
        self.sent_at = now
        self.attempt.context.start(self.transaction, now)

    def ended(self, status: int, now: float) -> None:
        """Writes how this try ended; 0 when no answer came."""
        self.record.status = status
        self.record.ms = rounded_ms(now - self.sent_at)

    def take_back(self, now: float) -> None:
        """Stops sending what its sender is about to be told has not arrived."""
        if (now - self.sent_at) * 1000 >= self.attempt.policy.first_response_ms:
            self.health.silent(self.sent_at, now)
        self.ended(0, now)
        self.attempt.context.transactions.drop(self.transaction)

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """Only the final answer counts."""
        self.health.heard(self.sent_at, response, self.attempt.record.callee, now)
        if self.peer.overload_control:
            self.attempt.context.intake.throttles.heed(self.health.address, response, now)
        if response.is_final:
            self.attempt.answered(self, response, now)

    def login(self, transaction: ClientTransaction) -> Login | None:
        """The trunk that it goes to."""
        return self.peer, None

    def sent_again(self, transaction: ClientTransaction, seq: int, credentials: str, now: float) -> None:
        """Who asks is there."""
        self.health.answered(self.sent_at, now)

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport could not send: it has not arrived."""
        self.health.unreachable(self.sent_at, now)
        self.attempt.lost(self, now)

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """Timer F."""
        self.health.silent(self.sent_at, now)
        self.attempt.silent(self, now)
