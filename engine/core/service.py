"""The transaction user: every message and every answer of the shell comes in here and finds its call.

Verbs return what is to be done: SendMessage, LookUpBinding, CommitRecord. `now` is monotonic seconds throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from engine.core.admission import objection, relay
from engine.core.asking import AskHook, HookAnswer
from engine.core.attempt import AttemptBase, RequestOwner, is_promise_broken
from engine.core.attempt_record import begun
from engine.core.authentication import Authentication
from engine.core.binding import Binding, Miss
from engine.core.call import Call
from engine.core.capabilities import ACCEPT, ALLOW, ALLOW_WITH_TRANSFER, SUPPORTED
from engine.core.context import ONLY_RUN, CoreContext, Run
from engine.core.intake import LATER_S
from engine.core.kept import kept
from engine.core.killing import release_calls
from engine.core.last_run import LastRun
from engine.core.login import CHALLENGES, answers_challenge
from engine.core.message_attempt import MessageAttempt
from engine.core.oc import MARK, heeds
from engine.core.outputs import InProgress, LookUpBinding
from engine.core.pair import CALLER, DialogEnd
from engine.core.records import Step
from engine.core.relay import RELAYED, Relay, refuse
from engine.core.settings import DIGEST, CoreSettings, PeerSettings
from engine.core.sms import is_short_message
from engine.core.sms_attempt import sms_attempt
from engine.core.sms_report import AWAITING, PendingReport
from engine.core.strangers import is_keep_alive, is_worthless
from engine.core.stray_answers import StrayAnswers
from engine.core.tokens import TokenSource
from engine.core.transfer import TRANSFER, may_transfer
from engine.core.trunks import Trunks
from engine.core.turned_away import TurnedAway
from sipstack.client_transaction import COMPLETED
from sipstack.dialog import Dialog
from sipstack.errors import RemoteSipError
from sipstack.events import (
    AckReceived,
    CancelReceived,
    Core,
    Disconnect,
    Flow,
    MalformedReceived,
    Output,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
    SendMessage,
    StraySuccessReceived,
)
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction
from sipstack.transactions import Transactions, answer_malformed
from sipstack.uri import OtherUri


@final
class CallService(Core):
    """All calls and messages of one node."""

    __slots__ = ("_authentication", "_context", "_load", "_strays", "intake", "last_run", "trunks")

    def __init__(
        self, settings: CoreSettings, transactions: Transactions, tokens: TokenSource, run: Run = ONLY_RUN
    ) -> None:
        self._context = CoreContext(settings, transactions, tokens, run)
        self._strays = StrayAnswers(self._context)
        self._authentication = Authentication(self._context)
        self.intake: Final = self._context.intake
        self._load = self.intake.load
        self.last_run = LastRun(self._context, self._strays)
        self.trunks: Final = Trunks(self._context)

    # -- verbs -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """Bytes of one message."""
        may_answer = data.startswith(b"SIP/2.0 ") or self._context.routing.peer_of(flow) is not None
        if not may_answer and is_worthless(data):
            self.intake.strangers += 1
            if not is_keep_alive(data):
                self._turn_away(flow)
            return self._context.take()
        if self._load.share and flow.transport == "UDP" and self._context.transactions.is_repeat(data, now):
            self._dispatch_all(self._context.transactions.take(), now)
            return self._context.take()
        self._dispatch_all(self._context.transactions.receive(data, flow, now, may_answer), now)
        return self._context.take()

    def transport_failed(self, flow: Flow, now: float, data: bytes) -> list[Output]:
        """The shell could not send `data`, or what begins so, to `flow`."""
        self._dispatch_all(self._context.transactions.transport_failed(flow, data), now)
        return self._context.take()

    def connection_lost(self, flow: Flow, now: float) -> list[Output]:
        """The connection that `flow` names has gone, and what was sent by it may have arrived or not."""
        self._dispatch_all(self._context.transactions.connection_lost(flow), now)
        return self._context.take()

    def handle_timer(self, now: float) -> list[Output]:
        """Fires what is due."""
        self._dispatch_all(self._context.transactions.handle_timer(now), now)
        self._context.wheel.fire(now)
        return self._context.take()

    def next_deadline(self) -> float | None:
        """When `handle_timer` is wanted next."""
        ours, theirs = self._context.wheel, self._context.transactions.wheel
        if not ours.order:
            return theirs.next_deadline()
        due = ours.order[0] * ours.tick_s
        if not theirs.order:
            return due
        other = theirs.order[0] * theirs.tick_s
        return other if other < due else due

    def binding_looked_up(self, query: LookUpBinding, found: Binding | Miss | None, now: float) -> list[Output]:
        """The store's answer to LookUpBinding; None when it could not answer."""
        query.attempt.looked_up(found, now)
        return self._context.take()

    def hook_answered(self, asked: AskHook, answer: HookAnswer | None, now: float) -> list[Output]:
        """The answer to AskHook; None when the app platform could not be asked, or says nothing that can be read."""
        asked.attempt.hook_answered(asked, answer, now)
        return self._context.take()

    def release(self, kind: str, entity: str, now: float) -> tuple[int, list[Output]]:
        """Ends the calls in progress that a restriction is about (`engine.core.killing`), and how many these are."""
        return release_calls(self._context, kind, entity, now), self._context.take()

    def record_committed(self, attempt: InProgress, step: Step, durable: bool, now: float) -> list[Output]:
        """The writer's answer to CommitRecord."""
        attempt.committed(step, durable, now)
        return self._context.take()

    # -- what the shell may know and say ---------------------------------------------------------------------------

    def set_wall_clock(self, offset_s: float) -> None:
        """What must be added to monotonic seconds to have seconds since the epoch."""
        self._context.wall_offset_s = offset_s

    @property
    def attempts(self) -> Sequence[InProgress]:
        """Calls and messages in progress, and short messages whose report is awaited."""
        return list(self._context.attempts.values())

    @property
    def in_progress(self) -> int:
        """How many those are."""
        return len(self._context.attempts)

    @property
    def unfinished(self) -> int:
        """How many of them must end before the node stops; a report that is awaited is awaited after a start, too."""
        attempts = self._context.attempts.values()
        return sum(1 for one in attempts if not (isinstance(one, PendingReport) and one.state == AWAITING))

    @property
    def kept(self) -> dict[str, int]:
        """How much is in memory, by name."""
        return kept(self._context)

    def wall(self, now: float) -> float:
        """Seconds since the epoch at the monotonic time `now`."""
        return self._context.wall(now)

    @property
    def counters(self) -> dict[str, int]:
        """Counts since the start, by name."""
        return {**self._context.transactions.counters, **self._context.counters}

    # -- events of the transactions --------------------------------------------------------------------------------

    def _dispatch_all(self, events: list[Output], now: float) -> None:
        """A fault of ours in one event must not cost another call its own: it is raised when all have been heard."""
        fault: Exception | None = None
        for event in events:
            try:
                self._dispatch(event, now)
            except Exception as error:
                fault = error
        if fault is not None:
            raise fault

    def _dispatch(self, event: Output, now: float) -> None:
        if type(event) is ResponseReceived:
            status = event.response.status
            if status >= 400 and status in CHALLENGES and answers_challenge(self._context, event, now):
                return
            transaction = event.transaction
            owner = transaction.owner
            if isinstance(owner, RequestOwner):
                owner.responded(transaction, event.response, event.flow, now)
                if transaction.state == COMPLETED and transaction.method != "INVITE":
                    transaction.owner = None  # nothing more comes from it
        elif type(event) is SendMessage:
            self._context.out.append(event)
        elif type(event) is RequestReceived:
            self._request(event.transaction, event.request, event.flow, now)
        elif type(event) is AckReceived:
            self._ack(event.request, event.flow, now)
        elif isinstance(event, CancelReceived):
            self._cancel(event, now)
        else:
            self._dispatch_rare(event, now)

    def _dispatch_rare(self, event: Output, now: float) -> None:
        if isinstance(event, RequestTimedOut):
            if isinstance(event.transaction.owner, RequestOwner):
                event.transaction.owner.unanswered(event.transaction, now)
            event.transaction.owner = None
        elif isinstance(event, RequestFailed):
            if isinstance(event.transaction.owner, RequestOwner):
                if event.transaction.owner.may_start_again and self._context.start_otherwise(event.transaction, now):
                    return
                event.transaction.owner.failed(event.transaction, now)
            event.transaction.owner = None
        elif isinstance(event, MalformedReceived):
            if self._context.routing.peer_of(event.flow) is not None:
                self._context.out += answer_malformed(event)
            else:
                self._turn_away(event.flow)
        elif isinstance(event, StraySuccessReceived):
            self._stray_success(event.response, event.flow, now)

    def _turn_away(self, flow: Flow, transaction: ServerTransaction | None = None) -> None:
        """From an unknown source: nothing is answered, and its connection is closed (contract §4)."""
        self._context.count("unknown_source")
        if transaction is not None:
            self._context.transactions.abandon(transaction)
        if flow.transport != "UDP":
            self._context.out.append(Disconnect(flow))

    def _stray_success(self, response: Message, flow: Flow, now: float) -> None:
        """A 2xx that no transaction of this run waits for."""
        key = f"{response.from_tag} {response.to_tag}"
        end = self._end_of(key, response.call_id, flow)
        if end is not None:
            end.call.success_again(end, response)
        elif key in self._context.dialogs:
            self._context.count("stray_successes")  # from where no message of this dialog may come
        else:
            self._strays.end(response, flow, now)

    # -- requests --------------------------------------------------------------------------------------------------

    def _request(self, transaction: ServerTransaction, request: Message, flow: Flow, now: float) -> None:
        via = request.top_via
        if via is not None and MARK in via.params and heeds(request):
            transaction.head.tell_load(request, flow, self.intake.teller.params(self._context.wall(now), now))
        try:
            if request.to_tag and request.method != "MESSAGE":
                self._in_dialog(transaction, request, flow, now)
                return
            peer = self._context.routing.peer_of(flow)
            if peer is None:
                self._turn_away(flow, transaction)
            elif not self._answered_by_rule(transaction, request, peer, now):
                self._attempt(transaction, request, peer, now)
        except RemoteSipError as error:  # a field that the parser leaves to us
            self._answer(transaction, error.status_hint, now)

    def _answered_by_rule(
        self, transaction: ServerTransaction, request: Message, peer: PeerSettings, now: float
    ) -> bool:
        """Answers of RFC 3261 §8.2 that need no decision of ours; they are counted, not recorded (contract §5)."""
        method = request.method
        if method not in ("INVITE", "MESSAGE", "OPTIONS"):
            if method in ("CANCEL", "BYE", "PRACK", "UPDATE", "INFO"):
                self._answer(transaction, 481, now)  # no transaction, no dialog
            else:
                self._answer(transaction, 405, now, ALLOW)
        elif (  # nearly every URI is sip: or tel:
            request.uri is None
            or isinstance(request.uri, OtherUri)
            or (request.uri_text[3:4] != ":" and is_promise_broken(request, transaction))
        ):
            self._answer(transaction, 416, now)
        elif found := objection(request, self._context.settings.policy.min_se_s):
            self._answer(transaction, found[0], now, *found[1])
        elif method == "OPTIONS":
            if self.intake.is_draining:  # a peer that asks whether the node is there sends its calls elsewhere
                self._answer(transaction, 503, now, f"Retry-After: {LATER_S}")
            else:
                self._answer(transaction, 200, now, ALLOW, ACCEPT, SUPPORTED)
        else:
            repeated = self.last_run.answer_of(request, peer)
            if repeated is None:
                return False
            self._answer(transaction, repeated[0], now, *repeated[1])
        return True

    def _attempt(self, transaction: ServerTransaction, request: Message, peer: PeerSettings, now: float) -> None:
        """A new call or message. Raises RemoteSipError when its caller or its dialog cannot be read."""
        context = self._context
        kind = "voice" if request.method == "INVITE" else "message"
        attempt: AttemptBase | None
        numbers = None
        if peer.caller is DIGEST:
            numbers = self._authentication.numbers(transaction, peer, now)
            if numbers is None:
                return  # a challenge is no attempt
        if kind == "message" and numbers is None and is_short_message(request):
            attempt = sms_attempt(context, transaction, peer, now)
            if attempt is None:
                return  # a report: no attempt of its own
            refusal = self.intake.objection(peer, kind, request, now)
        elif (refusal := self.intake.objection(peer, kind, request, now)) is not None:
            attempt = TurnedAway(context, transaction, peer, kind, now, numbers)
        elif kind == "voice":
            tokens = context.tokens
            dialog = Dialog.as_server(request, tokens.tag(), tokens.first_cseq())
            attempt = Call(context, transaction, peer, dialog, begun(context, request, peer, kind, now, numbers))
            context.respond(transaction, 100, transaction.head.build(100), now)
        else:
            attempt = MessageAttempt(context, transaction, peer, now, numbers)
        context.count("attempts_voice" if kind == "voice" else "attempts_message")
        self.intake.attempts += 1
        if refusal is None:
            attempt.begin(now)
        else:
            context.count(f"turned_away_{refusal.decided_by}")
            attempt.refused(refusal, now)

    def _answer(self, transaction: ServerTransaction, status: int, now: float, *lines: str) -> None:
        self._context.count(f"answered_{status}")
        data = transaction.head.build(status, self._context.tokens.tag(), list(lines))
        self._context.respond(transaction, status, data, now)

    # -- within dialogs --------------------------------------------------------------------------------------------

    def _dialog_end(self, request: Message, flow: Flow) -> DialogEnd | None:
        """The dialog that a request belongs to, if it may come from there (contract §4)."""
        return self._end_of(f"{request.to_tag} {request.from_tag}", request.call_id, flow)

    def _end_of(self, key: str, call_id: str, flow: Flow) -> DialogEnd | None:
        end = self._context.dialogs.get(key)
        if end is None:
            return None
        side = end.pair.sides[end.side]
        return end if side.dialog.call_id == call_id and side.accepts(self._context, flow) else None

    def _in_dialog(self, transaction: ServerTransaction, request: Message, flow: Flow, now: float) -> None:
        end = self._dialog_end(request, flow)
        if end is None:
            peer = self._context.routing.peer_of(flow)
            if request.method == "BYE" and self.last_run.has_ended(request, peer, flow):
                self._answer(transaction, 200, now)  # a repeat
            elif peer is None:
                self._turn_away(flow, transaction)
            else:
                self._answer(transaction, 481, now)  # §12.2.2
            return
        end.pair.sides[end.side].heard_at = now
        if flow.transport != "UDP":
            end.pair.sides[end.side].speaks_by(transaction.flow)
        method = request.method
        if method == "CANCEL":
            refuse(end.call, transaction, 481, now)  # §9.2: it matches no INVITE; its number is that of the INVITE
        elif not end.pair.sides[end.side].dialog.accepts_seq(request.cseq):
            refuse(end.call, transaction, 500, now)  # §12.2.2: out of order
        elif method == "BYE":
            end.call.bye_received(transaction, end.side, now)
        elif not end.call.takes_requests:
            refuse(end.call, transaction, 481, now)
        elif method in RELAYED or (method in TRANSFER and may_transfer(end.pair)):
            relay(end.call, end.pair, end.side, transaction, now)
        else:
            allow = ALLOW_WITH_TRANSFER if may_transfer(end.pair) else ALLOW
            if method == "OPTIONS":
                self._answer(transaction, 200, now, allow, ACCEPT, SUPPORTED)
            else:
                self._answer(transaction, 405, now, allow)

    def _ack(self, request: Message, flow: Flow, now: float) -> None:
        """The ACK of a 2xx: of the first INVITE, or of a later one that was relayed. Never answered."""
        end = self._dialog_end(request, flow)
        if end is None:
            if not self._authentication.is_own_answer(request):
                self._context.count("stray_acks")
                if flow.transport != "UDP" and self._context.routing.peer_of(flow) is None:
                    self._turn_away(flow)
            return
        pending = end.pair.pending_invite
        if pending is not None and pending.side == end.side and pending.acks_seq == request.cseq:
            pending.acked(request, now)
        elif end.side == CALLER and request.cseq == end.call.cseq:
            end.call.acked(request, now)
        else:
            self._context.count("stray_acks")

    def _cancel(self, event: CancelReceived, now: float) -> None:
        """200 to the CANCEL (§9.2), with the tag of the INVITE's own answers; then what it means."""
        owner = event.invite.owner
        tag = owner.local_tag if isinstance(owner, AttemptBase) else self._context.tokens.tag()
        self._context.respond(event.transaction, 200, event.transaction.head.build(200, tag), now)
        if isinstance(owner, Call):
            owner.cancelled(event.request, now)
        elif isinstance(owner, Relay):
            owner.cancel(now)
