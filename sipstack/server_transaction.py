"""Server transactions: RFC 3261 figures 7 and 8 as tables, with Accepted of RFC 6026 §7.1.

A response that the transport could not send changes nothing (RFC 6026 §8.8), so the tables have no such input: the
next copy of the request, or the next repeat, tries again.
"""

from __future__ import annotations

from typing import Final, final

from sipstack.events import AckMissed, Flow
from sipstack.message import Message
from sipstack.response import ResponseHead, response_flow
from sipstack.table import Table
from sipstack.transaction import Transaction, TransactionContext

# States
TRYING: Final = 0  # figure 8 only
PROCEEDING: Final = 1
COMPLETED: Final = 2
CONFIRMED: Final = 3  # figure 7 only
ACCEPTED: Final = 4  # figure 7 only
TERMINATED: Final = 5
_STATES: Final = ("(Trying)", "Proceeding", "Completed", "Confirmed", "Accepted", "Terminated")
_NON_INVITE_STATES: Final = ("Trying", "Proceeding", "Completed", "(Confirmed)", "(Accepted)", "Terminated")

# Inputs; a timer's input is also its code on the wheel
REQUEST: Final = 0
ACK: Final = 1
SEND_PROVISIONAL: Final = 2
SEND_SUCCESS: Final = 3
SEND_FAILURE: Final = 4
REPEAT_TIMER: Final = 5  # G
DEADLINE_TIMER: Final = 6  # H, I, J and L
_INPUTS: Final = (
    "INVITE",
    "ACK",
    "1xx from TU",
    "2xx from TU",
    "300-699 from TU",
    "Timer G",
    "Timer H, I or L",
)
_NON_INVITE_INPUTS: Final = (
    "request",
    "(ACK)",
    "1xx from TU",
    "2xx from TU",
    "300-699 from TU",
    "(Timer G)",
    "Timer J",
)

# Actions
NOTHING: Final = 0
SEND: Final = 1
SEND_FINAL: Final = 2
SEND_AGAIN: Final = 3
REPEAT: Final = 4
CONFIRM: Final = 5
MISS_ACK: Final = 6
_ACTIONS: Final = (
    "nothing",
    "send",
    "send, set the deadline",
    "send the last response again",
    "send again, double the gap",
    "stop repeating, linger",
    "report the missing ACK",
)

_UNUSED_7: Final = "figure 7 has no such state"
_UNUSED_8: Final = "figure 8 has no such state"

INVITE_SERVER: Final = Table(
    "INVITE server",
    _STATES,
    _INPUTS,
    _ACTIONS,
    (
        *((TRYING, event, TRYING, NOTHING, _UNUSED_7) for event in range(len(_INPUTS))),
        (PROCEEDING, REQUEST, PROCEEDING, SEND_AGAIN, "figure 7: INVITE, send the last 1xx"),
        (PROCEEDING, ACK, PROCEEDING, NOTHING, "§17.2.1: no final response to acknowledge yet"),
        (PROCEEDING, SEND_PROVISIONAL, PROCEEDING, SEND, "figure 7: 101-199 from TU"),
        (PROCEEDING, SEND_SUCCESS, ACCEPTED, SEND_FINAL, "RFC 6026 §7.1: 2xx from TU, Timer L"),
        (PROCEEDING, SEND_FAILURE, COMPLETED, SEND_FINAL, "figure 7: 300-699 from TU, Timers G and H"),
        (PROCEEDING, REPEAT_TIMER, PROCEEDING, NOTHING, "not set in this state"),
        (PROCEEDING, DEADLINE_TIMER, PROCEEDING, NOTHING, "not set in this state"),
        (COMPLETED, REQUEST, COMPLETED, SEND_AGAIN, "figure 7: INVITE, send the response"),
        (COMPLETED, ACK, CONFIRMED, CONFIRM, "figure 7: ACK, Timer I"),
        (COMPLETED, SEND_PROVISIONAL, COMPLETED, NOTHING, "§17.2.1: other responses are discarded"),
        (COMPLETED, SEND_SUCCESS, COMPLETED, NOTHING, "§17.2.1: other responses are discarded"),
        (COMPLETED, SEND_FAILURE, COMPLETED, NOTHING, "§17.2.1: other responses are discarded"),
        (COMPLETED, REPEAT_TIMER, COMPLETED, REPEAT, "figure 7: Timer G, send the response"),
        (COMPLETED, DEADLINE_TIMER, TERMINATED, MISS_ACK, "figure 7: Timer H, inform TU"),
        (CONFIRMED, REQUEST, CONFIRMED, NOTHING, "§17.2.1: absorbed"),
        (CONFIRMED, ACK, CONFIRMED, NOTHING, "§17.2.1: absorbs further ACKs"),
        (CONFIRMED, SEND_PROVISIONAL, CONFIRMED, NOTHING, "answered"),
        (CONFIRMED, SEND_SUCCESS, CONFIRMED, NOTHING, "answered"),
        (CONFIRMED, SEND_FAILURE, CONFIRMED, NOTHING, "answered"),
        (CONFIRMED, REPEAT_TIMER, CONFIRMED, NOTHING, "stopped"),
        (CONFIRMED, DEADLINE_TIMER, TERMINATED, NOTHING, "figure 7: Timer I"),
        (ACCEPTED, REQUEST, ACCEPTED, NOTHING, "RFC 6026 §7.1: absorbed, the TU repeats its 2xx"),
        (ACCEPTED, ACK, ACCEPTED, NOTHING, "RFC 6026 §7.1: the ACK goes to the TU outside of the transaction"),
        (ACCEPTED, SEND_PROVISIONAL, ACCEPTED, NOTHING, "answered"),
        (ACCEPTED, SEND_SUCCESS, ACCEPTED, SEND, "RFC 6026 §7.1: 2xx from TU is sent"),
        (ACCEPTED, SEND_FAILURE, ACCEPTED, NOTHING, "answered"),
        (ACCEPTED, REPEAT_TIMER, ACCEPTED, NOTHING, "not set in this state"),
        (ACCEPTED, DEADLINE_TIMER, TERMINATED, NOTHING, "RFC 6026 §7.1: Timer L"),
        *((TERMINATED, event, TERMINATED, NOTHING, "gone") for event in range(len(_INPUTS))),
    ),
)

NON_INVITE_SERVER: Final = Table(
    "non-INVITE server",
    _NON_INVITE_STATES,
    _NON_INVITE_INPUTS,
    _ACTIONS,
    (
        (TRYING, REQUEST, TRYING, NOTHING, "§17.2.2: retransmissions in Trying are discarded"),
        (TRYING, ACK, TRYING, NOTHING, "an ACK never matches"),
        (TRYING, SEND_PROVISIONAL, PROCEEDING, SEND, "figure 8: 1xx from TU"),
        (TRYING, SEND_SUCCESS, COMPLETED, SEND_FINAL, "figure 8: 200-699 from TU, Timer J"),
        (TRYING, SEND_FAILURE, COMPLETED, SEND_FINAL, "figure 8: 200-699 from TU, Timer J"),
        (TRYING, REPEAT_TIMER, TRYING, NOTHING, "not set in this machine"),
        (TRYING, DEADLINE_TIMER, TRYING, NOTHING, "not set in this state"),
        (PROCEEDING, REQUEST, PROCEEDING, SEND_AGAIN, "figure 8: request, send the response"),
        (PROCEEDING, ACK, PROCEEDING, NOTHING, "an ACK never matches"),
        (PROCEEDING, SEND_PROVISIONAL, PROCEEDING, SEND, "figure 8: 1xx from TU"),
        (PROCEEDING, SEND_SUCCESS, COMPLETED, SEND_FINAL, "figure 8: 200-699 from TU, Timer J"),
        (PROCEEDING, SEND_FAILURE, COMPLETED, SEND_FINAL, "figure 8: 200-699 from TU, Timer J"),
        (PROCEEDING, REPEAT_TIMER, PROCEEDING, NOTHING, "not set in this machine"),
        (PROCEEDING, DEADLINE_TIMER, PROCEEDING, NOTHING, "not set in this state"),
        (COMPLETED, REQUEST, COMPLETED, SEND_AGAIN, "figure 8: request, send the response"),
        (COMPLETED, ACK, COMPLETED, NOTHING, "an ACK never matches"),
        (COMPLETED, SEND_PROVISIONAL, COMPLETED, NOTHING, "§17.2.2: other responses are discarded"),
        (COMPLETED, SEND_SUCCESS, COMPLETED, NOTHING, "§17.2.2: other responses are discarded"),
        (COMPLETED, SEND_FAILURE, COMPLETED, NOTHING, "§17.2.2: other responses are discarded"),
        (COMPLETED, REPEAT_TIMER, COMPLETED, NOTHING, "not set in this machine"),
        (COMPLETED, DEADLINE_TIMER, TERMINATED, NOTHING, "figure 8: Timer J"),
        *((CONFIRMED, event, CONFIRMED, NOTHING, _UNUSED_8) for event in range(len(_INPUTS))),
        *((ACCEPTED, event, ACCEPTED, NOTHING, _UNUSED_8) for event in range(len(_INPUTS))),
        *((TERMINATED, event, TERMINATED, NOTHING, "gone") for event in range(len(_INPUTS))),
    ),
)


_NO_HEAD: Final = ResponseHead(Message(("", 0, ""), [], [], b""), "", 0)


@final
class ServerTransaction(Transaction):
    """One request of a peer. `owner` is the transaction user's own object; `head` starts every answer.

    `source` is where the request came from, `flow` where its answers go. Once `shed` it has no request, and nothing in
    its head: the key and the last response are all that copies need, and another response is dropped.
    """

    __slots__ = ("head", "merge_key", "owner", "request", "source")
    __deletable__ = ("request",)  # for mypyc

    def __init__(self, request: Message, source: Flow) -> None:
        table = INVITE_SERVER if request.method == "INVITE" else NON_INVITE_SERVER
        Transaction.__init__(self, request.method, table, response_flow(request, source))
        self.state = PROCEEDING if table is INVITE_SERVER else TRYING
        self.request = request
        self.source = source
        self.head = ResponseHead(request, source.host, source.port)
        self.owner: object = None
        self.merge_key: object = None

    @property
    def is_answered(self) -> bool:
        """True once a final response has been given."""
        return self.state not in (TRYING, PROCEEDING)

    @property
    def is_accepted(self) -> bool:
        """True once a 2xx to an INVITE has been given: its ACK is the transaction user's."""
        return self.state == ACCEPTED

    def request_again(self) -> None:
        """A retransmission of the request."""
        if self.advance(REQUEST) == SEND_AGAIN and self.last_sent:
            self.send(self.last_sent)

    def ack_received(self, now: float) -> None:
        """An ACK that matches this INVITE."""
        if self.advance(ACK) == CONFIRM:
            self.stop_repeat()
            delay_s = self.context.timing.t4_s if self.flow.transport == "UDP" else 0.0
            self.set_deadline(now, delay_s, DEADLINE_TIMER)  # Timer I

    def respond(self, status: int, data: bytes, now: float) -> None:
        """A response of the transaction user."""
        event = SEND_PROVISIONAL if status < 200 else SEND_SUCCESS if status < 300 else SEND_FAILURE
        action = self.advance(event)
        if action == NOTHING:
            return
        self.last_sent = data
        self.send(data)
        if action == SEND_FINAL:
            timing = self.context.timing
            is_stream = self.flow.transport != "UDP"
            is_invite = self.table is INVITE_SERVER
            if not is_invite:
                self.shed()
            elif self.state == ACCEPTED:
                self.last_sent = b""  # its repeats are the transaction user's
            # Timers H, J and L are all 64*T1, but J is zero on a stream, where nothing is repeated (Table 4).
            self.set_deadline(now, 0.0 if is_stream and not is_invite else timing.transaction_s, DEADLINE_TIMER)
            if self.state == COMPLETED and is_invite and not is_stream:
                self.set_repeat(now, timing.t1_s, REPEAT_TIMER)

    def timer_fired(self, code: int, now: float) -> None:
        """Timers G, H, I, J and L."""
        action = self.advance(code)
        if action == REPEAT:
            self.send(self.last_sent)
            self.set_repeat(now, min(self.repeat_s * 2, self.context.timing.t2_s), REPEAT_TIMER)
        elif action == MISS_ACK:
            self.context.out.append(AckMissed(self))
        if self.state == TERMINATED:
            self.leave()

    def shed(self) -> None:
        """Nothing is asked of it any more but what it said last: an INVITE of a call that is over, any other request
        with its final response."""
        del self.request
        self.head = _NO_HEAD
        if self.table is not INVITE_SERVER:
            self.owner = None  # only a CANCEL asks for it

    def abandon(self) -> None:
        """Ends without an answer: for sources that get none, and requests that nobody will answer any more."""
        self.state = TERMINATED
        self.leave()

    def leave(self) -> None:
        """Forgets the transaction, as one of several paths of its request too."""
        Transaction.leave(self)
        self.owner = None  # nothing comes up from here any more: no ring of references stays behind
        if self.merge_key is not None:
            del self.context.merged[self.merge_key]
            self.merge_key = None

    def start(self, context: TransactionContext, key: object) -> bool:
        """Takes its place. False when the same request is already here by another path: 482 (§8.2.2.2)."""
        self.enter(context, context.servers, key)
        request = self.request
        if request.to_tag or request.method == "CANCEL":
            return True
        merge_key: object = (request.call_id, request.from_tag, request.cseq, request.method)  # made once, as an object
        if context.merged.setdefault(merge_key, self) is not self:
            return False
        self.merge_key = merge_key
        return True
