"""The sockets of the two parties, and all that comes to them, in one queue."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Final, final

from engine.leaktest.errors import RigError
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.parser import parse

CALLER: Final = "caller"
CALLEE: Final = "callee"


@final
@dataclass(frozen=True, slots=True)
class Arrival:
    """A datagram that came to a party; `message` is None when it is no SIP message that can be read."""

    party: str
    data: bytes
    message: Message | None
    is_at_target: bool = False  # it came to the target of a trunk that both parties share: that is the receiver's too


@final
class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, party: str, wires: Wires) -> None:
        self._party = party
        self._wires = wires

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._wires.is_repeat(data):
            return
        try:
            message = parse(data)
        except RemoteSipError:
            message = None
        self._wires.arrivals.put_nowait(Arrival(self._party, data, message))


@final
class Wires:
    """Both parties' sockets. `send` goes to the element under test, wherever the message is addressed to.

    `before` are the datagrams of pairs that had these addresses before, by their hash: copies of them are for others,
    and have been looked at.
    """

    def __init__(self, element: tuple[str, int], before: frozenset[int] = frozenset()) -> None:
        self.element = element
        self.received: set[int] = set()
        self._before = before
        self.arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
        self._transports: dict[str, asyncio.DatagramTransport] = {}

    async def open(self, party: str, address: tuple[str, int]) -> None:
        """Binds the socket of a party. RigError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Protocol(party, self), local_addr=address, family=family
            )
        except OSError as error:
            raise RigError(f"the {party} cannot take {address[0]}:{address[1]}: {error.strerror or error}") from None
        self._transports[party] = transport

    def is_repeat(self, data: bytes) -> bool:
        """True for a copy of what an earlier pair has received."""
        self.received.add(hash(data))
        return hash(data) in self._before

    def send(self, party: str, data: bytes) -> None:
        self._transports[party].sendto(data, self.element)

    async def close(self) -> None:
        """Lets go of the addresses, when the loop has run once more."""
        for transport in self._transports.values():
            transport.close()
        await asyncio.sleep(0)
