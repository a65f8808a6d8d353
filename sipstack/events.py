"""What happened (past tense) and what is to be done (imperative): the language between the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from sipstack.client_transaction import ClientTransaction
    from sipstack.errors import RemoteSipError
    from sipstack.message import Message
    from sipstack.server_transaction import ServerTransaction


@final
class Flow:
    """Where a message came from or goes to: transport ("UDP", "TCP" or "TLS"), remote IP address and port.

    `local` is the index of the listener that has received it, or that it leaves by. Of a stream these four name one
    connection. Compared by these four.

    `identities` are names in the certificate of the far side (TLS): those that it has proven, where a message came
    from; those of which it must prove one, where a message goes to. `reply_port` is for an answer on a stream: where it
    goes by a new connection when its own has gone (RFC 3261 §18.2.2); 0 where nothing like that is meant.
    """

    __slots__ = ("host", "identities", "local", "port", "reply_port", "transport")

    def __init__(
        self,
        transport: str,
        host: str,
        port: int,
        local: int = 0,
        identities: tuple[str, ...] = (),
        reply_port: int = 0,
    ) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.local = local
        self.identities = identities
        self.reply_port = reply_port

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Flow):
            return NotImplemented
        return (self.port, self.host, self.transport, self.local) == (
            other.port,
            other.host,
            other.transport,
            other.local,
        )

    def __hash__(self) -> int:
        return hash((self.transport, self.host, self.port, self.local))

    def __repr__(self) -> str:
        return f"{self.transport.lower()}:{self.host}:{self.port}"


class Output:
    """Base of everything that a verb returns: events for the transaction user and commands for the shell."""

    __slots__ = ()


@final
class SendMessage(Output):
    """Put these bytes on the wire."""

    __slots__ = ("data", "flow")

    def __init__(self, data: bytes, flow: Flow) -> None:
        self.data = data
        self.flow = flow

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SendMessage):
            return NotImplemented
        return (self.data, self.flow) == (other.data, other.flow)

    __hash__ = None  # type: ignore[assignment]


@final
class Disconnect(Output):
    """End the connection that this flow names; what it has sent and is not handed up yet is not read. UDP has none."""

    __slots__ = ("flow",)

    def __init__(self, flow: Flow) -> None:
        self.flow = flow


@final
class RequestReceived(Output):
    """A new request, its transaction just made. Never an ACK, never a CANCEL that matches an INVITE."""

    __slots__ = ("flow", "request", "transaction")

    def __init__(self, transaction: ServerTransaction, request: Message, flow: Flow) -> None:
        self.transaction = transaction
        self.request = request
        self.flow = flow


@final
class AckReceived(Output):
    """An ACK that belongs to no transaction: for a 2xx (RFC 3261 §13.3.1.4), or a stray."""

    __slots__ = ("flow", "request")

    def __init__(self, request: Message, flow: Flow) -> None:
        self.request = request
        self.flow = flow


@final
class CancelReceived(Output):
    """A CANCEL and the INVITE transaction that it matches (§9.2). `transaction` is the CANCEL's own."""

    __slots__ = ("invite", "request", "transaction")

    def __init__(self, transaction: ServerTransaction, invite: ServerTransaction, request: Message) -> None:
        self.transaction = transaction
        self.invite = invite
        self.request = request


@final
class ResponseReceived(Output):
    """A response that its client transaction passes up."""

    __slots__ = ("flow", "response", "transaction")

    def __init__(self, transaction: ClientTransaction, response: Message, flow: Flow) -> None:
        self.transaction = transaction
        self.response = response
        self.flow = flow


@final
class StraySuccessReceived(Output):
    """A 2xx to an INVITE whose transaction is gone, or was another run's: the transaction user knows (§13.2.2.4)."""

    __slots__ = ("flow", "response")

    def __init__(self, response: Message, flow: Flow) -> None:
        self.response = response
        self.flow = flow


@final
class RequestTimedOut(Output):
    """Timer B or F: no final answer to our request in 64*T1, or none can come. It may have arrived."""

    __slots__ = ("transaction",)

    def __init__(self, transaction: ClientTransaction) -> None:
        self.transaction = transaction


@final
class RequestFailed(Output):
    """The transport could not send our request (§8.1.3.1: treat like 503). It has not arrived, or is an INVITE."""

    __slots__ = ("transaction",)

    def __init__(self, transaction: ClientTransaction) -> None:
        self.transaction = transaction


@final
class AckMissed(Output):
    """Timer H: no ACK for our failure response in 64*T1."""

    __slots__ = ("transaction",)

    def __init__(self, transaction: ServerTransaction) -> None:
        self.transaction = transaction


@final
class MalformedReceived(Output):
    """Bytes that are no SIP message; `error.message` is set when they can be answered."""

    __slots__ = ("error", "flow")

    def __init__(self, error: RemoteSipError, flow: Flow) -> None:
        self.error = error
        self.flow = flow


class Core(Protocol):
    """What an endpoint drives: verbs that return what is to be done. `now` is monotonic seconds.

    Where all is compiled, whoever has this for a base is called without a search.
    """

    __slots__ = ()

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """Bytes of one message from `flow`."""

    def transport_failed(self, flow: Flow, now: float, data: bytes) -> list[Output]:
        """`data`, or what begins so, could not be sent to `flow`."""

    def connection_lost(self, flow: Flow, now: float) -> list[Output]:
        """The connection that `flow` names has gone, and what was sent by it may have arrived or not."""

    def handle_timer(self, now: float) -> list[Output]:
        """Time has come for something."""

    def next_deadline(self) -> float | None:
        """When `handle_timer` is wanted next."""
