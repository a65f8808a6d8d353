"""A telephone for the lossy link: it rings, answers, forks, cancels and hangs up when its plan says so.

It keeps to RFC 3261 as a user agent must: it repeats its 2xx until the ACK, acknowledges every copy of one, hangs up
when its ACK is missed, and answers whatever comes in its dialogs. One whose plan has no `acks` does not acknowledge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from sipstack.client_transaction import PROCEEDING, ClientTransaction, cancel_for
from sipstack.dialog import Dialog
from sipstack.events import (
    AckReceived,
    CancelReceived,
    Flow,
    Output,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
    SendMessage,
)
from sipstack.message import Message, render
from sipstack.server_transaction import ServerTransaction
from sipstack.testing.doubles import Later
from sipstack.timers import TimerWheel, Timing
from sipstack.transactions import Transactions

T1_S: Final = 0.5
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


@dataclass
class Plan:
    """What a phone does, in seconds: after its INVITE (caller), after the INVITE that came (callee)."""

    rings: list[float] = field(default_factory=list)  # one for each tag
    final_s: float | None = None
    status: int = 200
    second_2xx_s: float | None = None
    cancel_s: float | None = None
    bye_s: float | None = None
    early_bye: bool = False  # the caller hangs up in early dialogs, too (§15)
    acks: bool = True
    answers_asks: bool = True  # False: an INVITE within the conversation rings for ever
    asks: list[tuple[float, str]] = field(default_factory=list)  # INFO, UPDATE, INVITE within the conversation


@dataclass
class Session:
    """A dialog of a phone."""

    dialog: Dialog
    acks: dict[int, bytes] = field(default_factory=dict)  # our ACKs by the number of their INVITE
    is_up: bool = False  # confirmed
    is_over: bool = False
    byes: int = 0  # that have come, copies not counted
    awaits_ack: int = -1  # the number of the INVITE that we have answered 2xx


class Phone:
    """A core for the link. `side` is "a" or "b": it stands in front of every tag and branch."""

    def __init__(self, address: str, number: str, side: str, node: Flow, sdp: str, plan: Plan, seed: int) -> None:
        self.address, self.number, self.side, self.node, self.sdp, self.plan = address, number, side, node, sdp, plan
        self.transactions = Transactions(Timing())
        self.wheel = TimerWheel()
        self.random = Random(f"{seed} {address}")
        self.sessions: dict[tuple[str, str], Session] = {}  # by local and remote tag
        self.finals: set[int] = set()  # what the INVITE of the caller was answered with
        self.invite: ClientTransaction | None = None
        self.wants_cancel = False
        self.called: dict[str, ServerTransaction] = {}  # INVITEs that have come, by Call-ID
        self.out: list[Output] = []

    # -- the verbs of a core ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        self._handle(self.transactions.receive(data, flow, now), now)
        return self._take()

    def handle_timer(self, now: float) -> list[Output]:
        self._handle(self.transactions.handle_timer(now), now)
        self.wheel.fire(now)
        return self._take()

    def next_deadline(self) -> float | None:
        return min(
            (d for d in (self.transactions.next_deadline(), self.wheel.next_deadline()) if d is not None), default=None
        )

    def _take(self) -> list[Output]:
        out, self.out = self.out, []
        return out

    def after(self, seconds: float, now: float, do: Callable[[float], None]) -> None:
        self.wheel.set(now, seconds, Later(lambda _, now: do(now)), 0)

    def token(self) -> str:
        return "".join(self.random.choices(LETTERS, k=10))

    @property
    def in_conversation(self) -> list[Session]:
        return [session for session in self.sessions.values() if session.is_up and not session.is_over]

    # -- what it sends ---------------------------------------------------------------------------------------------

    def call(self, invite: bytes, branch: str, now: float) -> list[Output]:
        """Sends its INVITE."""
        self.invite = ClientTransaction("INVITE", branch, invite, self.node, "first")
        self.out += self.transactions.start(self.invite, now)
        if self.plan.cancel_s is not None:
            self.after(self.plan.cancel_s, now, self._cancel)
        self._plan_talk(now)
        return self._take()

    def _plan_talk(self, now: float) -> None:
        if self.plan.bye_s is not None:
            self.after(self.plan.bye_s, now, self.hang_up)
        for seconds, method in self.plan.asks:
            self.after(seconds, now, lambda then, method=method: self._ask(method, then))  # type: ignore[misc]

    def _cancel(self, now: float) -> None:
        invite = self.invite
        self.wants_cancel = True
        if invite is not None and invite.state == PROCEEDING:
            cancel = ClientTransaction("CANCEL", invite.branch, cancel_for(invite.last_sent), self.node, "other")
            self.out += self.transactions.start(cancel, now)

    def hang_up(self, now: float) -> None:
        early = [s for s in self.sessions.values() if not s.is_up and not s.is_over] if self.plan.early_bye else []
        for session in self.in_conversation + early:
            session.is_over = True
            self._request(session, "BYE", now)

    def _ask(self, method: str, now: float) -> None:
        for session in self.in_conversation:
            if session.awaits_ack < 0:
                self._request(session, method, now, self.sdp if method != "INFO" else "")

    def _request(self, session: Session, method: str, now: float, sdp: str = "") -> None:
        branch = f"z9hG4bK-{self.side}{self.token()}"
        data = self._build(session, method, session.dialog.next_seq(), branch, sdp)
        self.out += self.transactions.start(ClientTransaction(method, branch, data, self.node, session), now)

    def _build(self, session: Session, method: str, seq: int, branch: str, sdp: str = "") -> bytes:
        dialog = session.dialog
        lines = [f"Via: SIP/2.0/UDP {self.address};branch={branch};rport", "Max-Forwards: 70"]
        lines += [*dialog.request_rows(method, seq).split("\r\n"), f"Contact: <sip:{self.number}@{self.address}>"]
        lines += ["Content-Type: application/sdp"] if sdp else []
        return render(
            f"{method} {dialog.request_uri()} SIP/2.0",
            lines,
            sdp.strip().replace("\n", "\r\n").encode() + b"\r\n" if sdp else b"",
        )

    def _answer(self, server: ServerTransaction, status: int, tag: str, now: float, sdp: str = "") -> None:
        lines = [f"Contact: <sip:{self.number}@{self.address}>", f"Server: {self.number}"]
        lines += ["Content-Type: application/sdp"] if sdp else []
        data = server.head.build(
            status, tag, lines, sdp.strip().replace("\n", "\r\n").encode() + b"\r\n" if sdp else b""
        )
        self.out += self.transactions.respond(server, status, data, now)

    # -- what it hears ---------------------------------------------------------------------------------------------

    def _handle(self, events: list[Output], now: float) -> None:
        for event in events:
            if isinstance(event, SendMessage):
                self.out.append(event)
            elif isinstance(event, ResponseReceived):
                self._response(event.transaction, event.response, now)
            elif isinstance(event, RequestReceived):
                self._heard(event.transaction, event.request, now)
            elif isinstance(event, AckReceived):
                session = self.sessions.get((event.request.to_tag, event.request.from_tag))
                if session is not None and session.awaits_ack == event.request.cseq:
                    session.awaits_ack = -1
            elif isinstance(event, CancelReceived):
                self._answer(event.transaction, 200, f"{self.side}-tag", now)
                self._answer(event.invite, 487, f"{self.side}-tag", now)  # dropped where it is answered
            elif isinstance(event, RequestTimedOut) and isinstance(event.transaction.owner, Session):
                self._lost(event.transaction.owner, now)

    def _lost(self, session: Session, now: float) -> None:
        """The other end says nothing any more, or does not know the dialog (§12.2.1.2)."""
        if not session.is_over:
            session.is_over = True
            self._request(session, "BYE", now)

    def _response(self, transaction: ClientTransaction, response: Message, now: float) -> None:
        if transaction.method == "INVITE":
            if response.is_provisional and self.wants_cancel and transaction.owner == "first":
                self.wants_cancel = False
                self._cancel(now)
            elif response.is_provisional and response.to_tag and transaction.owner == "first":
                self._session_of(response)
            elif 200 <= response.status < 300:
                self._acknowledge(response)
        if transaction.owner == "first" and response.is_final:
            self.finals.add(response.status)
        if isinstance(transaction.owner, Session) and transaction.method != "BYE" and response.status in (408, 481):
            self._lost(transaction.owner, now)

    def _session_of(self, response: Message) -> Session:
        key = (response.from_tag, response.to_tag)
        if key not in self.sessions:
            local = f"<sip:{self.number}@core.example>;tag={response.from_tag}"
            self.sessions[key] = Session(Dialog.as_client(local, response.from_tag, response))
        return self.sessions[key]

    def _acknowledge(self, response: Message) -> None:
        session = self._session_of(response)
        session.is_up = True
        if not self.plan.acks:
            return
        if response.cseq not in session.acks:
            branch = f"z9hG4bK-{self.side}{self.token()}"
            session.acks[response.cseq] = self._build(session, "ACK", response.cseq, branch)
        self.out.append(SendMessage(session.acks[response.cseq], self.node))

    def _heard(self, server: ServerTransaction, request: Message, now: float) -> None:
        if not request.to_tag and request.method == "INVITE":
            self.called[request.call_id] = server
            self._ring(server, request, now)
            return
        session = self.sessions.get((request.to_tag, request.from_tag))
        if session is None or (session.is_over and request.method != "BYE"):
            self._answer(server, 481, "", now)
            return
        session.dialog.accepts_seq(request.cseq)
        if request.method == "BYE":
            session.is_over = True
            session.byes += 1
            session.awaits_ack = -1
            self._answer(server, 200, "", now)
        elif request.method == "INVITE" and not self.plan.answers_asks:
            self._answer(server, 180, "", now)
        elif request.method == "INVITE":
            self._answer_until_ack(server, session, "", now)
        else:
            self._answer(server, 200, "", now)

    def _ring(self, server: ServerTransaction, request: Message, now: float) -> None:
        tags = [f"{self.side}-tag{self.token()}" for _ in self.plan.rings] or [f"{self.side}-tag{self.token()}"]
        for seconds, tag in zip(self.plan.rings, tags, strict=False):
            self.after(seconds, now, lambda then, tag=tag: self._answer(server, 180, tag, then))  # type: ignore[misc]
        if self.plan.final_s is not None:
            self.after(self.plan.final_s, now, lambda then: self._decide(server, request, tags[0], then))
            if self.plan.second_2xx_s is not None and len(tags) > 1:
                self.after(self.plan.second_2xx_s, now, lambda then: self._decide(server, request, tags[1], then))
        self._plan_talk(now)

    def _decide(self, server: ServerTransaction, request: Message, tag: str, now: float) -> None:
        if server.is_answered and not server.is_accepted:
            return
        if self.plan.status >= 300:
            self._answer(server, self.plan.status, tag, now)
            return
        session = Session(Dialog.as_server(request, tag, self.random.randrange(1, 1000)))
        session.is_up = True
        self.sessions[(tag, request.from_tag)] = session
        self._answer_until_ack(server, session, tag, now)

    def _answer_until_ack(self, server: ServerTransaction, session: Session, tag: str, now: float) -> None:
        """200, from T1 to T2 until the ACK; after 64*T1 it hangs up (§13.3.1.4)."""
        session.awaits_ack = server.request.cseq
        self._repeat(server, session, tag, (now, T1_S), now)

    def _repeat(
        self, server: ServerTransaction, session: Session, tag: str, since: tuple[float, float], now: float
    ) -> None:
        began, gap_s = since
        if session.awaits_ack != server.request.cseq or (session.is_over and now > began):
            return
        if now - began > 64 * T1_S:
            session.awaits_ack = -1
            self._lost(session, now)
            return
        self._answer(server, 200, tag, now, self.sdp)
        self.after(gap_s, now, lambda then: self._repeat(server, session, tag, (began, min(2 * gap_s, 4.0)), then))
