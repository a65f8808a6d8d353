"""The sockets that take SIP: all are bound before anything else is done, so that a start that fails leaves nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from engine.config.checks import Fault
from engine.config.listeners import Listen
from engine.config.loader import ConfigError, fault_lines
from engine.config.models import Config
from engine.config.transport import Transport
from engine.core.settings import ListenerSettings
from engine.steering.group import bind_group
from engine.steering.handing import Handing
from engine.steering.passed import Passed
from sipstack.aio.endpoint import Endpoint, Receiver
from sipstack.aio.handshakes import PoolOf
from sipstack.aio.sockets import allow_connections, bind_stream
from sipstack.aio.stream import StreamLimits, StreamTransport
from sipstack.aio.tls import TlsContexts, TlsError, TlsFiles
from sipstack.aio.udp import UdpSockets
from sipstack.events import Flow

# Who does not answer a TCP connection is sent a long request by UDP (`engine.core.large_requests`): time must be left
# for that before the next target is tried. The kernel asks twice in it.
TCP_CONNECT_S: Final = 2.0


class ListenError(Exception):
    """An address cannot be had; the text is one clear line."""


@final
class BoundSockets:
    """One bound socket for each `[[listen]]`, in their order."""

    def __init__(self, config: Config, passed: Passed | None = None) -> None:
        """Reads certificates and binds. Raises ConfigError and ListenError, and then no socket is left.

        `passed` is for one of several workers: what has been bound for it is taken over.
        """
        self._listeners: Final = config.listeners
        self._shown: Final = [listen.shown for listen in config.listen]
        self._contexts: Final = tls_contexts(config)
        self._dscp: Final = config.sip.dscp
        self._limits: Final = stream_limits(config.transport)
        self._bound: Final[list[socket.socket]] = []
        self._streams: Final[dict[str, StreamTransport]] = {}
        self._passed: Final = passed
        self._handing: Handing | None = None
        try:
            if passed is not None:
                self._bound.extend(socket.socket(fileno=one) for one in passed.listeners)
                return
            for listener, name in zip(self._listeners, self._shown, strict=True):
                self._bound.extend(bind_listener(listener, name, self._dscp))
        except BaseException:
            self.close()
            raise

    def take_certificates(self, config: Config) -> None:
        """New sessions are made with what this one names; its listeners are the same. Raises ConfigError.

        The caller has tried all files (`tls_contexts`), so that not some are taken and others refused.
        """
        for local, contexts in self._contexts.items():
            try:
                contexts.reload(_files(config.path.parent, config.listen[local]))
            except TlsError as error:
                raise ConfigError(_fault(config, local, error)) from None

    @property
    def shown(self) -> str:
        """`udp:127.0.0.1:5060,tcp:127.0.0.1:5060`."""
        return ",".join(self._shown)

    def serve(self, endpoint: Endpoint, pool_of: PoolOf, log: Callable[..., None]) -> None:
        """From now on what they receive arrives, and they are the endpoint's to close.

        `pool_of` tells which hosts share TLS handshakes (`Trunks.pool_of`). `log` is told when connections to a far end
        begin to fail, and when they come up again.
        """

        def tell(flow: Flow, reason: str) -> None:
            if reason:
                log("no connection", to=repr(flow), reason=reason)
            else:
                log("connection is up again", to=repr(flow))

        receiver: Receiver = endpoint
        if self._passed is not None:
            receiver = self._handing = Handing(self._passed, endpoint)
        datagrams = UdpSockets(receiver)
        for local, bound in enumerate(self._bound):
            transport = self._listeners[local].transport
            if transport == "UDP":
                datagrams.serve(bound, local)
            else:
                self._stream(receiver, transport, pool_of, tell).serve(bound, local, self._contexts.get(local))

    def _stream(
        self, endpoint: Receiver, transport: str, pool_of: PoolOf, on_trouble: Callable[[Flow, str], None]
    ) -> StreamTransport:
        """All TCP, or all TLS connections; both may have as many as the process may have descriptors."""
        if transport not in self._streams:
            limits = self._limits
            count = len({one.transport for one in self._listeners} - {"UDP"})
            room = allow_connections(limits.max_connections * count) // count
            limits = replace(limits, max_connections=room)
            if transport == "TCP":
                limits = replace(limits, connect_s=TCP_CONNECT_S)
            self._streams[transport] = StreamTransport(endpoint, transport, limits, self._dscp, on_trouble, pool_of)
        return self._streams[transport]

    def counters(self) -> dict[str, int]:
        """Connections that there are, and what became of others: `tcp_connections`, `tls_timed_out`.

        Of one of several workers also `handed_on`, `handed_dropped`.
        """
        found: dict[str, int] = {} if self._handing is None else dict(self._handing.counters)
        for transport, stream in self._streams.items():
            name = transport.lower()
            found[f"{name}_connections"] = stream.connections
            found |= {f"{name}_{what}": count for what, count in stream.counters.items()}
        return found

    def close(self) -> None:
        """Closes those that are not served."""
        for bound in self._bound:
            bound.close()


def tls_contexts(config: Config) -> dict[int, TlsContexts]:
    """What the sessions of each TLS listener are made with. Raises ConfigError: a line for each that has none."""
    contexts: dict[int, TlsContexts] = {}
    faults = []
    for local, listen in enumerate(config.listen):
        if listen.transport == "tls":
            try:
                contexts[local] = TlsContexts(_files(config.path.parent, listen))
            except TlsError as error:
                faults.append(_fault(config, local, error))
    if faults:
        raise ConfigError("\n".join(faults))
    return contexts


def _fault(config: Config, local: int, error: TlsError) -> str:
    """`veil.toml:12: listen.private_key: ...`."""
    reason = f"{error} (listener {config.listen[local].shown})"
    [line] = fault_lines(config.path, config.text, [Fault(("listen", local, error.part), reason)])
    return line


def stream_limits(transport: Transport) -> StreamLimits:
    """`[transport]` as the stack takes it; what it does not name stays as it is there."""
    return StreamLimits(
        max_connections=transport.max_connections,
        max_per_host=transport.max_connections_per_host,
        message_s=transport.receive_timeout_s,
        handshake_s=transport.handshake_timeout_s,
        max_handshakes_per_host_s=transport.max_handshakes_per_host,
        max_handshakes_s=transport.max_handshakes,
        idle_s=transport.idle_timeout_s,
        max_unsent_bytes=transport.max_unsent_kib * 1024,
    )


def _files(folder: Path, listen: Listen) -> TlsFiles:
    assert listen.certificate is not None and listen.private_key is not None  # `engine.config.checks`
    client_ca = None if listen.client_ca is None else folder / listen.client_ca
    server_ca = None if listen.server_ca is None else folder / listen.server_ca
    return TlsFiles(folder / listen.certificate, folder / listen.private_key, client_ca, server_ca)


def bind_listener(listener: ListenerSettings, name: str, dscp: int, workers: int = 1) -> list[socket.socket]:
    """One socket, of UDP one for each worker. Raises ListenError, and then none is left; `name` is for its text."""
    try:
        if listener.transport != "UDP":
            return [bind_stream(listener.host, listener.port, dscp)]
        return bind_group(listener.host, listener.port, dscp, workers)
    except OSError as error:
        raise ListenError(f"cannot listen on {name}: {error.strerror or error}") from None
