"""A message: one MESSAGE in, one MESSAGE out, confirmed when it is delivered and recorded (RFC 3428).

It is tried at another target only when it cannot have reached the first: after a transport error or a 503, never after
silence, because it could then be delivered twice.
"""

from __future__ import annotations

from typing import Final

from engine.core import message_table as t
from engine.core.attempt import STORE_WAIT_S, UNSENT_STATUS
from engine.core.attempt_record import begun
from engine.core.binding import Binding
from engine.core.context import CoreContext
from engine.core.crossing import MESSAGE_DELIVERED
from engine.core.disclosure import LeakStopped, ResponseDraft, build
from engine.core.identity import request_uri_for
from engine.core.message_try import MessageTry
from engine.core.numbers import Dialled
from engine.core.policy import Refusal, callee_refusal
from engine.core.records import ANSWER, CLOSE, OPEN, ReleaseCause, Step
from engine.core.redirect import follow, take_back, write_callee
from engine.core.routing import Hop
from engine.core.settings import MessageText, PeerSettings
from engine.core.text_bodies import crossing_text
from engine.core.timed import OneTimerAttempt
from engine.core.transit import called_party
from engine.core.wire_forms import wire_forms
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction

# What it waits for: one at a time, so that one timer does for them all.
_STORE_TIMER: Final = 0
_DELIVERY_TIMER: Final = 1
_CLOSE_TIMER: Final = 2
_HOOK_TIMER: Final = 3

_INPUTS: Final = t.MESSAGE_TABLE.width
_STATES: Final = bytes([state for state, _ in t.MESSAGE_TABLE.moves])
_ACTIONS: Final = bytes([action for _, action in t.MESSAGE_TABLE.moves])

# Looked up once: a value costs more than all else that is written into the record.
_NORMAL: Final = ReleaseCause.NORMAL.value
_MASK: Final = MessageText.MASK

_INPUT_OF_TIMER: Final = {_STORE_TIMER: t.STORE_FAILED, _DELIVERY_TIMER: t.TIME_OVER, _CLOSE_TIMER: t.CLOSE_FAILED}


class MessageAttempt(OneTimerAttempt):
    """One message, from its MESSAGE to its final answer. `SmsAttempt` is the one with an RP-DATA in it."""

    __slots__ = (
        "_awaited", "_deadline", "_delivered_status", "_tried", "awaits_report", "body", "content_type", "state",
    )  # fmt: skip

    def __init__(
        self,
        context: CoreContext,
        transaction: ServerTransaction,
        peer: PeerSettings,
        now: float,
        numbers: tuple[Dialled, Dialled] | None = None,
    ) -> None:
        """`numbers` as in `begun`."""
        known = begun(context, transaction.request, peer, "message", now, numbers)
        OneTimerAttempt.__init__(self, context, transaction, peer, context.tokens.tag(), known)
        transaction.owner = self
        self.state = t.LOOKING_UP
        self.record.parts = 1
        self.record.octets = len(self.request.body)
        self.body = b""  # what is said to each target
        self.content_type = ""
        self._delivered_status = 200
        self.awaits_report = False  # True: the callee's side reports in a MESSAGE of its own
        self._deadline = 0.0  # monotonic seconds
        self._tried: MessageTry | None = None
        self._awaited = _STORE_TIMER

    def refused(self, refusal: Refusal, now: float) -> None:
        """A policy step, the route or the store said no."""
        self.refusal = refusal
        self.step(t.REFUSED, now)

    def permitted(self, binding: Binding, now: float) -> None:
        """Takes the text, masked where it names its sender, and builds the first try."""
        if self.is_transit:
            self.body, self.content_type = self.request.body, self.request.value(h.CONTENT_TYPE) or ""
            self.send_first(now)
            return
        masks = self.policy.message_text is _MASK
        try:
            spellings = self.spellings_of_caller(binding) if self.context.has_rules and masks else ()
            self.body, self.content_type = crossing_text(self.request, binding.caller if masks else "", spellings)
        except RemoteSipError:
            self.refused(Refusal(ReleaseCause.LEAK_STOPPED, "body"), now)  # what cannot be read cannot be checked
            return
        self.send_first(now)

    def spellings_of_caller(self, binding: Binding) -> tuple[str, ...]:
        """How the caller's number may stand otherwise in what goes to any of the targets."""
        found: tuple[str, ...] = ()
        for hop in self.choice.hops:
            found += wire_forms(binding.caller, self.peer, hop.peer, self.facts.caller.wire)
        return found

    def send_first(self, now: float) -> None:
        """What is to be said is known: builds the first try."""
        self.step(t.PERMITTED if self._next_try(now) else t.REFUSED, now)

    @property
    def state_name(self) -> str:
        """The state of its table, in words."""
        return t.STATES[self.state]

    def _next_try(self, now: float) -> bool:
        """Prepares the MESSAGE to the next target; False, with the refusal set, when there is none to send."""
        binding = self.facts.found
        assert isinstance(binding, Binding)
        hop = self.next_hop(now)
        if hop is None:
            return False
        try:
            self._tried = MessageTry(self, hop, binding, self.outgoing(hop, binding))
        except (LeakStopped, RemoteSipError) as error:
            if isinstance(error, LeakStopped):
                self.leak_found("MESSAGE", hop.peer)
            self.refusal = Refusal(ReleaseCause.LEAK_STOPPED, "disclosure")
            return False
        return True

    def outgoing(self, hop: Hop, binding: Binding) -> tuple[str, str]:
        """Request-URI and value of To towards a target; `body` is what it is to be from now on. Raises LeakStopped."""
        uri = request_uri_for(binding.callee, hop)
        return uri, called_party(binding, self.request, self.facts, hop)

    def tried(self, now: float) -> None:
        """A MESSAGE is about to leave."""

    def report_entry(self) -> object:
        """What must be on disk for that report, as `extra_to_json` takes it."""
        raise NotImplementedError

    def await_report(self, now: float) -> None:
        """The message is confirmed, its record stays open: somebody else closes it."""
        raise NotImplementedError

    def step(self, event: int, now: float) -> None:
        """One move of the table, and its action."""
        place = self.state * _INPUTS + event
        self.state = _STATES[place]
        self.act(_ACTIONS[place], event, now)

    def act(self, action: int, event: int, now: float) -> None:
        """An action of the table, those of each message first. A chain, since what is compiled calls by it directly."""
        if action == t.OPEN:
            self.do_open()
        elif action == t.SEND:
            self.do_send(now)
        elif action == t.CLOSE:
            self.do_close(event, now)
        elif action == t.ANSWER:
            self.do_answer(now)
        elif action == t.NOTHING:
            pass
        elif action == t.ANSWER_UNRECORDED:
            self.do_answer_unrecorded(now)
        elif action == t.OPEN_AGAIN:
            self.do_open_again(now)
        elif action == t.KEEP:
            self.do_keep(now)
        elif action == t.HAND_OVER:
            self.do_hand_over(now)
        else:
            self.context.count(f"unexpected_{t.INPUTS[event].replace(' ', '_')}")

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """A step is durable, or could not be made so."""
        if step is CLOSE:
            self.stop_timer()
            self.step(t.CLOSED if durable else t.CLOSE_FAILED, now)
        elif step is ANSWER:
            if self.state == t.KEEPING:
                self.stop_timer()
            self.step(t.KEPT if durable else t.STORE_FAILED, now)
        else:
            if self.state == t.OPENING:
                self.stop_timer()
            self.step(t.OPENED if durable else t.STORE_FAILED, now)

    def answered(self, tried: MessageTry, response: Message, now: float) -> None:
        """The callee's final answer."""
        if tried is not self._tried or self.state != t.SENDING:
            return
        status = response.status
        tried.ended(status, now)
        if status < 300:
            self._delivered_status = 202 if status == 202 or self.awaits_report else 200
            self.record.answer_time = self.context.wall(now)
            self.step(t.ACCEPTED if self.awaits_report else t.DELIVERED, now)
        elif status < 400 and not self.awaits_report:
            self.refusal = follow(self, tried.peer, response)
            self.step(t.REDIRECTED if self.refusal is None and self._next_try(now) else t.FAILED, now)
        elif status == 503:
            self._try_next(now)
        else:
            self.refusal = callee_refusal(status) or Refusal(ReleaseCause.ALL_TARGETS_FAILED, "targets")
            self.step(t.FAILED, now)

    def lost(self, tried: MessageTry, now: float) -> None:
        """The transport could not send: the message has surely not arrived."""
        if tried is self._tried and self.state == t.SENDING:
            tried.ended(UNSENT_STATUS, now)
            self._try_next(now)

    def _try_next(self, now: float) -> None:
        self.step(t.TRY_FAILED if self._next_try(now) else t.FAILED, now)

    def silent(self, tried: MessageTry, now: float) -> None:
        """No answer at all: it may have arrived, so it goes nowhere else."""
        if tried is self._tried and self.state == t.SENDING:
            self.step(t.TIME_OVER, now)

    def expired(self, now: float) -> None:
        """The store or the callee has taken too long."""
        if self._awaited == _HOOK_TIMER:
            assert self.asked is not None
            self.hook_answered(self.asked, None, now)
        else:
            self.step(_INPUT_OF_TIMER[self._awaited], now)

    def wait_for_store(self, now: float) -> None:
        """The message cannot go on without the store."""
        self._set(_STORE_TIMER, STORE_WAIT_S, now)

    def wait_for_hook(self, timeout_s: float, now: float) -> None:
        """The app platform is asked."""
        self.step(t.ASKED, now)
        self._set(_HOOK_TIMER, timeout_s, now)

    # -- actions ---------------------------------------------------------------------------------------------------

    def do_open(self) -> None:
        """Records the attempt before anything of it leaves."""
        self.commit(OPEN)  # its time runs since the lookup

    def do_open_again(self, now: float) -> None:
        """Records whom it goes to now, before that callee hears of it."""
        write_callee(self)
        self.commit(OPEN)
        self.wait_for_store(now)

    def do_send(self, now: float) -> None:
        """The prepared MESSAGE leaves; the time for its delivery runs once, over all targets."""
        assert self._tried is not None
        if self.record.call_out_time is None:
            self.record.call_out_time = self.context.wall(now)
            self._deadline = now + self.policy.message_timeout_s
        self._set(_DELIVERY_TIMER, max(0.0, self._deadline - now), now)
        self.tried(now)
        self._tried.start(now)

    def do_close(self, event: int, now: float) -> None:
        """Records how it ended; the final response waits for the row."""
        if event == t.STORE_FAILED:
            self.refusal = Refusal(ReleaseCause.INTERNAL, "store")
        elif event == t.TIME_OVER:
            self.refusal = Refusal(ReleaseCause.UNREACHABLE, "message_timer")
            assert self._tried is not None
            self._tried.take_back(now)
        if self.left_callees and self._tried is not None and not self._tried.sent_at:
            take_back(self)
        record = self.record
        record.release_time = self.context.wall(now)
        if self.refusal is None:
            record.release_cause = _NORMAL
            record.sip_status, record.q850 = self._delivered_status, 16
            record.decided_by = record.release_direction = "callee"
        else:
            self.write_end(self.refusal, "callee" if self.refusal.decided_by == "callee" else "platform")
        self.commit(CLOSE)
        self._set(_CLOSE_TIMER, STORE_WAIT_S, now)

    def do_answer(self, now: float) -> None:
        """The end is on record: the sender hears of it."""
        if self.refusal is not None:
            self.send_refusal(self.refusal, now)
        else:
            self._confirm(now)
        self._let_go(now)

    def _confirm(self, now: float) -> None:
        status = self._delivered_status
        data = build(MESSAGE_DELIVERED, ResponseDraft(self.party, self.transaction.head, status, self.local_tag))
        self.context.respond(self.transaction, status, data, now)

    def do_keep(self, now: float) -> None:
        """What its report will need is recorded before the sender hears that it was accepted."""
        self.commit(ANSWER, self.report_entry())
        self._set(_STORE_TIMER, STORE_WAIT_S, now)

    def do_hand_over(self, now: float) -> None:
        """The sender hears that it was accepted; what became of it is for the report to say."""
        self._confirm(now)
        self._let_go(now)
        self.await_report(now)

    def _let_go(self, now: float) -> None:
        """Takes the ring of references apart: what has ended goes at once, not when a collection finds it."""
        self.end_timer()
        self.context.leave(self.record.record_id)
        self._tried = None

    def do_answer_unrecorded(self, now: float) -> None:
        """The store takes no record now, and keeps what is told: no 2xx leaves so, no refusal by policy (§6)."""
        self.send_unrecorded(self.refusal, now)
        self._let_go(now)

    def _set(self, awaited: int, delay_s: float, now: float) -> None:
        """What was awaited before is not any more."""
        self._awaited = awaited
        self.set_timer(delay_s, now)
