"""Two parties on plain sockets, whatever transport each of them speaks, and the call that they have through a node."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from sipstack import headers as h
from sipstack.framing import StreamFramer
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.uri import uri_host

WAIT_S: Final = 30.0  # for anything that a node owes, on a machine that is busy with other tests
SDP: Final = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"


class UdpEnd:
    """A UDP socket that talks to one address of the node."""

    transport = "UDP"

    def __init__(self, host: str, node: str, port: int = 5060, node_port: int = 5060) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.opened = socket.socket(family, socket.SOCK_DGRAM)
        self.opened.bind((host, port))
        self.opened.settimeout(WAIT_S)
        self.host, self.port = self.opened.getsockname()[:2]
        self.node = (node, node_port)
        self._seen: set[bytes] = set()

    def send(self, data: bytes) -> None:
        self.opened.sendto(data, self.node)

    def receive(self, again: bool = False) -> Message:
        """The next message; it must come from the address of the node that this end talks to.

        What the node repeats, since a busy machine kept it waiting for T1, counts only where it may come `again`.
        """
        while True:
            data, source = self.opened.recvfrom(65_536)
            assert source[:2] == self.node, (source, data)
            if again or data not in self._seen:
                self._seen.add(data)
                return parse(data)

    def close(self) -> None:
        self.opened.close()


class StreamEnd:
    """TCP or TLS: a connection to the node that it opens itself, and a listening socket for those of the node."""

    def __init__(
        self,
        host: str,
        node: str,
        port: int = 5060,
        node_port: int = 5060,
        client: ssl.SSLContext | None = None,
        server: ssl.SSLContext | None = None,
    ) -> None:
        """With contexts it speaks TLS, as a client and as a server."""
        self.transport = "TCP" if client is None else "TLS"
        self.host = host
        self.node = (node, node_port)
        self._contexts = (client, server)
        self._server = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._server.settimeout(WAIT_S)
        self.port = self._server.getsockname()[1]
        self._framer = StreamFramer()
        self._waiting: list[bytes] = []
        self._seen: set[bytes] = set()
        self.connection: socket.socket | None = None
        self.accepted = 0

    def connect(self) -> None:
        """To the node, from whatever port."""
        plain = socket.create_connection(self.node, WAIT_S, (self.host, 0))
        client = self._contexts[0]
        self._take(plain if client is None else client.wrap_socket(plain, server_hostname=self.node[0]))

    def accept(self) -> None:
        """Waits for the node."""
        plain, _ = self._server.accept()
        server = self._contexts[1]
        plain.settimeout(WAIT_S)
        self._take(plain if server is None else server.wrap_socket(plain, server_side=True))
        self.accepted += 1

    def _take(self, connection: socket.socket) -> None:
        self.drop()
        connection.settimeout(WAIT_S)
        self.connection = connection

    def send(self, data: bytes) -> None:
        if self.connection is None:
            self.connect()
        assert self.connection is not None
        self.connection.sendall(data)

    def receive(self, again: bool = False) -> Message:
        """The next message: of the connection that there is, else of the next one that the node opens.

        A 2xx is repeated over streams, too (RFC 3261 §13.3.1.4); it counts only where it may come `again`.
        """
        data = self._next()
        while data in self._seen and not again:
            data = self._next()
        self._seen.add(data)
        return parse(data)

    def _next(self) -> bytes:
        while not self._waiting:
            if self.connection is None:
                self.accept()
            assert self.connection is not None
            data = self.connection.recv(65_536)
            if data:
                self._waiting += self._framer.feed(data)
            else:
                self.drop()
        return self._waiting.pop(0)

    def drop(self) -> None:
        """Closes the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self._framer = StreamFramer()

    def close(self) -> None:
        self.drop()
        self._server.close()


End = UdpEnd | StreamEnd


@dataclass
class Party:
    """A number at an end."""

    number: str
    end: End

    @property
    def address(self) -> str:
        return f"{uri_host(self.end.host)}:{self.end.port}"

    @property
    def contact(self) -> str:
        parameter = "" if self.end.transport == "UDP" else f";transport={self.end.transport.lower()}"
        return f"<sip:{self.number}@{self.address}{parameter}>"

    def ask(self, method: str, uri: str, rows: list[str], body: str = "") -> None:
        """Sends a request; `rows` are From, To, Call-ID, CSeq and what else it has."""
        call_id = next((row[9:] for row in rows if row.startswith("Call-ID: ")), "")
        branch = re.sub(r"\W", "", f"z9hG4bK{method}{rows[-1][-6:]}{call_id}")
        via = f"Via: SIP/2.0/{self.end.transport} {self.address};branch={branch}{id(rows)};rport"
        lines = [f"{method} {uri} SIP/2.0", via, "Max-Forwards: 70", f"Contact: {self.contact}", *rows]
        self.end.send(_message(lines, body))

    def answer(self, request: Message, status: int, body: str = "") -> None:
        rows = [f"Via: {value}" for value in request.values(h.VIA)]
        to = request.value(h.TO) or ""
        to = to if request.to_tag else f"{to};tag=b-tag"
        rows += [f"From: {request.value(h.FROM)}", f"To: {to}", f"Call-ID: {request.call_id}"]
        rows += [f"CSeq: {request.cseq} {request.method}", f"Contact: {self.contact}"]
        self.end.send(_message([f"SIP/2.0 {status} Whatever", *rows], body))

    def take(self, start: str, again: bool = False) -> Message:
        """The next message that is no 100, which must begin so; it may have come before where it may come `again`."""
        message = self.end.receive(again)
        while message.status == 100:
            message = self.end.receive(again)
        line = message.to_bytes().partition(b"\r\n")[0].decode()
        assert line.startswith(start), line
        return message


def _message(lines: list[str], body: str) -> bytes:
    kind = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", body]).encode()


def call(caller: Party, callee: Party, x: str, call_id: str = "call-1") -> tuple[Message, Message]:
    """A call that the callee ends; the INVITE that it has got, and the 200 of the caller."""
    ask(caller, x, call_id)
    invite = callee.take("INVITE ")
    ok = answered(caller, callee, invite)
    hang_up(caller, callee, invite)
    return invite, ok


def ask(caller: Party, x: str, call_id: str = "call-1", body: str = SDP) -> None:
    """The caller's INVITE."""
    rows = [f"From: <sip:{caller.number}@{caller.address}>;tag=a-tag", f"To: <sip:{x}@veil.example>"]
    caller.ask("INVITE", f"sip:{x}@veil.example", [*rows, f"Call-ID: {call_id}", "CSeq: 1 INVITE"], body)


def answered(caller: Party, callee: Party, invite: Message) -> Message:
    """200 and ACK; the 200 of the caller."""
    callee.answer(invite, 200, SDP)
    ok = caller.take("SIP/2.0 200")
    acknowledge_ok(caller, ok)
    callee.take("ACK ")
    return ok


def acknowledge_ok(caller: Party, ok: Message) -> None:
    """The ACK of a 200."""
    rows = [f"From: {ok.value(h.FROM)}", f"To: {ok.value(h.TO)}", f"Call-ID: {ok.call_id}", "CSeq: 1 ACK"]
    caller.ask("ACK", (ok.value(h.CONTACT) or "").strip("<>"), rows)


def hang_up(caller: Party, callee: Party, invite: Message) -> None:
    """The callee says BYE, the caller agrees."""
    uri = (invite.value(h.CONTACT) or "").strip("<>")
    ours = [f"From: {invite.value(h.TO)};tag=b-tag", f"To: {invite.value(h.FROM)}", f"Call-ID: {invite.call_id}"]
    callee.ask("BYE", uri, [*ours, "CSeq: 7 BYE"])
    bye = caller.take("BYE ")
    caller.answer(bye, 200)
    callee.take("SIP/2.0 200")
