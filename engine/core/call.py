"""A call: the caller's INVITE, the tries at its targets, and the two dialogs that come of it.

What happens when is the table in `call_table`; how it is done stands in `call_setup` and `call_end`. Here is what a
call knows, and what it hears: every input makes one step of the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core import call_end as end
from engine.core import call_setup as setup
from engine.core import call_table as t
from engine.core.attempt import STORE_WAIT_S
from engine.core.attempt_record import number_called
from engine.core.binding import Binding
from engine.core.call_actions import act
from engine.core.callee_try import CalleeTry, ack
from engine.core.choice import NOWHERE
from engine.core.context import CoreContext
from engine.core.disclosure import LeakStopped, Party
from engine.core.given import Given
from engine.core.group_call import call_next
from engine.core.pair import CALLEE, CALLER, DialogEnd, DialogPair
from engine.core.policy import Facts, Refusal, callee_refusal
from engine.core.records import CHANGE, CLOSE, OPEN, CallRecord, ReleaseCause, Step
from engine.core.redirect import follow
from engine.core.refresh import Refresh, due
from engine.core.session_timer import refusal_of
from engine.core.settings import PeerSettings
from engine.core.timed import TimedAttempt
from sipstack import headers as h
from sipstack.dialog import Dialog
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction

if TYPE_CHECKING:
    from engine.core.adoption import Adopted

_INPUT_OF_TIMER: Final = {
    t.STORE_TIMER: t.STORE_FAILED,
    t.RING_TIMER: t.RING_TIMEOUT,
    t.ACK_TIMER: t.ACK_MISSED,
    t.MAX_CALL_TIMER: t.TIME_OVER,
    t.SESSION_TIMER: t.SESSION_OVER,
    t.EXPIRES_TIMER: t.CALLER_CANCELLED,  # it said beforehand when it would give up
    t.BYE_WAIT_TIMER: t.BYE_ANSWERED,
    t.BYE_DUE_TIMER: t.BYE_DUE,
    t.CLOSE_TIMER: t.CLOSE_FAILED,
}

_INPUTS: Final = t.CALL_TABLE.width
_STATES: Final = bytes([state for state, _ in t.CALL_TABLE.moves])
_ACTIONS: Final = bytes([action for _, action in t.CALL_TABLE.moves])

_NOT_ANSWERED: Final = Refusal(ReleaseCause.NO_ANSWER, "ring_timer")

_BEFORE_ANSWER: Final = (t.RINGING, t.ANSWERING)  # dialogs exist, the caller has no final response
_WITH_DIALOGS: Final = (*_BEFORE_ANSWER, t.ANSWERED, t.TALKING)


@final
class Call(TimedAttempt):
    """One call, from its INVITE to the last repeat that may come."""

    __slots__ = (
        "_dialog",
        "ack",
        "adopted",
        "answer",
        "answered_at",
        "awaits_ack",
        "bye_held",
        "byes_from",
        "byes_waiting",
        "chosen",
        "cseq",
        "current",
        "max_call_s",
        "rang_at",
        "refresh",
        "repeat_s",
        "session_s",
        "state",
        "tries",
        "watched_from",
    )

    def __init__(
        self,
        context: CoreContext,
        transaction: ServerTransaction,
        peer: PeerSettings,
        dialog: Dialog,
        known: tuple[Facts, CallRecord],
    ) -> None:
        """`dialog` is the caller's, for the first tag that the callee answers with; its tag is in our refusals too."""
        TimedAttempt.__init__(self, context, transaction, peer, dialog.local_tag, known, t.TIMERS)
        self._dialog: Dialog | None = dialog
        self.cseq: Final = transaction.request.cseq
        transaction.owner = self
        self.state = t.LOOKING_UP
        self.tries: list[CalleeTry] = []
        self.current: CalleeTry | None = None
        self.chosen: DialogPair | None = None  # the dialogs that the callee's 2xx confirmed
        self.answer = b""  # the 2xx as the caller gets it
        self.ack = b""  # our ACK to the callee, b"" until it has been sent
        self.adopted: Adopted | None = None  # another run has answered it
        self.answered_at: float | None = None  # monotonic seconds
        self.rang_at: float | None = None
        self.byes_waiting: list[ServerTransaction] = []
        self.byes_from = 0  # sides that said BYE while the answer was being recorded: a bit for each
        self.awaits_ack = False  # the caller has our 2xx, we do not have its ACK
        self.bye_held = False  # the caller is owed a BYE that must not come before its ACK
        self.repeat_s = 0.0
        self.max_call_s = self.policy.max_call_s
        self.session_s = 0  # the session interval that the latest 2xx settled, 0 for none
        self.watched_from = 0.0  # whoever is not heard after it will be asked by the node
        self.refresh: Refresh | None = None  # the node is asking them

    def caller_dialog(self) -> Dialog:
        """The caller's dialog for one more tag of the callee: each has a tag of ours of its own (RFC 3261 §12.1)."""
        dialog, self._dialog = self._dialog, None
        if dialog is None:
            tokens = self.context.tokens
            dialog = Dialog.as_server(self.request, tokens.tag(), tokens.first_cseq())
        return dialog

    def shed(self) -> None:
        """It has ended, and nothing of it is repeated any more: what is left serves copies and late answers."""
        self.transaction.shed()
        del self.request, self.facts
        self.choice = NOWHERE
        self.asked = None
        self.refusal = None
        self._dialog = None
        self.answer = b""
        for tried in self.tries:
            tried.offer = b""
            for pair in tried.pairs.values():
                pair.caller.description = pair.callee.description = b""

    # -- what is decided here --------------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """The caller's patience counts from here on."""
        if self.request.first[h.EXPIRES] is not None:
            setup.heed_expires(self, now)
        TimedAttempt.begin(self, now)

    def refused(self, refusal: Refusal, now: float) -> None:
        """A policy step, the route or the store said no."""
        self.refusal = refusal
        self.step(t.REFUSED, Given(now))

    def permitted(self, binding: Binding, now: float) -> None:
        """Builds the first INVITE, so that a leak shows before anything is recorded as sent."""
        called = number_called(self.record) if binding.tel_y else binding.tel_x
        contact = self.context.contact(self.transaction.source, called, self.is_secure)
        longest_s = binding.conditions.max_call_s
        if longest_s:
            self.max_call_s = min(self.max_call_s, longest_s)
        hidden = "" if self.is_transit else binding.callee
        self.party = Party(CALLER, self.peer, hidden, contact)
        if self.try_next(now):
            self.step(t.PERMITTED, Given(now))
        else:
            self.step(t.REFUSED, Given(now))

    def try_next(self, now: float) -> bool:
        """Prepares the INVITE to the next target; False, with the refusal set, when there is none to send."""
        binding = self.facts.found
        assert isinstance(binding, Binding)
        hop = self.next_hop(now)
        if hop is None:
            return False
        try:
            self.current = CalleeTry(self, hop, binding)
        except (LeakStopped, RemoteSipError) as error:
            if isinstance(error, LeakStopped):
                self.leak_found("INVITE", hop.peer)
            self.refusal = Refusal(ReleaseCause.LEAK_STOPPED, "disclosure")
            return False
        self.tries.append(self.current)
        return True

    def step(self, event: int, given: Given) -> None:
        """One move of the table, and its action."""
        given.event = event
        place = self.state * _INPUTS + event
        self.state = _STATES[place]
        act(self, _ACTIONS[place], given)

    # -- what the store says ---------------------------------------------------------------------------------------

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """A step is durable, or could not be made so."""
        if step is CLOSE:
            self.stop(t.CLOSE_TIMER)
            self.step(t.CLOSED if durable else t.CLOSE_FAILED, Given(now))
            return
        if step is CHANGE:
            return  # that the ends are still there: nothing waits for it
        self.stop(t.STORE_TIMER)
        stored = t.OPENED if step is OPEN else t.ANSWER_STORED
        self.step(stored if durable else t.STORE_FAILED, Given(now))

    def wait_for_store(self, now: float) -> None:
        """The call cannot go on without the store; a step is given up after STORE_WAIT_S."""
        self.set(t.STORE_TIMER, STORE_WAIT_S, now)

    def wait_for_hook(self, timeout_s: float, now: float) -> None:
        """The app platform is asked."""
        self.stop(t.STORE_TIMER)
        self.step(t.ASKED, Given(now))
        self.set(t.HOOK_TIMER, timeout_s, now)

    def commit_end(self, now: float) -> None:
        """Commits the end. A writer that says nothing must not hold up the final response, nor the call in memory."""
        self.commit(CLOSE)
        self.set(t.CLOSE_TIMER, STORE_WAIT_S, now)

    # -- what the callee's side says -------------------------------------------------------------------------------

    def provisional_received(self, tried: CalleeTry, response: Message, now: float) -> None:
        """100 shows that the target lives; everything above it goes to the caller."""
        if tried is not self.current or self.state not in (t.CALLING, t.RINGING):
            return
        self.stop(t.FIRST_RESPONSE_TIMER)
        if response.status > 100:
            self.step(t.RANG, Given(now, tried, response))

    def success_received(self, tried: CalleeTry, response: Message, now: float) -> None:
        """A 2xx: the first is the answer, a copy of it is acknowledged again, any other is ended."""
        if self.chosen is not None and tried.pairs.get(response.to_tag) is self.chosen:
            setup.acknowledge_again(self)
        elif tried is not self.current:
            tried.release(response, now)
        elif self.state in (t.CALLING, t.RINGING) and not setup.prepare_answer(self, tried, response):
            tried.ended(response.status, now)
            tried.release(response, now)
            self.refusal = Refusal(ReleaseCause.LEAK_STOPPED, "disclosure")
            self.step(t.CALLEE_FAILED, Given(now))
        else:
            self.step(t.CALLEE_ANSWERED, Given(now, tried, response))

    def success_again(self, end: DialogEnd, response: Message) -> None:
        """A 2xx in one of its dialogs whose INVITE is known no more: acknowledged (RFC 3261 §13.2.2.4)."""
        near = end.pair.sides[end.side]
        if end.side == CALLEE and response.cseq == end.pair.caller.seqs.get(self.cseq):
            if self.adopted is not None:
                self.adopted.callee_asks = True
            setup.acknowledge_again(self)
        else:  # to an INVITE within the conversation, which the last run has carried
            self.context.send(ack(self.context, near, response.cseq), near.next_flow())

    def failure_received(self, tried: CalleeTry, response: Message, now: float) -> None:
        """300-699: the callee's own answer, or a target that cannot serve (contract §5, second table)."""
        if tried is not self.current:
            return
        status = response.status
        if status < 400:
            self._redirected(tried, response, now)
            return
        refusal = callee_refusal(status) or refusal_of(response, self.policy.min_se_s)
        if status == 408 and self.state == t.RINGING:
            refusal = Refusal(ReleaseCause.NO_ANSWER, "callee")
        if refusal is None:
            self.try_lost(tried, now)
        else:
            self._failed(tried, refusal, now)

    def _failed(self, tried: CalleeTry, refusal: Refusal, now: float) -> None:
        """A callee cannot be reached, or does not want to be: the call is over unless another member is left."""
        if not call_next(self, tried, refusal, now):
            self.refusal = refusal
            self.step(t.CALLEE_FAILED, Given(now))

    def _redirected(self, tried: CalleeTry, response: Message, now: float) -> None:
        """A 3xx: the call goes to another number, or ends here."""
        self.refusal = follow(self, tried.hop.peer, response)
        if self.refusal is None:
            found = self.facts.found
            assert isinstance(found, Binding)
            self.party.also_hidden = (*self.party.also_hidden, found.callee)
            if self.try_next(now):
                self.step(t.REDIRECTED, Given(now, tried))
                return
        self.step(t.CALLEE_FAILED, Given(now))

    def try_lost(self, tried: CalleeTry, now: float) -> None:
        """A target has failed: the next one, unless this one had already rung."""
        if tried is not self.current or self.state not in (t.CALLING, t.RINGING):
            return
        if self.state == t.RINGING:
            self._failed(tried, Refusal(ReleaseCause.ALL_TARGETS_FAILED, "targets"), now)
        elif self.try_next(now):
            self.step(t.TRY_FAILED, Given(now))
        else:
            assert self.refusal is not None
            self._failed(tried, self.refusal, now)

    # -- what either party says ------------------------------------------------------------------------------------

    def cancelled(self, cancel: Message, now: float) -> None:
        """The caller's CANCEL; its own 200 has been sent."""
        self.step(t.CALLER_CANCELLED, Given(now, None, cancel))

    def acked(self, request: Message, now: float) -> None:
        """The caller's ACK for our 2xx."""
        self.step(t.CALLER_ACKED, Given(now, None, request))

    def leaked(self, message: str, peer: PeerSettings, now: float) -> None:
        """A message within the conversation would have shown a number: it has not left, and the call is over."""
        self.leak_found(message, peer)
        self.step(t.LEAKED, Given(now))

    def bye_received(self, transaction: ServerTransaction, side: int, now: float) -> None:
        """A BYE of either side."""
        given = Given(now)
        given.transaction = transaction
        given.side = side
        self.step(t.CALLER_BYE if side == CALLER else t.CALLEE_BYE, given)

    @property
    def state_name(self) -> str:
        """The state of its table, in words."""
        return t.STATES[self.state]

    @property
    def is_talking(self) -> bool:
        """True while requests within the conversation may carry new offers both ways."""
        return self.state == t.TALKING

    @property
    def is_answered(self) -> bool:
        """True from the 2xx that the caller gets to the decision that the call ends."""
        return self.state in (t.ANSWERED, t.TALKING)

    @property
    def takes_requests(self) -> bool:
        """True while requests in its dialogs are carried to the other side."""
        return self.state in _WITH_DIALOGS

    @property
    def awaits_answer(self) -> bool:
        """True while dialogs exist and the caller's INVITE has no final response."""
        return self.state in _BEFORE_ANSWER

    # -- time ------------------------------------------------------------------------------------------------------

    def expired(self, code: int, now: float) -> None:
        """A timer of this call."""
        if code == t.REPEAT_TIMER:
            setup.repeat_answer(self, now)
        elif code == t.FIRST_RESPONSE_TIMER:
            setup.give_up_target(self, now)
        elif code == t.HOOK_TIMER:
            assert self.asked is not None
            self.hook_answered(self.asked, None, now)
        elif code == t.RING_TIMER and self.current is not None and call_next(self, self.current, _NOT_ANSWERED, now):
            pass
        elif code == t.FORGET_TIMER:
            end.forget(self, now)
        elif code == t.REFRESH_TIMER:
            due(self, now)
        elif code == t.ACK_TIMER and self.adopted is not None and self.adopted.was_acknowledged(self):
            self.step(t.CALLER_ACKED, Given(now))
        else:
            self.step(_INPUT_OF_TIMER[code], Given(now))
