"""The node's own look at the ends of an answered call (`session_timer = "insist"`): are they still there?

An end that has said nothing for half of `session_expires_s` is asked, in its dialog: by an UPDATE without a body where
its Allow lists that (RFC 3311 §5.1), else by a re-INVITE with the description that it was last sent (RFC 3264 §8), else
by OPTIONS (RFC 3261 §11.2). Any final answer shows that it is there, but for 481 and 408; those, or 64*T1 of silence,
show that it has left (§12.2.1.2), and the call ends on both sides.

Where the ends have agreed on an interval and whoever should refresh is late, the node refreshes in both dialogs, and
from then on it is the refresher: RFC 4028 §7.4 lets each refresh say anew who is. Nothing of one end is in what the
other is asked, but the description that it has already; when the answer to a re-INVITE is another than the other end
knows, that end is offered it, as it would be if it came from the first.

One end is asked after the other, so that no two offers of ours are open at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from engine.core import call_table as t
from engine.core.attempt import Login, RequestOwner
from engine.core.bodies import crossing_sdp
from engine.core.callee_try import ack
from engine.core.crossing import OWN_REQUESTS
from engine.core.disclosure import LeakStopped, RequestDraft, build
from engine.core.frozen_call import freeze
from engine.core.given import Given
from engine.core.pair import CALLEE, CALLER, TAKES_INVITE, TAKES_UPDATE, DialogPair, PairSide
from engine.core.records import CHANGE
from engine.core.session_timer import GONE, REFRESHING, agreed_interval_s, last_known, limit, restart
from sipstack.client_transaction import CALLING, ClientTransaction
from sipstack.errors import RemoteSipError
from sipstack.events import Flow
from sipstack.message import Message
from sipstack.sdp import CONTENT_TYPE
from sipstack.timers import SECONDS, Timer

if TYPE_CHECKING:
    from engine.core.call import Call

_GLARE: Final = 491
# How long an end that is the one with the Call-ID waits after a 491, and at most the other one (§14.1).
_OWNER_WAITS_LEAST_S: Final = 2.1 * SECONDS
_OWNER_WAITS_MOST_S: Final = 4 * SECONDS
_OTHER_WAITS_S: Final = 2 * SECONDS

# The ends are in the middle of a re-INVITE or an UPDATE of their own: no time to ask.
_BUSY_S: Final = 10 * SECONDS

# An answer that changes what the other end knows is offered to that one; its own answer may change something again.
# A hold takes two; ends that never agree must not be asked for ever.
_MOST_OFFERS: Final = 3

# Timer codes of an INVITE
_NO_FINAL: Final = 0
_CANCEL_IGNORED: Final = 1


def due(call: Call, now: float) -> None:
    """The time to look has come: asks whoever has not been heard for long enough."""
    pair = call.chosen
    assert pair is not None
    limit(call, now)
    if call.refresh is not None or not call.is_talking or _negotiates(pair):
        call.set(t.REFRESH_TIMER, _BUSY_S, now)
        return
    sides = [side for side in (CALLEE, CALLER) if call.session_s or pair.sides[side].heard_at <= call.watched_from]
    if sides:
        call.refresh = Refresh(call, pair, sides)
        call.refresh.ask_next(now)
    else:
        _look_again(call, pair, now)


def is_asking(call: Call) -> bool:
    """True while an INVITE or UPDATE of the node's own is open: no other may meet it (RFC 3261 §14, RFC 3311 §5.2)."""
    return call.refresh is not None and call.refresh.holds_offers


def _negotiates(pair: DialogPair) -> bool:
    if pair.pending_invite is not None and pair.pending_invite.is_pending:
        return True
    updates = [side.pending_update for side in pair.sides]
    return any(update is not None and update.awaits_answer for update in updates)


def _look_again(call: Call, pair: DialogPair, now: float) -> None:
    """Half of the interval after the end that has been silent longer was heard."""
    call.watched_from = min(side.heard_at for side in pair.sides)
    call.set(t.REFRESH_TIMER, call.watched_from + call.policy.session_expires_s / 2 - now, now)


def description_of(call: Call, pair: DialogPair, side: int) -> bytes:
    """The description that this end was last sent and that counts; b"" when nobody knows it any more."""
    kept = pair.sides[side].description
    return kept if kept or side == CALLEE else call.answer.partition(b"\r\n\r\n")[2]


def _content(description: bytes) -> bytes:
    """All that is behind the origin, which is the node's own."""
    return description.partition(b"\r\ns=")[2]


@final
class Refresh(RequestOwner):
    """One round: each of `sides` is asked in turn."""

    __slots__ = (
        "_abandoned",
        "_acks",
        "_asked_at",
        "_call",
        "_intervals",
        "_limit",
        "_offer",
        "_offers",
        "_pair",
        "_retry_s",
        "_side",
        "_todo",
        "_transaction",
    )

    def __init__(self, call: Call, pair: DialogPair, sides: list[int]) -> None:
        self._call = call
        self._pair = pair
        self._todo = [(side, b"") for side in sides]  # with the description to offer, b"": no new one
        self._side = CALLER
        self._asked_at = 0.0
        self._offer = b""
        self._offers = 0  # answers that have been offered to the other end
        self._transaction: ClientTransaction | None = None  # whose final answer is awaited
        self._intervals: dict[int, int] = {}  # by side: what its 2xx has settled
        self._acks: dict[ClientTransaction, tuple[bytes, Flow]] = {}
        self._abandoned: ClientTransaction | None = None  # an INVITE that may still be answered
        self._retry_s = 0.0
        self._limit: Timer | None = None

    def ask_next(self, now: float) -> None:
        """Asks the next end, if there is one."""
        if not self._todo or _negotiates(self._pair):
            self._finish(now)
            return
        self._side, self._offer = self._todo.pop(0)
        self._asked_at = now
        call, far = self._call, self._pair.sides[self._side]
        method = "INVITE" if self._offer else self._method(far)
        if method == "INVITE" and not self._offer:
            self._offer = description_of(call, self._pair, self._side)
        draft = RequestDraft(call.context, far.party, far.dialog, far.next_flow(), (method, far.dialog.next_seq()))
        draft.body, draft.content_type = self._offer, CONTENT_TYPE
        draft.session_s = call.session_s
        try:
            data = build(OWN_REQUESTS[self._side][method], draft)
        except LeakStopped:
            call.leaked(method, far.party.peer, now)
            return
        self._transaction = ClientTransaction(method, draft.branch, data, draft.flow, self)
        if method == "INVITE":
            far.credentials = ""
            self._set_limit(_NO_FINAL, now)
        call.context.count("session_refreshes_sent")
        call.context.start(self._transaction, now)

    def _method(self, far: PairSide) -> str:
        """UPDATE disturbs an end least; a re-INVITE needs to know what both ends were last sent."""
        call = self._call
        if far.takes & TAKES_UPDATE:
            return "UPDATE"
        may_invite = far.takes & TAKES_INVITE or call.session_s  # without Allow: only where nothing else refreshes
        if may_invite and all(description_of(call, self._pair, side) for side in (CALLER, CALLEE)):
            return "INVITE"
        return "OPTIONS"

    # -- what comes back -------------------------------------------------------------------------------------------

    def responded(self, transaction: ClientTransaction, response: Message, flow: Flow, now: float) -> None:
        """The end's answer, or a copy of its 2xx; whoever answers while the call ends is acknowledged all the same."""
        if response.is_provisional:
            return
        if transaction.method == "INVITE" and response.status < 300:
            self._acknowledge(transaction, response)
        if transaction is not self._transaction:
            return
        self._settle()
        if response.status in GONE:
            self._lost(now)
            return
        self._pair.sides[self._side].heard_at = now
        if response.status < 300:
            self._agreed(transaction.method, response)
        elif response.status == _GLARE:
            self._retry_s = self._wait_s()
        self.ask_next(now)

    def login(self, transaction: ClientTransaction) -> Login | None:
        """The trunk of the end that is asked."""
        far = self._pair.sides[self._side]
        return (far.party.peer, far.dialog) if transaction is self._transaction else None

    def sent_again(self, transaction: ClientTransaction, seq: int, credentials: str, now: float) -> None:
        """It may be an INVITE, whose ACK says them again."""
        self._pair.sides[self._side].credentials = credentials

    def unanswered(self, transaction: ClientTransaction, now: float) -> None:
        """64*T1 of silence."""
        if transaction is self._transaction:
            self._settle()
            self._silent(now)

    def failed(self, transaction: ClientTransaction, now: float) -> None:
        """The transport cannot send: that says nothing about the end, until a whole interval is over (§8.1.3.1)."""
        if transaction is not self._transaction:
            return
        self._settle()
        call = self._call
        if now - self._pair.sides[self._side].heard_at >= call.policy.session_expires_s:
            self._lost(now)
        else:
            call.refresh = None
            call.set(t.REFRESH_TIMER, call.context.transactions.timing.transaction_s, now)

    def timer_fired(self, code: int, now: float) -> None:
        """Something above 99 has come for an INVITE, and no final answer in 64*T1: it is taken back, then given up."""
        self._limit = None
        transaction = self._transaction
        if transaction is None or transaction.state == CALLING:
            return  # Timer B says more
        if code == _NO_FINAL:
            self._set_limit(_CANCEL_IGNORED, now)
            self._call.context.cancel(transaction, now)
        else:
            self._call.context.transactions.drop(transaction)
            self._settle()
            self._silent(now)

    def _settle(self) -> None:
        self._transaction = None
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _set_limit(self, code: int, now: float) -> None:
        context = self._call.context
        self._limit = context.wheel.set(now, context.transactions.timing.transaction_s, self, code)

    def _acknowledge(self, transaction: ClientTransaction, response: Message) -> None:
        """Each copy of a 2xx is acknowledged, where the first one says that the end is now (§13.2.2.4, §12.2.1.2)."""
        context, far = self._call.context, self._pair.sides[self._side]
        if transaction not in self._acks:
            self._move(far, response)
            self._acks[transaction] = ack(context, far, response.cseq), far.next_flow()
        context.send(*self._acks[transaction])

    def _move(self, far: PairSide, response: Message) -> None:
        try:
            far.dialog.refresh(response)
        except RemoteSipError:
            self._call.context.count("contact_unusable")

    def _wait_s(self) -> float:
        """After a 491; the Call-ID is ours on the callee's side (§14.1)."""
        part = self._call.context.tokens.fraction()
        if self._side == CALLEE:
            return _OWNER_WAITS_LEAST_S + part * (_OWNER_WAITS_MOST_S - _OWNER_WAITS_LEAST_S)
        return part * _OTHER_WAITS_S

    # -- what it means ---------------------------------------------------------------------------------------------

    def _agreed(self, method: str, response: Message) -> None:
        """A 2xx. What of it cannot be read is as if it were not there: the end lives."""
        call, far = self._call, self._pair.sides[self._side]
        if method not in REFRESHING:
            return
        far.note_allow(response)
        try:
            self._intervals[self._side] = agreed_interval_s(response, call.policy.min_se_s)
            if method == "INVITE":
                self._take_answer(far, response)
            else:
                self._move(far, response)
        except RemoteSipError:
            call.context.count("refresh_answers_unusable")

    def _take_answer(self, far: PairSide, response: Message) -> None:
        """The offer counts now; an answer that is news to the other end becomes an offer to it (RFC 3264 §8)."""
        far.description = self._offer
        other = 1 - self._side
        news = crossing_sdp(response, self._pair.sides[other].origin)
        known = description_of(self._call, self._pair, other)
        if news and _content(news) != _content(known) and self._offers < _MOST_OFFERS:
            self._offers += 1
            self._todo = [(other, news)]

    def _finish(self, now: float) -> None:
        """Both have been asked, and are there. The next run shall know that too, and what has changed by it."""
        call, found = self._call, self._intervals
        call.refresh = None
        if not call.session_s:
            _look_again(call, self._pair, now)
        elif len(found) == len(self._pair.sides):
            restart(call, min([seconds for seconds in found.values() if seconds], default=0), now, is_ours=True)
        elif self._retry_s:
            call.set(t.REFRESH_TIMER, self._retry_s, now)  # if not: when the interval is over, the call is
        call.commit(CHANGE, freeze(call, last_known(call)))

    def _silent(self, now: float) -> None:
        """An end that has asked for something itself meanwhile is there, whatever became of its answer."""
        if self._pair.sides[self._side].heard_at > self._asked_at:
            self.ask_next(now)
        else:
            self._lost(now)

    def _lost(self, now: float) -> None:
        self._call.context.count("sessions_lost")
        self._call.step(t.SESSION_OVER, Given(now))

    # -- how it ends before it is over -----------------------------------------------------------------------------

    @property
    def holds_offers(self) -> bool:
        """True while an INVITE or UPDATE is open."""
        return self._transaction is not None and self._transaction.method in REFRESHING

    def abandon(self) -> None:
        """The call ends. An INVITE that has been noticed gets its ACK, whatever it is answered; all else is dropped."""
        transaction = self._transaction
        self._settle()
        if transaction is None:
            return
        if transaction.method == "INVITE" and transaction.state != CALLING:
            self._abandoned = transaction
        else:
            self._call.context.transactions.drop(transaction)

    def forget(self) -> None:
        """Nothing can come any more."""
        if self._abandoned is not None and self._abandoned.awaits_final:
            self._call.context.transactions.drop(self._abandoned)
