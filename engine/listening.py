"""The sockets that take SIP: all are bound before anything else is done, so that a start that fails leaves nothing."""

from __future__ import annotations

import socket
from typing import Final, final

from engine.core.settings import ListenerSettings
from sipstack.aio.endpoint import Endpoint
from sipstack.aio.udp import UdpSockets, bind_udp
from sipstack.uri import uri_host


class ListenError(Exception):
    """An address cannot be had; the text is one clear line."""


@final
class BoundSockets:
    """One bound socket for each listener, in their order."""

    def __init__(self, listeners: tuple[ListenerSettings, ...]) -> None:
        """Binds them. Raises ListenError, and then none is left."""
        self._listeners: Final = listeners
        self._bound: Final[list[socket.socket]] = []
        try:
            for listener in listeners:
                self._bound.append(_bind(listener))
        except BaseException:
            self.close()
            raise

    @property
    def shown(self) -> str:
        """`udp:127.0.0.1:5060,udp:[::1]:5060`."""
        return ",".join(shown(listener) for listener in self._listeners)

    async def serve(self, endpoint: Endpoint) -> None:
        """From now on what they receive arrives, and they are the endpoint's to close."""
        datagrams = UdpSockets(endpoint)
        for local, bound in enumerate(self._bound):
            await datagrams.serve(bound, local)

    def close(self) -> None:
        """Closes those that are not served."""
        for bound in self._bound:
            bound.close()


def shown(listener: ListenerSettings) -> str:
    """`udp:127.0.0.1:5060`, as the line that says that the node is ready has it."""
    return f"{listener.transport.lower()}:{uri_host(listener.host)}:{listener.port}"


def _bind(listener: ListenerSettings) -> socket.socket:
    try:
        return bind_udp(listener.host, listener.port)
    except OSError as error:
        raise ListenError(f"cannot listen on {shown(listener)}: {error.strerror or error}") from None
