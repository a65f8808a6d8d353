"""The phones and trunks around a node: one socket an address, each of which calls, and answers what calls it."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass
from typing import Final

from engine.deciding import Arrival
from sipstack.message import Message
from sipstack.parser import parse

_WAIT_S: Final = 30.0  # for an answer of the node on a machine that is busy with other tests


@dataclass
class Happened:
    """What became of one request: the first that left for it and where to, and the final answer, 0 for none yet."""

    sent: bytes = b""
    to: str = ""  # "udp:127.0.0.13:5060"
    status: int = 0


class Parties:
    """All addresses of a place that a node may send to."""

    def __init__(self, addresses: list[tuple[str, int]], node: tuple[str, int]) -> None:
        self._node = node
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        for address in addresses:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets[address] = made
            made.bind(address)
            self._selector.register(made, selectors.EVENT_READ, address)
        self._ringing: set[str] = set()  # Call-IDs, on the callee's side, that are not answered
        self._heard: set[bytes] = set()

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._selector.close()

    def call(self, arrival: Arrival, rings_on: bool) -> Happened:
        """Sends a request, and plays the callee until it is answered, or rings."""
        request, done = parse(arrival.data), Happened()
        self._sockets[arrival.flow.host, arrival.flow.port].sendto(arrival.data, self._node)
        deadline = time.monotonic() + _WAIT_S
        while not done.status:
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            assert ready, f"no answer to {request.method} in {_WAIT_S} s"
            for key, _ in ready:
                one = self._sockets[key.data]
                data = one.recv(65_535)
                message = parse(data)
                if message.is_request:
                    is_new = self._answer(message, one, rings_on) and data not in self._heard
                    self._heard.add(data)  # on a busy machine it comes once more behind the answer
                    if is_new and not done.to:
                        done.sent, done.to = data, f"udp:{key.data[0]}:{key.data[1]}"
                elif message.call_id == request.call_id and message.status >= 180:
                    done.status = message.status
        return done

    def _answer(self, request: Message, by: socket.socket, rings_on: bool) -> bool:
        """True for one that a call or message has caused just now."""
        if request.method in ("ACK", "CANCEL") or request.call_id in self._ringing:
            return False
        if request.method == "MESSAGE":
            status = "200 OK"
        elif rings_on:
            status = "180 Ringing"
            self._ringing.add(request.call_id)
        else:
            status = "486 Busy Here"
        rows = [line for line in request.lines if line.startswith(("Via:", "From:", "Call-ID:", "CSeq:"))]
        to = next(line for line in request.lines if line.startswith("To:"))
        answer = "\r\n".join([f"SIP/2.0 {status}", *rows, f"{to};tag=callee", "Content-Length: 0", "", ""])
        by.sendto(answer.encode(), self._node)
        return True
