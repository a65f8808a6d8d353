"""A caller and a callee made of the transaction layer alone, for tests over a link that loses datagrams."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sipstack.client_transaction import ClientTransaction
from sipstack.dialog import Dialog
from sipstack.events import (
    AckMissed,
    AckReceived,
    Flow,
    Output,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
    SendMessage,
)
from sipstack.message import Message
from sipstack.server_transaction import ServerTransaction
from sipstack.testing.doubles import Later
from sipstack.testing.playbook import wire
from sipstack.timers import Timing
from sipstack.transactions import Transactions

CALLER: Final = ("192.0.2.1", 5060)
CALLEE: Final = ("192.0.2.2", 5060)
TO_CALLEE: Final = Flow("UDP", *CALLEE)

INVITE: Final = """
    INVITE sip:callee@192.0.2.2 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKinvite-{number}
    Max-Forwards: 70
    From: <sip:caller@192.0.2.1>;tag=caller-{number}
    To: <sip:callee@192.0.2.2>
    Contact: <sip:caller@192.0.2.1>
    Call-ID: call-{number}
    CSeq: 1 INVITE
"""
IN_DIALOG: Final = """
    {method} {uri} SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method}-{number}
    Max-Forwards: 70
    {lines}
"""


class Phone:
    """What both have: transactions, and a count of what has happened to each call."""

    def __init__(self) -> None:
        self.core = Transactions(Timing())
        self.now = 0.0
        self.done: Counter[str] = Counter()  # "answered call-7": 1
        self.pending: list[Output] = []

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """Bytes of one datagram."""
        self.now = now
        return self.core.receive(data, flow, now)

    def handle_timer(self, now: float) -> list[Output]:
        """Timers of the transactions, and of the 2xx."""
        self.now = now
        outputs = self.core.handle_timer(now) + self.pending
        self.pending = []
        return outputs

    def next_deadline(self) -> float | None:
        """When `handle_timer` is wanted next."""
        return self.core.next_deadline()

    def count(self, what: str) -> int:
        """For how many calls this has happened."""
        return sum(1 for key in self.done if key.startswith(what))


class CallingPhone(Phone):
    """Calls, acknowledges every 2xx, and hangs up on the first of a call."""

    def call(self, number: int, now: float) -> list[Output]:
        """Places a call; even ones are answered, every fourth is busy."""
        self.now = now
        invite = wire(INVITE, number=number)
        branch = f"z9hG4bKinvite-{number}"
        return self.core.start(ClientTransaction("INVITE", branch, invite, TO_CALLEE, number), now)

    def execute(self, output: Output) -> list[Output]:
        """Events of the transactions."""
        if isinstance(output, RequestTimedOut):
            self.done[f"{output.transaction.method} timed out {output.transaction.owner}"] += 1
        elif isinstance(output, ResponseReceived) and output.response.is_final:
            number, response = output.transaction.owner, output.response
            self.done[f"{response.method} {response.status} {number}"] += 1
            if response.method == "INVITE" and response.status == 200:
                return self._answered(number, response)
        return []

    def _answered(self, number: object, response: Message) -> list[Output]:
        dialog = Dialog.as_client(f"<sip:caller@192.0.2.1>;tag=caller-{number}", f"caller-{number}", response)
        outputs: list[Output] = [SendMessage(self._request(dialog, "ACK", 1, number), TO_CALLEE)]
        if self.done[f"INVITE 200 {number}"] == 1:
            bye = self._request(dialog, "BYE", dialog.next_seq(), number)
            outputs += self.core.start(
                ClientTransaction("BYE", f"z9hG4bKBYE-{number}", bye, TO_CALLEE, number), self.now
            )
        return outputs

    @staticmethod
    def _request(dialog: Dialog, method: str, seq: int, number: object) -> bytes:
        lines = dialog.request_rows(method, seq).replace("\r\n", "\n")
        return wire(IN_DIALOG, method=method, uri=dialog.request_uri(), number=number, lines=lines)


class Success:
    """A 2xx that is repeated until its ACK comes (RFC 3261 §13.3.1.4)."""

    def __init__(self, phone: AnsweringPhone, transaction: ServerTransaction, data: bytes) -> None:
        self.phone, self.transaction, self.data = phone, transaction, data
        self.gap_s = phone.core.timing.t1_s
        self.is_acknowledged = False
        self.timers = Later(self._timer_fired)
        phone.core.wheel.set(phone.now, self.gap_s, self.timers, 0)

    def _timer_fired(self, code: int, now: float) -> None:
        """Once more; the transaction lets nothing through after Timer L."""
        if self.is_acknowledged or not self.transaction.is_accepted:
            return
        self.phone.pending += self.phone.core.respond(self.transaction, 200, self.data, now)
        self.gap_s = min(2 * self.gap_s, self.phone.core.timing.t2_s)
        self.phone.core.wheel.set(now, self.gap_s, self.timers, 0)


class AnsweringPhone(Phone):
    """Rings and answers; every fourth call is busy."""

    def __init__(self) -> None:
        super().__init__()
        self.successes: dict[str, Success] = {}

    def execute(self, output: Output) -> list[Output]:
        """Events of the transactions."""
        if isinstance(output, RequestReceived):
            self.done[f"{output.request.method} {output.request.call_id}"] += 1
            if output.request.method == "INVITE":
                return self._invited(output.transaction)
            return self.respond(output.transaction, 200)
        if isinstance(output, AckReceived):
            self.done[f"ACK {output.request.call_id}"] = 1
            self.successes[output.request.call_id].is_acknowledged = True
        elif isinstance(output, AckMissed):
            self.done[f"missed ACK {output.transaction.request.call_id}"] += 1
        return []

    def respond(self, transaction: ServerTransaction, status: int) -> list[Output]:
        """Answers; a 2xx to an INVITE is repeated from now on."""
        call_id = transaction.request.call_id
        data = transaction.head.build(status, f"callee-of-{call_id}", ["Contact: <sip:callee@192.0.2.2:5060>"])
        if status == 200 and transaction.method == "INVITE":
            self.successes[call_id] = Success(self, transaction, data)
        return self.core.respond(transaction, status, data, self.now)

    def _invited(self, transaction: ServerTransaction) -> list[Output]:
        is_busy = int(transaction.request.call_id.partition("-")[2]) % 4 == 3
        return self.respond(transaction, 180) + self.respond(transaction, 486 if is_busy else 200)
