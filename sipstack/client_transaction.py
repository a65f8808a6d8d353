"""Client transactions: RFC 3261 figures 5 and 6 as tables, with Accepted of RFC 6026 §7.2."""

from __future__ import annotations

from typing import Final, final

from sipstack import headers as h
from sipstack.digest import CHALLENGES
from sipstack.events import Flow, RequestFailed, RequestTimedOut, ResponseReceived
from sipstack.message import Message, render
from sipstack.parser import parse
from sipstack.table import Table
from sipstack.transaction import Transaction, TransactionContext

# States
CALLING: Final = 0  # figure 5; Trying in figure 6
PROCEEDING: Final = 1
COMPLETED: Final = 2
ACCEPTED: Final = 3
TERMINATED: Final = 4
_STATES: Final = ("Calling", "Proceeding", "Completed", "Accepted", "Terminated")
_NON_INVITE_STATES: Final = ("Trying", "Proceeding", "Completed", "(Accepted)", "Terminated")

# Inputs; a timer's input is also its code on the wheel
PROVISIONAL: Final = 0
SUCCESS: Final = 1
FAILURE: Final = 2
REPEAT_TIMER: Final = 3  # A and E
TIMEOUT_TIMER: Final = 4  # B and F
LINGER_TIMER: Final = 5  # D, K and M
TRANSPORT_ERROR: Final = 6
_INPUTS: Final = ("1xx", "2xx", "300-699", "Timer A", "Timer B", "Timer D or M", "transport error")
_NON_INVITE_INPUTS: Final = ("1xx", "2xx", "300-699", "Timer E", "Timer F", "Timer K", "transport error")

# Actions
NOTHING: Final = 0
PASS_UP: Final = 1
PASS_UP_AND_LINGER: Final = 2
PASS_UP_AND_ACK: Final = 3
ACK_AGAIN: Final = 4
REPEAT: Final = 5
TIME_OUT: Final = 6
FAIL: Final = 7
_ACTIONS: Final = (
    "nothing",
    "pass up",
    "pass up, linger",
    "pass up, ACK, linger",
    "ACK",
    "send again",
    "time out",
    "fail",
)

INVITE_CLIENT: Final = Table(
    "INVITE client",
    _STATES,
    _INPUTS,
    _ACTIONS,
    (
        (CALLING, PROVISIONAL, PROCEEDING, PASS_UP, "figure 5; §17.1.1.2"),
        (CALLING, SUCCESS, ACCEPTED, PASS_UP_AND_LINGER, "RFC 6026 §7.2, figure 5: Timer M"),
        (CALLING, FAILURE, COMPLETED, PASS_UP_AND_ACK, "figure 5; §17.1.1.2: Timer D"),
        (CALLING, REPEAT_TIMER, CALLING, REPEAT, "figure 5: Timer A fires, reset A, INVITE sent"),
        (CALLING, TIMEOUT_TIMER, TERMINATED, TIME_OUT, "figure 5: Timer B fires"),
        (CALLING, LINGER_TIMER, CALLING, NOTHING, "not set in this state"),
        (CALLING, TRANSPORT_ERROR, TERMINATED, FAIL, "figure 5: transport error, inform TU"),
        (PROCEEDING, PROVISIONAL, PROCEEDING, PASS_UP, "figure 5"),
        (PROCEEDING, SUCCESS, ACCEPTED, PASS_UP_AND_LINGER, "RFC 6026 §7.2"),
        (PROCEEDING, FAILURE, COMPLETED, PASS_UP_AND_ACK, "figure 5"),
        (PROCEEDING, REPEAT_TIMER, PROCEEDING, NOTHING, "§17.1.1.2: a provisional stops retransmission"),
        (PROCEEDING, TIMEOUT_TIMER, PROCEEDING, NOTHING, "figure 5: Timer B counts in Calling only"),
        (PROCEEDING, LINGER_TIMER, PROCEEDING, NOTHING, "not set in this state"),
        (PROCEEDING, TRANSPORT_ERROR, PROCEEDING, NOTHING, "nothing of this transaction is being sent"),
        (COMPLETED, PROVISIONAL, COMPLETED, NOTHING, "figure 5: only 300-699 counts"),
        (COMPLETED, SUCCESS, COMPLETED, NOTHING, "figure 5: only 300-699 counts"),
        (COMPLETED, FAILURE, COMPLETED, ACK_AGAIN, "figure 5: 300-699, ACK sent"),
        (COMPLETED, REPEAT_TIMER, COMPLETED, NOTHING, "stopped"),
        (COMPLETED, TIMEOUT_TIMER, COMPLETED, NOTHING, "stopped"),
        (COMPLETED, LINGER_TIMER, TERMINATED, NOTHING, "figure 5: Timer D fires"),
        (COMPLETED, TRANSPORT_ERROR, TERMINATED, FAIL, "figure 5: transport error, inform TU"),
        (ACCEPTED, PROVISIONAL, ACCEPTED, NOTHING, "RFC 6026 §7.2: only 2xx is passed up"),
        (ACCEPTED, SUCCESS, ACCEPTED, PASS_UP, "RFC 6026 §7.2: 2xx to TU"),
        (ACCEPTED, FAILURE, ACCEPTED, NOTHING, "RFC 6026 §7.2: only 2xx is passed up"),
        (ACCEPTED, REPEAT_TIMER, ACCEPTED, NOTHING, "stopped"),
        (ACCEPTED, TIMEOUT_TIMER, ACCEPTED, NOTHING, "stopped"),
        (ACCEPTED, LINGER_TIMER, TERMINATED, NOTHING, "RFC 6026 §7.2: Timer M fires"),
        (ACCEPTED, TRANSPORT_ERROR, ACCEPTED, NOTHING, "RFC 6026 §7.2: the ACK is the TU's"),
        *((TERMINATED, event, TERMINATED, NOTHING, "gone") for event in range(len(_INPUTS))),
    ),
)

_UNUSED: Final = "figure 6 has no such state"
NON_INVITE_CLIENT: Final = Table(
    "non-INVITE client",
    _NON_INVITE_STATES,
    _NON_INVITE_INPUTS,
    _ACTIONS,
    (
        (CALLING, PROVISIONAL, PROCEEDING, PASS_UP, "figure 6"),
        (CALLING, SUCCESS, COMPLETED, PASS_UP_AND_LINGER, "figure 6: 200-699, Timer K"),
        (CALLING, FAILURE, COMPLETED, PASS_UP_AND_LINGER, "figure 6: 200-699, Timer K"),
        (CALLING, REPEAT_TIMER, CALLING, REPEAT, "figure 6: Timer E, send request"),
        (CALLING, TIMEOUT_TIMER, TERMINATED, TIME_OUT, "figure 6: Timer F"),
        (CALLING, LINGER_TIMER, CALLING, NOTHING, "not set in this state"),
        (CALLING, TRANSPORT_ERROR, TERMINATED, FAIL, "figure 6: transport error, inform TU"),
        (PROCEEDING, PROVISIONAL, PROCEEDING, PASS_UP, "figure 6"),
        (PROCEEDING, SUCCESS, COMPLETED, PASS_UP_AND_LINGER, "figure 6"),
        (PROCEEDING, FAILURE, COMPLETED, PASS_UP_AND_LINGER, "figure 6"),
        (PROCEEDING, REPEAT_TIMER, PROCEEDING, REPEAT, "figure 6: Timer E, every T2"),
        (PROCEEDING, TIMEOUT_TIMER, TERMINATED, TIME_OUT, "figure 6: Timer F"),
        (PROCEEDING, LINGER_TIMER, PROCEEDING, NOTHING, "not set in this state"),
        (PROCEEDING, TRANSPORT_ERROR, TERMINATED, FAIL, "figure 6: transport error, inform TU"),
        (COMPLETED, PROVISIONAL, COMPLETED, NOTHING, "§17.1.2.2: Completed absorbs"),
        (COMPLETED, SUCCESS, COMPLETED, NOTHING, "§17.1.2.2: Completed absorbs"),
        (COMPLETED, FAILURE, COMPLETED, NOTHING, "§17.1.2.2: Completed absorbs"),
        (COMPLETED, REPEAT_TIMER, COMPLETED, NOTHING, "stopped"),
        (COMPLETED, TIMEOUT_TIMER, COMPLETED, NOTHING, "stopped"),
        (COMPLETED, LINGER_TIMER, TERMINATED, NOTHING, "figure 6: Timer K"),
        (COMPLETED, TRANSPORT_ERROR, COMPLETED, NOTHING, "nothing is being sent"),
        *((ACCEPTED, event, ACCEPTED, NOTHING, _UNUSED) for event in range(len(_INPUTS))),
        *((TERMINATED, event, TERMINATED, NOTHING, "gone") for event in range(len(_INPUTS))),
    ),
)


@final
class ClientTransaction(Transaction):
    """One request of ours. `owner` is the transaction user's own object, handed back with every event.

    The request is let go of with its final response: none of its repeats will leave any more, and the ACK is kept.
    """

    __slots__ = ("ack", "branch", "otherwise", "owner")

    def __init__(self, method: str, branch: str, data: bytes, flow: Flow, owner: object) -> None:
        Transaction.__init__(self, method, INVITE_CLIENT if method == "INVITE" else NON_INVITE_CLIENT, flow)
        self.branch = branch
        self.last_sent = data
        self.owner = owner
        self.ack = b""
        self.otherwise: tuple[bytes, Flow] | None = None  # how it is sent when this way fails

    @property
    def awaits_final(self) -> bool:
        """True while no final response has come and none has been given up."""
        return self.state in (CALLING, PROCEEDING)

    def drop(self) -> None:
        """Ends without a word to the transaction user, who has lost interest."""
        self.state = TERMINATED
        self.owner = None
        self.leave()

    def start(self, context: TransactionContext, now: float) -> None:
        """Sends the request and sets Timers A and B, or E and F; A and E for UDP only (§17.1.1.2, §17.1.2.2)."""
        self.enter(context, context.clients, f"{self.branch} {self.method}")
        self.send(self.last_sent)
        if self.flow.transport == "UDP":
            self.set_repeat(now, context.timing.t1_s, REPEAT_TIMER)
        self.set_deadline(now, context.timing.transaction_s, TIMEOUT_TIMER)

    def renew(self, branch: str, data: bytes, now: float) -> None:
        """Takes another request, to be started anew, which its user takes for the same (§8.1.3.5, §22.2).

        The one before has its final response; what still comes of that is absorbed by a transaction that nobody owns.
        """
        context = self.context
        before = ClientTransaction(self.method, self.branch, self.last_sent, self.flow, None)
        before.enter(context, context.clients, f"{self.branch} {self.method}")
        before.state, before.ack = self.state, self.ack
        before._linger(now)
        self.state, self.branch, self.last_sent, self.ack = CALLING, branch, data, b""
        self.otherwise = None

    def resume(self, context: TransactionContext) -> None:
        """Takes its place in Proceeding, as after a provisional (§17.1.1.2)."""
        self.enter(context, context.clients, f"{self.branch} {self.method}")
        self.state = PROCEEDING

    def response_received(self, response: Message, flow: Flow, now: float) -> None:
        """A response whose top branch and CSeq method are ours (§17.1.3)."""
        status = response.status
        event = PROVISIONAL if status < 200 else SUCCESS if status < 300 else FAILURE
        action = self.advance(event)
        if action == NOTHING:
            return
        if action == ACK_AGAIN:
            self.send(self.ack)
            return
        if event != PROVISIONAL or self.table is INVITE_CLIENT:
            self.stop_repeat()  # a non-INVITE goes on every T2 until its final (figure 6)
        if action == PASS_UP_AND_ACK:
            self.ack = ack_for_failure(self.last_sent, response)
            self.send(self.ack)
        if action != PASS_UP:
            self._linger(now)
            if status not in CHALLENGES:  # whoever answers one needs the request again
                self.last_sent, self.otherwise = b"", None
        self.context.out.append(ResponseReceived(self, response, flow))

    def timer_fired(self, code: int, now: float) -> None:
        """Timers A, B, D, E, F, K and M."""
        action = self.advance(code)
        if action == REPEAT:
            self.send(self.last_sent)
            self.set_repeat(now, self._next_gap(), REPEAT_TIMER)
        elif action == TIME_OUT:
            self.context.out.append(RequestTimedOut(self))
        elif code == LINGER_TIMER:
            self.owner = None  # its user has heard all that there was: no ring of references stays behind
        if self.state == TERMINATED:
            self.leave()

    def transport_failed(self) -> None:
        """The transport could not send (§17.1.4)."""
        if self.advance(TRANSPORT_ERROR) == FAIL:
            self.context.out.append(RequestFailed(self))
        if self.state == TERMINATED:
            self.leave()

    def undelivered(self) -> None:
        """What was sent has come back, or was not taken. Of several copies another one may have arrived."""
        if self.state == CALLING and self.repeat_s <= self.context.timing.t1_s:
            self.transport_failed()
        else:
            self.connection_lost()

    def connection_lost(self) -> None:
        """The way that the request left by has gone, and the request may have arrived.

        Who has said nothing to an INVITE will not say it any more: as if it had not arrived (§17.1.4). Anything else
        has its effect when it arrives, so it counts as unanswered, and is not tried elsewhere.
        """
        if self.table is INVITE_CLIENT:
            self.transport_failed()
        elif self.advance(TIMEOUT_TIMER) == TIME_OUT:
            self.context.out.append(RequestTimedOut(self))
            self.leave()

    def _next_gap(self) -> float:
        timing = self.context.timing
        if self.table is INVITE_CLIENT:
            return self.repeat_s * 2  # Timer A has no ceiling: Timer B ends it (§17.1.1.2)
        return timing.t2_s if self.state == PROCEEDING else min(self.repeat_s * 2, timing.t2_s)

    def _linger(self, now: float) -> None:
        """Timer K is T4, Timers D and M are 64*T1; on a stream K and D are zero (Table 4; RFC 6026 §7.2)."""
        timing = self.context.timing
        delay_s = timing.transaction_s if self.table is INVITE_CLIENT else timing.t4_s
        if self.state == COMPLETED and self.flow.transport != "UDP":
            delay_s = 0.0
        self.set_deadline(now, delay_s, LINGER_TIMER)


def ack_for_failure(invite: bytes, response: Message) -> bytes:
    """The ACK of a 300-699: all of the INVITE's own, but To, which is the response's (§17.1.1.3)."""
    request = parse(invite)
    credentials = _credentials_in(request) if b"uthorization: " in invite else []
    return _of_same_transaction(request, "ACK", f"To: {response.value(h.TO)}", credentials)


def cancel_for(invite: bytes, more: list[str] | None = None) -> bytes:
    """The CANCEL of an INVITE of ours: same Request-URI, Call-ID, To, From, CSeq number, Route, top Via (§9.1).

    `more` are rows of its own.
    """
    request = parse(invite)
    return _of_same_transaction(request, "CANCEL", f"To: {request.value(h.TO)}", more)


def _credentials_in(request: Message) -> list[str]:
    """The rows that the ACK of an INVITE repeats (§22.1)."""
    fields = ("Authorization", "Proxy-Authorization")
    return [f"{field}: {value}" for field in fields for value in request.named(field)]


def _of_same_transaction(request: Message, method: str, to_line: str, more: list[str] | None = None) -> bytes:
    lines = [request.line(h.VIA), "Max-Forwards: 70", request.line(h.FROM), to_line, request.line(h.CALL_ID)]
    lines.append(f"CSeq: {request.cseq} {method}")
    lines.extend(f"Route: {value}" for value in request.values(h.ROUTE))
    return render(f"{method} {request.uri_text} SIP/2.0", lines + more if more else lines)
