"""Single datagrams: plain sockets beside SIPp, and requests written by hand."""

from __future__ import annotations

import socket
from typing import Final

from scenarios.rig.place import PORT
from sipstack.message import Message

ANSWER_S: Final = 30.0  # for any answer of a node that lives, on a machine that is busy with other tests
CALLER: Final = "13800138000"  # who asks, in requests written here


def udp_socket(host: str, port: int = PORT) -> socket.socket:
    """A bound socket; whoever takes it closes it."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((host, port))
    opened.settimeout(ANSWER_S)
    return opened


def drain(end: socket.socket) -> list[bytes]:
    """All datagrams that wait in a socket."""
    end.setblocking(False)
    datagrams = []
    try:
        while True:
            datagrams.append(end.recv(65_536))
    except BlockingIOError:
        return datagrams


def request(method: str, uri: str, sent_by: str, call_id: str, lines: str = "", body: bytes = b"") -> bytes:
    """A request of CALLER; `sent_by` is where answers go, `lines` are further header lines with their ends."""
    head = (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK{call_id}\r\n"
        f"From: <sip:{CALLER}@{sent_by}>;tag={call_id}\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n"
        f"Contact: <sip:{CALLER}@{sent_by}>\r\nMax-Forwards: 70\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer_to_options(end: socket.socket, node: str, call_id: str) -> bytes:
    """The node's answer to an OPTIONS: by then it has dealt with all that was sent to it before."""
    host, port = end.getsockname()
    end.settimeout(ANSWER_S)
    end.sendto(request("OPTIONS", f"sip:{node}", f"{host}:{port}", call_id), (node, PORT))
    wanted = f"Call-ID: {call_id}\r\n".encode()
    while wanted not in (data := end.recv(65_536)):
        pass  # something that came before
    return data


def answer(end: socket.socket, request: Message, status: str, node: str) -> None:
    """Answers a request of the node; `status` is code and reason, no tag is added."""
    rows = [row for row in request.lines if row.partition(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    end.sendto("\r\n".join([f"SIP/2.0 {status}", *rows, "Content-Length: 0", "", ""]).encode(), (node, PORT))
