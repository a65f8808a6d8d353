"""Matching messages to transactions (RFC 3261 §17.1.3, §17.2.3), and the verbs of the stack.

Each verb returns what is to be done: SendMessage for the shell, the other outputs for the transaction user.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final, final

from sipstack import headers as h
from sipstack.client_transaction import ClientTransaction
from sipstack.errors import RemoteSipError
from sipstack.events import (
    AckReceived,
    CancelReceived,
    Flow,
    MalformedReceived,
    Output,
    RequestReceived,
    SendMessage,
    StraySuccessReceived,
)
from sipstack.grammar import USUAL_VIA
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.parser import parse
from sipstack.response import ResponseHead, response_flow
from sipstack.server_transaction import ServerTransaction
from sipstack.timers import TimerWheel, Timing
from sipstack.transaction import TransactionContext
from sipstack.uri import parse_name_addr

MAGIC_COOKIE: Final = "z9hG4bK"


@final
class Transactions:
    """All transactions of one node. `now` is monotonic seconds throughout.

    `are_one_side` is asked whether a response from one flow may answer a request that went to another host: the RFC
    matches it by its branch alone (§17.1.3), and whoever has overheard that could answer for a host that is asked.
    """

    __slots__ = ("_context", "are_one_side", "counters", "wheel")

    def __init__(self, timing: Timing) -> None:
        self.are_one_side: Callable[[Flow, Flow], bool] = _are_one_side
        self.wheel = TimerWheel(timing.t1_s / 50)  # 10 ms at the default T1; what is rounded scales with it, too
        self._context = TransactionContext(timing, self.wheel)
        self.counters = {"malformed": 0, "stray_responses": 0, "retransmissions_in": 0, "merged": 0}

    @property
    def timing(self) -> Timing:
        """The durations in force."""
        return self._context.timing

    def __len__(self) -> int:
        return len(self._context.clients) + len(self._context.servers)

    def receive(self, data: bytes, flow: Flow, now: float, may_answer: bool = True) -> list[Output]:
        """Bytes of one datagram, or of one message of a stream.

        Whatever they are, this returns: bad ones come back as MalformedReceived.

        `may_answer` False is for a source that is told nothing: a merged request from there gets no 482.
        """
        try:
            message = parse(data, flow.transport != "UDP")
        except RemoteSipError as error:
            if not data.strip(b"\r\n\0"):
                return []  # a keep-alive (RFC 5626 §3.5.1; NULs from old phones)
            self.counters["malformed"] += 1
            return [MalformedReceived(error, flow)]
        if message.status:
            self._response(message, flow, now)
        else:
            self._request(message, flow, now, may_answer)
        return self.take()

    def is_repeat(self, data: bytes, now: float) -> bool:
        """Whether a datagram is a copy of a request that is known, or the ACK of one that was refused: dealt with then.

        Told by the first row behind the start line, which is the top Via as nearly everybody writes it; the rest stays
        unread. It costs a fifth of reading it all when it is one, and a tenth on top of that when it is none: for
        when there is no time.
        """
        end = data.find(b"\r\n")
        if data[end + 2 : end + 7] != b"Via: ":
            return False
        line_end = data.find(b"\r\n", end + 7)
        usual = USUAL_VIA.fullmatch(data[end + 7 : line_end].decode("ascii", "replace")) if line_end > 0 else None
        if usual is None:
            return False
        _, host, port, _, branch, _ = usual.groups()
        method = data[: data.find(b" ")].decode("ascii", "replace")
        sent_by = f"{host}:{port}" if port else host
        found = self._context.servers.get(f"{branch} {sent_by} {'INVITE' if method == 'ACK' else method}")
        if not isinstance(found, ServerTransaction) or (method == "ACK" and found.is_accepted):
            return False
        if method == "ACK":
            found.ack_received(now)
        else:
            self.counters["retransmissions_in"] += 1
            found.request_again()
        return True

    def start(self, transaction: ClientTransaction, now: float) -> list[Output]:
        """Sends a request of ours."""
        out: list[Output] = []
        self.start_into(out, transaction, now)
        return out

    def respond(self, transaction: ServerTransaction, status: int, data: bytes, now: float) -> list[Output]:
        """Answers a request; an answer that the transaction's state does not allow is dropped, as its table says."""
        out: list[Output] = []
        self.respond_into(out, transaction, status, data, now)
        return out

    def start_into(self, out: list[Output], transaction: ClientTransaction, now: float) -> None:
        """The same for who has a list already: what is to be done is added to it."""
        context = self._context
        before, context.out = context.out, out
        try:
            transaction.start(context, now)
        finally:
            context.out = before

    def respond_into(
        self, out: list[Output], transaction: ServerTransaction, status: int, data: bytes, now: float
    ) -> None:
        """The same for an answer."""
        context = self._context
        before, context.out = context.out, out
        try:
            transaction.respond(status, data, now)
        finally:
            context.out = before

    def resume(self, transaction: ClientTransaction) -> None:
        """Enters an INVITE that another run of this program has sent: it counts as noticed, and is not sent again."""
        transaction.resume(self._context)

    def take_over(self, transaction: ServerTransaction) -> None:
        """Enters a request that another run of this program has received and not answered to the end."""
        transaction.start(self._context, _server_key(transaction.request, transaction.method))

    def abandon(self, transaction: ServerTransaction) -> None:
        """Ends a server transaction that gets no answer."""
        transaction.abandon()

    def drop(self, transaction: ClientTransaction) -> None:
        """Ends a client transaction whose answer interests nobody any more."""
        transaction.drop()

    def transport_failed(self, flow: Flow, data: bytes) -> list[Output]:
        """The shell could not send `data`, or a datagram that begins so, to `flow`: its request has failed (§18.4).

        What does not reach to the branch of a request counts for nothing: anybody may have made it up who knows no more
        than who talks to whom. Responses on their way there are sent again when they are asked for again (RFC 6026
        §8.8).
        """
        sent = self._request_in(data)
        if sent is not None and sent.flow == flow:
            sent.undelivered()
        return self.take()

    def _request_in(self, data: bytes) -> ClientTransaction | None:
        """The transaction of a request, or of the ACK of its failure, that begins so; None where nothing tells."""
        method = data.partition(b" ")[0].decode(ENCODING, ERRORS)
        via = data.partition(b"\r\n")[2].partition(b"\r\n")[0]
        branch = via.partition(b";branch=")[2].partition(b";")[0].decode(ENCODING, ERRORS)
        found = self._context.clients.get(f"{branch} {'INVITE' if method == 'ACK' else method}")
        return found if isinstance(found, ClientTransaction) else None

    def connection_lost(self, flow: Flow) -> list[Output]:
        """The connection that `flow` names has gone: no answer to what was sent by it is waited for any more."""
        for transaction in self._requests_by(flow):
            transaction.connection_lost()
        return self.take()

    def _requests_by(self, flow: Flow) -> list[ClientTransaction]:
        clients = self._context.clients.values()
        return [one for one in clients if isinstance(one, ClientTransaction) and one.flow == flow]

    def handle_timer(self, now: float) -> list[Output]:
        """Fires what is due."""
        self.wheel.fire(now)
        return self.take()

    def next_deadline(self) -> float | None:
        """When `handle_timer` is wanted next."""
        return self.wheel.next_deadline()

    def take(self) -> list[Output]:
        """What has been collected since the last time, for who spoke to a transaction itself."""
        out = self._context.out
        self._context.out = []
        return out

    def _response(self, message: Message, flow: Flow, now: float) -> None:
        transaction = self._context.clients.get(message.key or _client_key(message))
        is_ours = message.has_one_via  # else it was meant for somebody behind us, and nobody is (§8.1.3.3)
        if is_ours and type(transaction) is ClientTransaction:
            asked = transaction.flow
            if flow.host == asked.host or self.are_one_side(flow, asked):
                transaction.response_received(message, flow, now)
            else:
                self.counters["stray_responses"] += 1
        elif is_ours and 200 <= message.status < 300 and message.method == "INVITE":
            self._context.out.append(StraySuccessReceived(message, flow))
        else:
            self.counters["stray_responses"] += 1  # §17.1.3, RFC 6026 §7.3: dropped, never forwarded

    def _request(self, message: Message, flow: Flow, now: float, may_answer: bool) -> None:
        method = message.method
        key: object = message.key or _server_key(message, "INVITE" if method == "ACK" else method)
        if method == "CANCEL":
            key = (key, flow.host)  # a forged one, which ends nothing, must not be taken for a copy of the real one
        found = self._context.servers.get(key)
        if method == "ACK":
            self._ack(message, found, flow, now)
        elif isinstance(found, ServerTransaction):
            self.counters["retransmissions_in"] += 1
            found.request_again()
        else:
            self._new_request(message, key, flow, now, may_answer)

    def _ack(self, message: Message, found: object, flow: Flow, now: float) -> None:
        """An ACK ends its failed INVITE, or is the transaction user's: for a 2xx (§13.3.1.4, RFC 6026 §7.1)."""
        if isinstance(found, ServerTransaction) and not found.is_accepted:
            found.ack_received(now)
        else:
            self._context.out.append(AckReceived(message, flow))

    def _new_request(self, message: Message, key: object, flow: Flow, now: float, may_answer: bool) -> None:
        transaction = ServerTransaction(message, flow)
        if not transaction.start(self._context, key):
            self.counters["merged"] += 1
            if not may_answer:
                transaction.abandon()
                return
            transaction.respond(482, transaction.head.build(482, _stateless_tag(message)), now)
            return
        invite = self._invite_of(message, flow) if message.method == "CANCEL" else None
        if invite is not None:
            self._context.out.append(CancelReceived(transaction, invite, message))
        else:
            self._context.out.append(RequestReceived(transaction, message, flow))

    def _invite_of(self, cancel: Message, flow: Flow) -> ServerTransaction | None:
        """The INVITE that a CANCEL means (§9.2): it must come from the same host, so that nobody else can cancel."""
        invite = self._context.servers.get(_server_key(cancel, "INVITE"))
        if isinstance(invite, ServerTransaction) and invite.source.host == flow.host:
            return invite
        return None


def _are_one_side(_source: Flow, _asked: Flow) -> bool:
    """Nobody who knows better has been named."""
    return True


def _client_key(message: Message) -> str:
    """Branch and method (§17.1.3)."""
    via = message.top_via
    return "" if via is None else f"{via.branch} {message.method}"


def _server_key(message: Message, method: str) -> object:
    """Branch, sent-by and method (§17.2.3); for RFC 2543 peers what they keep the same over retransmissions."""
    via = message.top_via
    if via is None:
        raise RemoteSipError("no Via")
    if via.branch.startswith(MAGIC_COOKIE) and len(via.branch) > len(MAGIC_COOKIE):
        return f"{via.branch} {via.sent_by} {method}"
    return (message.uri_text, message.from_tag, message.call_id, message.cseq, via.text, method)


def answer_malformed(event: MalformedReceived) -> list[Output]:
    """The stateless answer to bytes that break the grammar; nothing when it cannot be addressed."""
    request = event.error.message
    if request is None:
        return []
    head = ResponseHead(request, event.flow.host, event.flow.port)
    data = head.build(event.error.status_hint, _stateless_tag(request))
    return [SendMessage(data, response_flow(request, event.flow))]


def _stateless_tag(request: Message) -> str:
    """A To tag for an answer that nobody remembers, the same for every copy (§8.2.6.2, §8.2.7).

    "" when To has one already or cannot be read. Letters only: a digit could be taken for part of a number.
    """
    try:
        if parse_name_addr(request.value(h.TO) or "").param("tag"):
            return ""
    except RemoteSipError:
        return ""
    digest = sha256("\r\n".join(request.lines).encode(ENCODING, ERRORS)).digest()
    return "".join(chr(ord("a") + octet % 26) for octet in digest[:12])
