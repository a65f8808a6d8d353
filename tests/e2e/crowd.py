"""Many connections of one peer to a node, from many addresses; each can ask, and is answered."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from typing import Final

from scenarios.rig.place import Place

WAIT_S: Final = 30.0
AT_A_TIME: Final = 100  # so many requests are on their way before the first answer is read
_HOSTS: Final = range(32, 64)
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets


def crowd_peer(place: Place) -> str:
    """TOML of the peer to which the addresses of a crowd belong."""
    return f'[[peer]]\nname = "crowd"\nmatch = ["{place.host(_HOSTS.start)}/27"]\n'


class Crowd:
    """Connections to one port of the node, plain or TLS; none says anything but when it is told to."""

    def __init__(self, place: Place, port: int, context: ssl.SSLContext | None = None) -> None:
        self._place = place
        self._port = port
        self._context = context
        self._transport = "TCP" if context is None else "TLS"
        self._opened: list[socket.socket] = []
        self._asked = 0

    def __len__(self) -> int:
        return len(self._opened)

    def grow(self, count: int) -> None:
        """So many more; each has had an OPTIONS answered, since one that never says a message is closed."""
        for begin in range(0, count, AT_A_TIME):
            newest = [self._open() for _ in range(min(AT_A_TIME, count - begin))]
            self._ask(newest)

    def ask(self) -> float:
        """One OPTIONS on each, answered 200; the longest that a batch has waited for its answers, in seconds."""
        batches = [self._opened[begin : begin + AT_A_TIME] for begin in range(0, len(self._opened), AT_A_TIME)]
        return max(self._ask(batch) for batch in batches)

    def reset(self) -> None:
        """Resets all, as a far end that has died and come back would."""
        for one in self._opened:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            one.close()
        self._opened.clear()

    def _open(self) -> socket.socket:
        host = self._place.host(_HOSTS[len(self._opened) % len(_HOSTS)])
        opened = socket.create_connection((self._place.node, self._port), WAIT_S, (host, 0))
        self._opened.append(opened)
        if self._context is not None:
            opened = self._opened[-1] = self._context.wrap_socket(opened, server_hostname=self._place.node)
        return opened

    def _ask(self, connections: list[socket.socket]) -> float:
        began = time.monotonic()
        for one in connections:
            self._asked += 1
            one.sendall(self._options(one, self._asked))
        for one in connections:
            data = one.recv(65_536)
            while data and not data.endswith(b"\r\n\r\n"):
                data += one.recv(65_536)
            assert data.startswith(b"SIP/2.0 200 "), data
        return time.monotonic() - began

    def _options(self, one: socket.socket, number: int) -> bytes:
        host, port = one.getsockname()
        rows = [
            f"OPTIONS sip:{self._place.node} SIP/2.0",
            f"Via: SIP/2.0/{self._transport} {host}:{port};branch=z9hG4bKcrowd{number}",
            "Max-Forwards: 70", f"From: <sip:crowd@{host}>;tag={number}", f"To: <sip:{self._place.node}>",
            f"Call-ID: crowd{number}@{host}", "CSeq: 1 OPTIONS", "Content-Length: 0", "", "",
        ]  # fmt: skip
        return "\r\n".join(rows).encode()
