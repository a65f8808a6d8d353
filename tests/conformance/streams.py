"""A party that speaks TCP or TLS: connections of its own to the node, and those that the node opens."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final

from scenarios.rig.seen import Seen
from sipstack.framing import StreamFramer
from tests.conformance.parties import PATIENCE_S, PORT, Party
from tests.conformance.rig import Rig

Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]  # as a client, as a server; None: plain TCP

TLS_PORT: Final = 5061

# In front of the tests that need them: the node's listeners, and a trunk to the callee over TCP for the numbers 134.
TCP = """
[[listen]]
transport = "tcp"
address = "{node}:5060"
[[peer]]
name = "by-tcp"
targets = ["sip:{callee}:5060;transport=tcp"]
[[route]]
name = "to-by-tcp"
called = "^134"
peers = ["by-tcp"]
"""


@dataclass(eq=False)
class StreamParty(Party):
    """`connections` are those that are open, the newest last, each with what has not been a whole message yet."""

    contexts: Contexts = (None, None)
    connections: dict[socket.socket, StreamFramer] = field(default_factory=dict)
    accepted: int = 0
    lost: int = 0  # connections that the node has closed

    def __post_init__(self) -> None:
        self.transport = "TCP" if self.contexts == (None, None) else "TLS"
        self.socket = socket.create_server((self.host, self.port))
        self.scanner.add(self.number)

    @property
    def sockets(self) -> list[socket.socket]:
        return [self.socket, *self.connections]

    def close(self) -> None:
        self.drop()
        self.socket.close()

    def drop(self) -> None:
        """Closes its connections."""
        for connection in self.connections:
            connection.close()
        self.connections.clear()

    def connect(self) -> socket.socket:
        """One more connection to the node, from whatever port."""
        plain = socket.create_connection(self.node, PATIENCE_S, (self.host, 0))
        client = self.contexts[0]
        opened = plain if client is None else client.wrap_socket(plain, server_hostname=self.node[0])
        self.connections[opened] = StreamFramer()
        return opened

    def send(self, data: bytes | str, to: tuple[str, int] | None = None) -> Seen:
        """On the newest connection; opens one where there is none."""
        octets = data if isinstance(data, bytes) else data.encode()
        connection = list(self.connections)[-1] if self.connections else self.connect()
        seen = Seen(time.monotonic(), True, octets)  # before: what it starts cannot be early then
        connection.sendall(octets)
        self.capture.append(seen)
        return seen

    def take_in(self) -> None:
        """Connections that wait to be accepted, and whole messages of those that are open."""
        while readable := select.select(self.sockets, [], [], 0)[0]:
            for end in readable:
                if end is self.socket:
                    self._accept()
                else:
                    self._read(end)

    def _accept(self) -> None:
        plain, _ = self.socket.accept()
        plain.settimeout(PATIENCE_S)
        server = self.contexts[1]
        with contextlib.suppress(ssl.SSLError, ConnectionError):  # who does not like the certificate goes away
            opened = plain if server is None else server.wrap_socket(plain, server_side=True)
            self.connections[opened] = StreamFramer()
            self.accepted += 1

    def _read(self, end: socket.socket) -> None:
        try:
            data = end.recv(65_536)
            while isinstance(end, ssl.SSLSocket) and end.pending():
                data += end.recv(65_536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            end.close()
            del self.connections[end]
            self.lost += 1
            return
        for message in self.connections[end].feed(data):
            self.heard(message)


def over_stream(rig: Rig, old: Party, contexts: Contexts = (None, None)) -> StreamParty:
    """The same party on streams instead."""
    old.close()
    new = _stream_of(old, contexts)
    rig.replace(old, new)
    return new


def stream_beside(rig: Rig, other: Party) -> StreamParty:
    """A party that takes TCP on the address of one that takes UDP."""
    rig.parties.append(_stream_of(other, (None, None)))
    assert isinstance(rig.parties[-1], StreamParty)
    return rig.parties[-1]


def _stream_of(old: Party, contexts: Contexts) -> StreamParty:
    """Over TCP, or with contexts over TLS, for which both sides have a port of its own."""
    port = PORT if contexts == (None, None) else TLS_PORT
    return StreamParty(old.name, old.host, port, old.number, old.canaries, (old.node[0], port), contexts=contexts)
