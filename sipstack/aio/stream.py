"""SIP over TCP and TLS: connections that come, connections that are opened, and the limits on both (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from sipstack.aio.endpoint import Receiver
from sipstack.aio.handshakes import Handshakes, PoolOf
from sipstack.aio.sockets import outgoing_socket, set_dscp, tune_stream
from sipstack.aio.stream_connection import StreamConnection
from sipstack.aio.tls import TlsContexts, TlsSession
from sipstack.aio.udp import is_address
from sipstack.events import Flow

# Connections accepted in one turn of the loop, so that a flood of them does not hold up what is connected.
ACCEPT_BURST: Final = 64

# How long nothing is accepted when the process has no descriptor left. UDP and what is connected go on.
ACCEPT_PAUSE_S: Final = 0.5
_NO_ROOM: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

# Far ends whose trouble is remembered.
MAX_TROUBLES: Final = 1024

# Octets read at a time, of whichever connection.
_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class StreamLimits:
    """Limits of one stream transport; seconds, octets, counts."""

    max_connections: int = 16_000
    """In all, both ways. One more takes the place of whoever has owed a message for longest, if anybody owes one."""

    max_per_host: int = 1_000
    """Accepted from one address: a trunk has a few, and nobody may take them all."""

    message_s: float = 10.0
    """From the first octet of a message to its last; from accepting a connection to the end of its first message."""

    handshake_s: float = 10.0
    """From accepting a connection to the end of its TLS handshake."""

    max_handshakes_per_host_s: int = 100
    """TLS handshakes that one address may begin in a second."""

    max_handshakes_s: int = 200
    """TLS handshakes that all addresses of one pool (`sipstack.aio.handshakes`) may begin in a second."""

    connect_s: float = 4.0
    """To open a connection, TLS handshake included."""

    idle_s: float = 3600.0
    """Since anything was heard: longer than a call is silent between two refreshes of its session (RFC 4028), since a
    phone behind a NAT is reached by no other connection."""

    max_unsent_bytes: int = 256 * 1024
    """What waits for a connection to open, or for a far end that does not read."""

    max_held_bytes: int = 32 * 1024 * 1024
    """Of messages that have begun and have not ended, on all connections together."""


@final
class _Listener:
    """Where connections of one listener come in and leave from."""

    def __init__(self, local: int, bound: socket.socket, contexts: TlsContexts | None) -> None:
        self.local: Final = local
        self.bound: Final = bound
        self.contexts: Final = contexts
        self.host: Final[str] = bound.getsockname()[0]
        self.resuming: asyncio.TimerHandle | None = None


DEFAULT_LIMITS: Final = StreamLimits()

_Key = tuple[str, int, int]  # host, port of the far end, index of the listener


@final
class StreamTransport:
    """All TCP, or all TLS connections of an endpoint. Everything happens in the loop's thread."""

    def __init__(
        self,
        endpoint: Receiver,
        name: str,
        limits: StreamLimits = DEFAULT_LIMITS,
        dscp: int = 0,
        on_trouble: Callable[[Flow, str], None] | None = None,
        pool_of: PoolOf = lambda _: "",
    ) -> None:
        """`name` is "TCP" or "TLS", as flows have it. `dscp` marks what is sent (0 to 63). `pool_of` tells with whom a
        host shares its handshakes: without, with all others.

        `on_trouble` hears why no connection to a far end comes up, once until the reason changes; "" says that one has.
        """
        self._endpoint = endpoint
        self._name = name
        self._limits = limits
        self._dscp = dscp
        self._loop = asyncio.get_running_loop()
        self._on_trouble = on_trouble
        self._troubles: dict[_Key, str] = {}
        self._listeners: dict[int, _Listener] = {}
        self._all: set[StreamConnection] = set()
        self._connections: dict[_Key, StreamConnection] = {}  # those that take messages
        self._per_host: dict[str, int] = {}  # accepted ones
        self._handshakes = Handshakes(limits.max_handshakes_per_host_s, limits.max_handshakes_s, pool_of)
        self._watched: dict[StreamConnection, None] = {}  # those that owe something, for longest first
        self._holding: dict[StreamConnection, int] = {}  # octets of messages that have not ended, longest held first
        self._held = 0
        self._look_s = min(1.0, min(limits.message_s, limits.handshake_s, limits.connect_s, limits.idle_s) / 4)
        self._looking: asyncio.TimerHandle | None = None
        self._idle_look_at = 0.0
        self.read_buffer = memoryview(bytearray(_READ_BYTES))
        self.now = self._loop.time
        self.counters: dict[str, int] = {}

    @property
    def connections(self) -> int:
        """How many there are, those included that are being opened."""
        return len(self._all)

    @property
    def dropped(self) -> int:
        """TCP drops no message: a far end that is too fast waits."""
        return 0

    def waiting_s(self) -> float:
        """Nobody tells how long octets have been waiting; how late the loop is, tells something of it."""
        return 0.0

    def count(self, name: str) -> None:
        """One more of these."""
        self.counters[name] = self.counters.get(name, 0) + 1

    # -- connections that come ---------------------------------------------------------------------------------------

    def serve(self, bound: socket.socket, local: int, contexts: TlsContexts | None = None) -> None:
        """Accepts on a listening socket (`bind_stream`); `local` is the index that its flows carry.

        `contexts` is for TLS. What is sent to a flow of this index leaves from the socket's address.
        """
        listener = _Listener(local, bound, contexts)
        self._listeners[local] = listener
        self._endpoint.add_transport(self._name, self)
        self._loop.add_reader(bound, self._accept, listener)

    def _accept(self, listener: _Listener) -> None:
        for _ in range(ACCEPT_BURST):
            try:
                accepted, source = listener.bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self.count("accept_pauses")
                self._loop.remove_reader(listener.bound)
                listener.resuming = self._loop.call_later(ACCEPT_PAUSE_S, self._resume, listener)
                return
            self._accepted(listener, accepted, Flow(self._name, source[0], source[1], listener.local))

    def _resume(self, listener: _Listener) -> None:
        listener.resuming = None
        self._loop.add_reader(listener.bound, self._accept, listener)

    def _accepted(self, listener: _Listener, accepted: socket.socket, flow: Flow) -> None:
        limits = self._limits
        here = self._per_host.get(flow.host, 0)
        may_begin = listener.contexts is None or self._handshakes.may_begin(flow.host, self.now())
        if here >= limits.max_per_host or not may_begin or not self._has_room():
            self.count("connections_refused")
            accepted.close()
            return
        try:
            accepted.setblocking(False)
            tune_stream(accepted)
            if self._dscp:
                set_dscp(accepted, self._dscp)
        except OSError:
            accepted.close()  # the far end has gone already
            return
        self._per_host[flow.host] = here + 1
        session = None if listener.contexts is None else TlsSession(listener.contexts.server, is_server=True)
        connection = StreamConnection(self, flow, session, False, limits.max_unsent_bytes)
        self._enter(connection, limits.message_s if session is None else limits.handshake_s)
        self._open(connection, accepted, None)

    def _has_room(self) -> bool:
        """For one more connection; whoever owes a message or a handshake for longest makes room."""
        if len(self._all) < self._limits.max_connections:
            return True
        slowest = next(iter(self._watched), None)
        if slowest is None:
            return False
        self.count("crowded_out")
        self._watched.pop(slowest)
        slowest.abort()
        return True

    # -- connections that are opened ---------------------------------------------------------------------------------

    def send(self, data: bytes, flow: Flow) -> bool:
        """Sends on the connection that the flow names, or opens one; False when that fails at once.

        What fails later the endpoint is told. An answer whose connection has gone goes to `flow.reply_port` (§18.2.2).
        """
        connection = self._connections.get((flow.host, flow.port, flow.local))
        if connection is None:
            port = flow.reply_port or flow.port
            connection = self._connections.get((flow.host, port, flow.local)) or self._dial(flow, port)
            if connection is None:
                return False
        return connection.may_carry(flow.identities) and connection.send(data, flow)

    def _dial(self, flow: Flow, port: int) -> StreamConnection | None:
        listener = self._listeners.get(flow.local)
        if listener is None or not is_address(flow.host) or not self._has_room():
            return None
        wanted = flow.identities or (flow.host,) if listener.contexts is not None else ()
        session = None
        try:
            opened = outgoing_socket(listener.host, flow.host, self._dscp)
        except OSError:
            return None
        if listener.contexts is not None:
            session = TlsSession(listener.contexts.client, is_server=False, server_name=wanted[0])
        dialled = Flow(self._name, flow.host, port, flow.local, wanted)
        connection = StreamConnection(self, dialled, session, True, self._limits.max_unsent_bytes)
        connection.is_reply = flow.reply_port != 0
        self._enter(connection, self._limits.connect_s)
        self._open(connection, opened, (flow.host, port))
        return connection

    def _open(self, connection: StreamConnection, opened: socket.socket, address: tuple[str, int] | None) -> None:
        connection.unopened = opened
        task = self._loop.create_task(self._opened(connection, opened, address))
        connection.opening = task
        task.add_done_callback(lambda task: self._finished(connection, task))

    async def _opened(
        self, connection: StreamConnection, opened: socket.socket, address: tuple[str, int] | None
    ) -> bool:
        """Connects, when there is an address, and gives the socket to asyncio; False when that failed."""
        try:
            if address is not None:
                await self._loop.sock_connect(opened, address)
            connection.unopened = None
            if address is None:
                await self._loop.connect_accepted_socket(lambda: connection, opened)
            else:
                await self._loop.create_connection(lambda: connection, sock=opened)
        except OSError as error:
            connection.fault = os.strerror(error.errno or 0)  # asyncio puts addresses into its own text
            return False
        return True

    def _finished(self, connection: StreamConnection, task: asyncio.Task[bool]) -> None:
        """Not in the task itself: one that is cancelled before its first step does nothing at all."""
        connection.opening = None
        if task.cancelled() or not task.result():
            connection.failed()

    # -- what connections tell ---------------------------------------------------------------------------------------

    def received(self, message: bytes, connection: StreamConnection) -> None:
        """Straight to the core."""
        self._endpoint.received(message, connection.flow)

    def identified(self, connection: StreamConnection) -> None:
        """One that has come has ended its handshake."""
        self._handshakes.ended(connection.flow.host, connection.flow.identities != ())

    def watch(self, connection: StreamConnection) -> None:
        """It has `message_s` from now."""
        connection.deadline = self.now() + self._limits.message_s
        self._watched.pop(connection, None)
        self._watched[connection] = None  # behind all others

    def unwatch(self, connection: StreamConnection) -> None:
        """It owes nothing."""
        self._watched.pop(connection, None)

    def holds(self, connection: StreamConnection, octets: int) -> None:
        """So many octets of a message are there; whoever holds his for longest makes room when all hold too much."""
        self._held += octets - self._holding.get(connection, 0)
        if octets:
            self._holding[connection] = octets
        else:
            del self._holding[connection]
        while self._held > self._limits.max_held_bytes:
            self.count("crowded_out")
            next(iter(self._holding)).abort()

    def opened(self, connection: StreamConnection) -> None:
        """One that was opened is up."""
        self.unwatch(connection)
        if self._troubles:
            self._tell(connection.flow, "")

    def _tell(self, flow: Flow, reason: str) -> None:
        key = _key(flow)
        if self._on_trouble is None or self._troubles.get(key, "") == reason:
            return
        if reason:
            if len(self._troubles) >= MAX_TROUBLES:
                self._troubles.clear()
            self._troubles[key] = reason
        else:
            del self._troubles[key]
        self._on_trouble(flow, reason)

    def leaving(self, connection: StreamConnection) -> None:
        """Messages find it no more."""
        key = _key(connection.flow)
        if self._connections.get(key) is connection:
            del self._connections[key]
        self._held -= self._holding.pop(connection, 0)

    def gone(self, connection: StreamConnection) -> None:
        """Forgets it, and says what has not been sent by it, and what may not have arrived."""
        if connection not in self._all:
            return
        self.leaving(connection)
        self._all.discard(connection)
        self._watched.pop(connection, None)
        flow = connection.flow
        if not connection.is_outgoing:
            left = self._per_host[flow.host] - 1
            if left:
                self._per_host[flow.host] = left
            else:
                del self._per_host[flow.host]
        elif not connection.is_up:
            self.count("connects_failed")
            if not connection.is_reply:
                self._tell(flow, connection.fault or "the connection was closed")
        waiting, connection.unsent = connection.unsent, []
        for data, meant_for in waiting:
            self._endpoint.undelivered(meant_for, data)
        for asked in connection.asked:
            self._endpoint.connection_lost(asked)

    def _enter(self, connection: StreamConnection, seconds: float) -> None:
        self._all.add(connection)
        self._connections[_key(connection.flow)] = connection
        self._watched[connection] = None
        connection.deadline = self.now() + seconds
        if self._looking is None:
            self._looking = self._loop.call_later(self._look_s, self._look)

    def _look(self) -> None:
        """Ends what takes too long. One timer for all connections."""
        now = self.now()
        for connection in [one for one in self._watched if one.deadline <= now]:
            self.count("timed_out")
            connection.fault = "time-out"
            connection.abort()
        if now >= self._idle_look_at:
            self._idle_look_at = now + self._limits.idle_s / 16
            quiet_since = now - self._limits.idle_s
            for connection in [one for one in self._all if one.heard_at < quiet_since]:
                self.count("idle")
                connection.close()
        self._looking = self._loop.call_later(self._look_s, self._look) if self._all else None

    # -- the end -----------------------------------------------------------------------------------------------------

    def disconnect(self, flow: Flow) -> None:
        """Ends the connection that a flow names; nothing more of it is read."""
        connection = self._connections.get(_key(flow))
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Closes all sockets. The endpoint hears of nothing any more."""
        for listener in self._listeners.values():
            if listener.resuming is not None:
                listener.resuming.cancel()
            self._loop.remove_reader(listener.bound)
            listener.bound.close()
        self._listeners.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        for connection in list(self._all):
            connection.close()


def _key(flow: Flow) -> _Key:
    return flow.host, flow.port, flow.local
