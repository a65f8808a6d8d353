"""Two parties on plain sockets, whatever transport each of them speaks, and the call that they have through a node."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from sipstack import headers as h
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.uri import uri_host

WAIT_S: Final = 10.0
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

    def send(self, data: bytes) -> None:
        self.opened.sendto(data, self.node)

    def receive(self) -> Message:
        """The next message; it must come from the address of the node that this end talks to."""
        data, source = self.opened.recvfrom(65_536)
        assert source[:2] == self.node, (source, data)
        return parse(data)

    def close(self) -> None:
        self.opened.close()


@dataclass
class Party:
    """A number at an end."""

    number: str
    end: UdpEnd

    @property
    def address(self) -> str:
        return f"{uri_host(self.end.host)}:{self.end.port}"

    @property
    def contact(self) -> str:
        return f"<sip:{self.number}@{self.address}>"

    def ask(self, method: str, uri: str, rows: list[str], body: str = "") -> None:
        """Sends a request; `rows` are From, To, Call-ID, CSeq and what else it has."""
        branch = f"z9hG4bK{method}{rows[-1][-6:].strip()}".replace(" ", "")
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

    def take(self, start: str) -> Message:
        """The next message that is no 100, which must begin so."""
        message = self.end.receive()
        while message.status == 100:
            message = self.end.receive()
        line = message.to_bytes().partition(b"\r\n")[0].decode()
        assert line.startswith(start), line
        return message


def _message(lines: list[str], body: str) -> bytes:
    kind = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", body]).encode()


def call(caller: Party, callee: Party, x: str, call_id: str = "call-1") -> tuple[Message, Message]:
    """A call that the callee ends; the INVITE that it has got, and the 200 of the caller."""
    identity = [f"From: <sip:{caller.number}@{caller.address}>;tag=a-tag", f"To: <sip:{x}@veil.example>"]
    caller.ask("INVITE", f"sip:{x}@veil.example", [*identity, f"Call-ID: {call_id}", "CSeq: 1 INVITE"], SDP)
    invite = callee.take("INVITE ")
    callee.answer(invite, 200, SDP)
    ok = caller.take("SIP/2.0 200")
    uri = (ok.value(h.CONTACT) or "").strip("<>")
    acked = [identity[0], f"To: {ok.value(h.TO)}", f"Call-ID: {call_id}", "CSeq: 1 ACK"]
    caller.ask("ACK", uri, acked)
    callee.take("ACK ")
    uri = (invite.value(h.CONTACT) or "").strip("<>")
    ours = [f"From: {invite.value(h.TO)};tag=b-tag", f"To: {invite.value(h.FROM)}", f"Call-ID: {invite.call_id}"]
    callee.ask("BYE", uri, [*ours, "CSeq: 7 BYE"])
    bye = caller.take("BYE ")
    caller.answer(bye, 200)
    callee.take("SIP/2.0 200")
    return invite, ok
