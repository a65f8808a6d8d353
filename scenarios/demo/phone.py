"""A small user agent made of `sipstack`: it places one call or message, or answers whatever comes."""

from __future__ import annotations

import asyncio
import secrets

from sipstack import headers as h
from sipstack.aio.endpoint import Endpoint
from sipstack.aio.udp import UdpTransport, open_udp
from sipstack.client_transaction import ClientTransaction
from sipstack.dialog import Dialog
from sipstack.events import AckReceived, Flow, Output, RequestReceived, ResponseReceived, SendMessage
from sipstack.message import Message, render
from sipstack.parser import parse
from sipstack.timers import Timing
from sipstack.transactions import Transactions

SENT, RECEIVED = ">", "<"


class Phone:
    """One end: its number, its socket, and everything that it sent and saw, in order."""

    def __init__(self, name: str, number: str) -> None:
        self.name = name
        self.number = number
        self.seen: list[tuple[float, str, bytes]] = []  # seconds, SENT or RECEIVED, the bytes
        self.responses: asyncio.Queue[Message] = asyncio.Queue()
        self.hung_up = asyncio.Event()
        self._transactions = Transactions(Timing())
        self._endpoint = Endpoint(self, self._event, self._fault)
        self._transport: UdpTransport | None = None

    async def open(self, host: str, port: int) -> None:
        """Binds the socket; port 0 for any."""
        self._transport = await open_udp(self._endpoint, host, port)

    def close(self) -> None:
        """Lets go of the socket."""
        self._endpoint.close()

    @property
    def address(self) -> str:
        """host:port of the socket."""
        assert self._transport is not None
        host, port = self._transport.local
        return f"{host}:{port}"

    # -- the verbs that the endpoint drives ------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """A datagram has come."""
        self.seen.append((now, RECEIVED, data))
        return self._noted(self._transactions.receive(data, flow, now), now)

    def transport_failed(self, flow: Flow, now: float) -> list[Output]:
        """Nothing that a demonstration could mend."""
        return self._transactions.transport_failed(flow)

    def handle_timer(self, now: float) -> list[Output]:
        """Retransmissions."""
        return self._noted(self._transactions.handle_timer(now), now)

    def next_deadline(self) -> float | None:
        """The next retransmission."""
        return self._transactions.next_deadline()

    def _noted(self, outputs: list[Output], now: float) -> list[Output]:
        self.seen.extend((now, SENT, output.data) for output in outputs if isinstance(output, SendMessage))
        return outputs

    def _perform(self, outputs: list[Output]) -> None:
        self._endpoint.perform(self._noted(outputs, asyncio.get_running_loop().time()))

    def _fault(self, fault: Exception) -> None:
        raise fault

    # -- what happens ----------------------------------------------------------------------------------------------

    def _event(self, event: Output) -> None:
        if isinstance(event, ResponseReceived):
            self.responses.put_nowait(event.response)
        elif isinstance(event, RequestReceived):
            self._answer(event)
        else:
            assert isinstance(event, AckReceived), event

    def _answer(self, event: RequestReceived) -> None:
        """Rings and answers a call, takes a message, agrees to a BYE."""
        tag = secrets.token_hex(6)
        if event.request.method == "INVITE":
            self._respond(event, 180, tag, [self._contact()])
            self._respond(event, 200, tag, [self._contact(), "Content-Type: application/sdp"], self._sdp())
            return
        self._respond(event, 200, tag, [])
        if event.request.method == "BYE":
            self.hung_up.set()

    def _respond(self, event: RequestReceived, status: int, tag: str, lines: list[str], body: bytes = b"") -> None:
        data = event.transaction.head.build(status, tag, lines, body)
        now = asyncio.get_running_loop().time()
        self._perform(self._transactions.respond(event.transaction, status, data, now))

    # -- what this phone does itself -------------------------------------------------------------------------------

    async def call(self, x: str, node: Flow) -> None:
        """Calls X, waits for the answer, says BYE, waits for its 200."""
        request = self._request("INVITE", x, node, [self._contact(), "Content-Type: application/sdp"], self._sdp())
        answer = await self._final()
        dialog = Dialog.as_client(request.value(h.FROM) or "", request.from_tag, answer)
        ack = [self._via(), "Max-Forwards: 70", *dialog.request_lines("ACK", request.cseq)]
        self._perform([SendMessage(render(f"ACK {dialog.request_uri()} SIP/2.0", ack), node)])
        branch = _branch()
        bye = [self._via(branch), "Max-Forwards: 70", *dialog.request_lines("BYE", dialog.next_seq())]
        self._start("BYE", branch, render(f"BYE {dialog.request_uri()} SIP/2.0", bye), node)
        await self._final()

    async def message(self, x: str, text: str, node: Flow) -> None:
        """Sends a text to X and waits for its confirmation."""
        self._request("MESSAGE", x, node, ["Content-Type: text/plain;charset=UTF-8"], text.encode())
        await self._final()

    def _request(self, method: str, x: str, node: Flow, lines: list[str], body: bytes) -> Message:
        branch = _branch()
        own = [
            self._via(branch),
            "Max-Forwards: 70",
            f"From: <sip:{self.number}@{self.address}>;tag={secrets.token_hex(6)}",
            f"To: <sip:{x}@veil.example>",
            f"Call-ID: {secrets.token_hex(8)}@{self.name.lower()}",
            f"CSeq: 1 {method}",
            f"P-Asserted-Identity: <sip:{self.number}@{self.address}>",
        ]
        data = render(f"{method} sip:{x}@veil.example SIP/2.0", own + lines, body)
        self._start(method, branch, data, node)
        return parse(data)

    def _start(self, method: str, branch: str, data: bytes, node: Flow) -> None:
        now = asyncio.get_running_loop().time()
        self._perform(self._transactions.start(ClientTransaction(method, branch, data, node, None), now))

    async def _final(self) -> Message:
        """The next final response; anything but a 2xx ends the demonstration."""
        while True:
            response = await asyncio.wait_for(self.responses.get(), 10)
            if response.is_final:
                if response.status >= 300:
                    raise RuntimeError(f"{self.name}: {response.status} {response.reason}")
                return response

    def _via(self, branch: str = "") -> str:
        return f"Via: SIP/2.0/UDP {self.address};branch={branch or _branch()};rport"

    def _contact(self) -> str:
        return f"Contact: <sip:{self.number}@{self.address}>"

    def _sdp(self) -> bytes:
        host = self.address.rpartition(":")[0]
        lines = ["v=0", f"o={self.number} 1 1 IN IP4 {host}", f"s=Call of {self.number}", f"c=IN IP4 {host}", "t=0 0"]
        lines += ["m=audio 40000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000"]
        return ("\r\n".join(lines) + "\r\n").encode()


def _branch() -> str:
    return "z9hG4bK" + secrets.token_hex(10)
