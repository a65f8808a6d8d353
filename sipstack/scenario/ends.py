"""Which socket a call has: one for all, one for each, or one for each address (`-t`)."""

from __future__ import annotations

import asyncio
import ssl
from typing import final

from sipstack.aio.sockets import allow_connections
from sipstack.scenario.inbox import End, Inbox
from sipstack.scenario.settings import Address, Mode, PlayerSettings
from sipstack.scenario.streams import Listener, StreamEnd, tls_context
from sipstack.scenario.udp import DatagramEnd

_EACH = frozenset((Mode.UDP_EACH, Mode.TCP_EACH, Mode.TLS_EACH))


@final
class Ends:
    """All sockets of a player. A callee has one that listens; a caller what its mode says."""

    def __init__(self, settings: PlayerSettings, inbox: Inbox, *, is_server: bool) -> None:
        """SettingsError when the files of TLS do not do."""
        self._settings = settings
        self._inbox = inbox
        self._is_server = is_server
        self._main: End | None = None
        self._listener: Listener | None = None
        self._of_calls: dict[End, int] = {}  # with the number of calls that use each
        self._by_address: dict[str, End] = {}
        self._most = settings.wire.max_sockets
        self._server_tls: ssl.SSLContext | None = None
        self._client_tls: ssl.SSLContext | None = None
        if self.mode.transport == "TLS":
            if is_server:
                self._server_tls = tls_context(settings.wire.tls, is_server=True)
            self._client_tls = tls_context(settings.wire.tls, is_server=False)
        self.local: Address = ("", 0)

    @property
    def mode(self) -> Mode:
        """As the settings say."""
        return self._settings.wire.mode

    @property
    def open_sockets(self) -> int:
        """For the screen."""
        own = len(self._of_calls) + len(self._by_address)
        return own + (self._main is not None) + (self._listener is not None)

    async def open(self) -> None:
        """Binds. OSError when the address cannot be had."""
        settings = self._settings
        if self._is_server and self.mode.transport != "UDP":
            self._listener = Listener(self._inbox)
            await self._listener.open(settings.local_ip, settings.local_port, self._server_tls)
            self.local = self._listener.local
        elif self.mode in _EACH and not self._is_server:
            self._most = min(self._most, allow_connections(self._most))
        elif self.mode.transport == "UDP":
            self._main = await self._datagram_end(settings.local_ip, settings.local_port)
            self.local = self._main.local
        else:
            self.connect_again()

    def connect_again(self) -> End:
        """The one connection of all calls. OSError."""
        end = self._main = self._connected(self._settings.wire.sends_to or self.target)
        self.local = end.local
        return end

    def any_end(self) -> End:
        """One to send from, or the first that comes: for what is of no call."""
        return self._main or next(iter((*self._of_calls, *self._by_address.values())), None) or DatagramEnd(self._inbox)

    @property
    def target(self) -> Address:
        """Where a caller calls."""
        return self._settings.remote_ip, self._settings.remote_port

    async def for_call(self, address: str) -> End:
        """The socket of a call that we begin; `address` is that of its row, for a socket by address. OSError."""
        if self.mode is Mode.UDP_BY_ADDRESS and address != self._settings.local_ip:
            end = self._by_address.get(address)
            if end is None:
                end = self._by_address[address] = await self._datagram_end(address, self.local[1])
            return end
        if self.mode not in _EACH:
            assert self._main is not None
            return self._main
        if len(self._of_calls) >= self._most:  # each is used in turn
            end = next(iter(self._of_calls))
            self._of_calls[end] = self._of_calls.pop(end) + 1
            return end
        if self.mode.transport == "UDP":
            end = await self._datagram_end(self._settings.local_ip, 0)
        else:
            end = self._connected(self._settings.wire.sends_to or self.target)
        self._of_calls[end] = 1
        return end

    async def towards(self, protocol: str, to: Address) -> End:
        """Another socket for a call that goes elsewhere from now on (`<setdest>`). OSError, SettingsError."""
        if protocol == "udp":
            end: End = await self._datagram_end(self._settings.local_ip, 0)
        else:
            if protocol == "tls" and self._client_tls is None:
                self._client_tls = tls_context(self._settings.wire.tls, is_server=False)
            end = self._connected(to, is_tls=protocol == "tls")
        self._of_calls[end] = 1
        return end

    async def reopen(self, end: End) -> None:
        """`<closecon>`: the connection is closed, and opened again with the next message. A socket of UDP stays."""
        if isinstance(end, StreamEnd):
            await end.renew()

    async def left(self, end: End) -> None:
        """A call is through with its socket: one that nobody else uses is closed."""
        users = self._of_calls.get(end)
        if users == 1:
            del self._of_calls[end]
            await end.close()
        elif users is not None:
            self._of_calls[end] = users - 1

    async def close(self) -> None:
        """Closes them all."""
        if self._listener is not None:
            await self._listener.close()
        for end in (*self._of_calls, *self._by_address.values(), self._main):
            if end is not None:
                await end.close()
        await asyncio.sleep(0)  # connections close in the loop's next turn

    async def _datagram_end(self, host: str, port: int) -> DatagramEnd:
        end = DatagramEnd(self._inbox)
        await end.open(host, port)
        return end

    def _connected(self, to: Address, *, is_tls: bool | None = None) -> StreamEnd:
        uses_tls = self.mode.transport == "TLS" if is_tls is None else is_tls
        context = self._client_tls if uses_tls else None
        end = StreamEnd(self._inbox, context)
        end.connect(self._settings.local_ip, to)
        return end
