"""A stream transport on a rig, and the other ends of its connections as plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

from sipstack.aio.handshakes import PoolOf
from sipstack.aio.sockets import bind_stream
from sipstack.aio.stream import DEFAULT_LIMITS, StreamLimits, StreamTransport
from sipstack.aio.tls import TlsContexts
from sipstack.events import Flow
from tests.sipstack.endpoint_rig import WAIT_S, Rig


def OPTIONS(number: int) -> bytes:
    """One message of several."""
    return f"OPTIONS sip:{number}@node.example SIP/2.0\r\nContent-Length: 0\r\n\r\n".encode()


class StreamRig(Rig):
    """Listens on a free port of `host`, as the listener with index 0."""

    def __init__(
        self,
        host: str,
        limits: StreamLimits = DEFAULT_LIMITS,
        contexts: TlsContexts | None = None,
        dscp: int = 0,
        pool_of: PoolOf = lambda _: "",
    ) -> None:
        super().__init__()
        self.troubles: list[str] = []
        name = "TCP" if contexts is None else "TLS"
        self.transport = StreamTransport(self.endpoint, name, limits, dscp, self._trouble, pool_of)
        bound = bind_stream(host, 0)
        self.address: tuple[str, int] = bound.getsockname()[:2]
        self.transport.serve(bound, 0, contexts)

    def _trouble(self, flow: Flow, reason: str) -> None:
        self.troubles.append(f"{flow!r} {reason}")

    async def until_connections(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.transport.connections != count:
                await asyncio.sleep(0.002)

    async def until_messages_find(self, count: int) -> None:
        """Until so many connections take messages."""
        async with asyncio.timeout(WAIT_S):
            while len(self.transport._connections) != count:
                await asyncio.sleep(0.002)

    async def until_held(self, octets: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.transport._held != octets:
                await asyncio.sleep(0.002)

    async def close(self) -> None:
        self.endpoint.close()
        await self.until_connections(0)


async def connected(
    rig: StreamRig, host: str, address: tuple[str, int] | None = None, waits: bool = True
) -> socket.socket:
    """Connects from `host`; `waits`: until the transport has accepted."""
    before = rig.transport.connections
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setblocking(False)
    made.bind((host, 0))
    await asyncio.get_running_loop().sock_connect(made, address or rig.address)
    if waits:
        await rig.until_connections(before + 1)
    return made


async def answered(peer: socket.socket, count: int) -> bytes:
    """So many octets, read from a connection."""
    data = b""
    async with asyncio.timeout(WAIT_S):
        while len(data) < count:
            part = await asyncio.get_running_loop().sock_recv(peer, count - len(data))
            assert part, f"the connection ended after {data!r}"
            data += part
    return data


async def ended(peer: socket.socket) -> bytes:
    """What comes until the other end closes or resets the connection."""
    data = b""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionResetError):
            while part := await asyncio.get_running_loop().sock_recv(peer, 65536):
                data += part
    return data


@contextlib.contextmanager
def nobody(host: str) -> Iterator[socket.socket]:
    """A port at which nobody listens and that nobody else gets meanwhile, as the end of a connection least of all."""
    with socket.socket() as taken:
        taken.bind((host, 0))
        yield taken


def reset(peer: socket.socket) -> None:
    """Closes with RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
