"""The transaction layer on a bench: `Transactions` behind a playbook, messages for it, and what it does in words.

We are the node at `NODE`; `PEER` is the other end, which sends us requests and answers ours.
"""

from __future__ import annotations

from typing import Final

from sipstack.client_transaction import ClientTransaction
from sipstack.events import (
    AckMissed,
    AckReceived,
    CancelReceived,
    MalformedReceived,
    Output,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
    StraySuccessReceived,
)
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.response import ResponseHead
from sipstack.server_transaction import ServerTransaction
from sipstack.testing.playbook import Playbook, flow_of, wire
from sipstack.timers import T1_S, Timing
from sipstack.transactions import Transactions

NODE: Final = "192.0.2.7:5060"
PEER: Final = "192.0.2.1:5070"

REQUEST: Final = """
    {method} {uri} SIP/2.0
    Via: SIP/2.0/UDP {via}
    Max-Forwards: 70
    From: <sip:caller@peer.example>;tag={from_tag}
    To: <sip:callee@node.example>{to_tag}
    Call-ID: {call_id}
    CSeq: {cseq} {method}
"""
USUAL: Final[dict[str, object]] = {
    "uri": "sip:callee@node.example",
    "via": f"{PEER};branch=z9hG4bKpeer",
    "from_tag": "caller",
    "to_tag": "",
    "call_id": "call-of-peer",
    "cseq": 7,
}


def request(method: str = "INVITE", **changes: object) -> bytes:
    """A request of the peer. ACK and CANCEL come out as those of the same INVITE."""
    return wire(REQUEST, **(USUAL | {"method": method} | changes))


def answer(data: bytes, status: int, tag: str = "callee") -> bytes:
    """What a peer answers to a request of ours."""
    host, _, port = NODE.rpartition(":")
    return ResponseHead(parse(data), host, int(port)).build(status, tag)


def in_words(event: Output) -> str:
    """`ResponseReceived 486`, `AckMissed INVITE`, `MalformedReceived 400`."""
    name = type(event).__name__
    if isinstance(event, ResponseReceived | StraySuccessReceived):
        return f"{name} {event.response.status}"
    if isinstance(event, RequestReceived | AckReceived | CancelReceived):
        return f"{name} {event.request.method}"
    if isinstance(event, RequestTimedOut | RequestFailed | AckMissed):
        return f"{name} {event.transaction.method}"
    assert isinstance(event, MalformedReceived)
    return f"{name} {event.error.status_hint}"


class Bench:
    """One node. Seconds count from its start."""

    def __init__(self, t1_s: float = T1_S) -> None:
        self.core = Transactions(Timing(t1_s))
        self.book = Playbook(self.core)

    def receive(self, data: bytes, source: str = PEER) -> None:
        """A datagram arrives."""
        self.book.wire_in(data, source)

    def client(self, method: str, branch: str = "z9hG4bKnode", to: str = PEER) -> ClientTransaction:
        """We send a request."""
        data = request(method, via=f"{NODE};branch={branch};rport", call_id="call-of-node")
        transaction = ClientTransaction(method, branch, data, flow_of(to), None)
        self.book.perform(self.core.start(transaction, self.book.now))
        return transaction

    def reply(self, transaction: ClientTransaction, status: int, tag: str = "callee") -> None:
        """The peer answers a request of ours."""
        branch = f"branch={transaction.branch};rport"
        data = request(transaction.method, via=f"{NODE};{branch}", call_id="call-of-node")
        self.receive(answer(data, status, tag))

    def server(self, method: str, source: str = PEER, **changes: object) -> ServerTransaction:
        """The peer sends a request, which reaches the transaction user."""
        self.receive(request(method, **changes), source)
        event = self.book.events.pop()
        assert isinstance(event, RequestReceived)
        return event.transaction

    def respond(self, transaction: ServerTransaction, status: int, *lines: str) -> bytes:
        """We answer a request of the peer's. Returns the bytes."""
        data = transaction.head.build(status, "node", list(lines))
        self.book.perform(self.core.respond(transaction, status, data, self.book.now))
        return data

    def fail(self, address: str = PEER, data: bytes = b"") -> None:
        """The transport could not send `data`, or what begins so, to an address."""
        self.book.perform(self.core.transport_failed(flow_of(address), data))

    def told(self) -> list[str]:
        """What the transaction user has been told since the last time."""
        words = [in_words(event) for event in self.book.events]
        self.book.events.clear()
        return words

    def sent(self) -> list[str]:
        """What has been sent since the last time: methods and status codes."""
        return [_what(self.take()) for _ in range(len(self.book.sent))]

    def take(self) -> Message:
        """The next message that was sent."""
        return self.book.wire_out("")

    def watch(self, seconds: float) -> list[tuple[float, str]]:
        """Lets time pass; what was sent when, in seconds from now. What waits to be taken was sent at 0."""
        start = self.book.now - self.book.START_S
        log = [(0.0, what) for what in self.sent()]
        passed = 0.0
        while passed < seconds:
            deadline = self.core.next_deadline()
            passed = seconds if deadline is None else min(seconds, deadline - self.book.START_S - start)
            self.book.at(start + passed)
            log += [(round(passed, 6), what) for what in self.sent()]
        return log

    def is_empty(self) -> bool:
        """Nothing is left of anything: no transaction, no timer, no key."""
        return not len(self.core) and not len(self.core.wheel) and not self.core._context.merged


def _what(message: Message) -> str:
    return str(message.status) if message.status else message.method
