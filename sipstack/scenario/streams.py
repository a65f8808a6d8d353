"""Connections of a player, TCP and TLS: octets to messages by the stack's framing, into the player's inbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast, final

from sipstack.aio.sockets import bind_stream, outgoing_socket
from sipstack.aio.tls import TlsSession, tls_reason
from sipstack.framing import StreamFramer
from sipstack.scenario.inbox import Arrived, Inbox, Lost
from sipstack.scenario.model import SettingsError
from sipstack.scenario.settings import Address, TlsSettings

# Octets that may wait in a connection, for it to come up or for a far end that reads slowly.
MAX_UNSENT_BYTES: Final = 4 * 1024 * 1024
_CONNECT_S: Final = 10.0
_PONG: Final = b"\r\n"  # RFC 5626 §3.5.1
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@final
class StreamEnd(asyncio.Protocol):
    """One connection, accepted or opened. What is sent before it is up waits; when it ends the inbox says so."""

    def __init__(self, inbox: Inbox, context: ssl.SSLContext | None = None, *, is_server: bool = False) -> None:
        """With a context it speaks TLS."""
        self._inbox = inbox
        self._context = context
        self._session = TlsSession(context, is_server) if context is not None else None
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._unsent = bytearray()
        self._opening: asyncio.Task[None] | None = None
        self._is_up = False
        self._wants_close = False
        self._is_client = False
        self.peer: Address = ("", 0)
        self.local: Address = ("", 0)
        self.is_closed = False
        self.has_been_up = False
        self.fault = ""

    def connect(self, from_host: str, to: Address) -> None:
        """Begins to open it; `local` is known at once. OSError when there is no socket to be had."""
        opened = outgoing_socket(from_host, to[0])
        self.local = opened.getsockname()[:2]
        self.peer = to
        self._is_client = True
        self._opening = asyncio.ensure_future(self._connect(opened, to))

    async def _connect(self, opened: socket.socket, to: Address) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await loop.sock_connect(opened, to)
                await loop.create_connection(lambda: self, sock=opened)
        except (OSError, TimeoutError) as error:
            opened.close()
            self.fault = _reason(error)
            self._ended()
        except asyncio.CancelledError:
            opened.close()
            raise

    # -- what asyncio tells -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; with TLS the client speaks first."""
        self._transport = cast("asyncio.Transport", transport)
        self.local = transport.get_extra_info("sockname")[:2]
        self.peer = transport.get_extra_info("peername")[:2]
        if self._session is None:
            self._established()
        elif self._is_client:
            self._decrypted(b"")

    def data_received(self, data: bytes) -> None:
        """Whole messages go up; a framing that is lost ends the connection with the head that has lost it."""
        transport = self._transport
        assert transport is not None
        if self._session is not None:
            data = self._decrypted(data)
        for message in self._framer.feed(data) if data else ():
            self._inbox.add(Arrived(message, self.peer, self))
        pongs, self._framer.pongs = self._framer.pongs, 0
        if pongs:
            self._write(_PONG * pongs)
        if self._framer.fault:
            self.fault = self._framer.fault
            transport.close()
        elif self._inbox.is_full:
            transport.pause_reading()
            self._inbox.pause(self)
        if self._session is not None and self._session.is_closed:
            transport.close()

    def resume(self) -> None:
        """Reads on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, by whomever."""
        if exc is not None and not self.fault:
            self.fault = _reason(exc)
        self._ended()

    def _ended(self) -> None:
        self.is_closed = True
        self._transport = None
        if not self._wants_close:
            self._inbox.add(Lost(self))

    def _decrypted(self, data: bytes) -> bytes:
        session, transport = self._session, self._transport
        assert session is not None
        assert transport is not None
        try:
            plain = session.receive(data)
        except ssl.SSLError as error:
            self.fault = tls_reason(error)
            plain = b""
        transport.write(session.to_send())  # in the end the alert that says why
        if self.fault:
            transport.close()
        elif session.is_up and not self._is_up:
            self._established()
        return plain

    def _established(self) -> None:
        self._is_up = self.has_been_up = True
        if self._unsent:
            self._write(bytes(self._unsent))
            self._unsent.clear()
        if self._wants_close:
            self._hang_up()

    # -- what the player does ---------------------------------------------------------------------------------------

    async def send(self, data: bytes, to: Address) -> None:
        """To whoever is at the other end. One that does not read until too much waits for it loses the connection."""
        transport = self._transport
        if self.is_closed or (transport is not None and transport.is_closing()):
            return
        waiting = len(self._unsent) + (transport.get_write_buffer_size() if transport is not None else 0)
        if waiting + len(data) > MAX_UNSENT_BYTES:
            self.fault = "the other side does not read"
            await self.close()
            self._inbox.add(Lost(self))
        elif self._is_up:
            self._write(data)
        else:
            self._unsent += data

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if self._session is not None:
            self._session.send(data)
            data = self._session.to_send()
        self._transport.write(data)

    async def close(self) -> None:
        """Sends what waits, then ends it; nobody is told."""
        self._wants_close = True
        if self._is_up or not self._unsent:
            self._hang_up()
        if self._transport is None and self._opening is not None and not self._unsent:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
        self.is_closed = True

    async def renew(self) -> None:
        """Ends it, and opens another to the same place in its stead; one that was accepted only ends."""
        old = self._transport
        if not self._is_client or old is None:
            await self.close()
            return
        self._hang_up()
        old.set_protocol(asyncio.Protocol())  # what comes of its end is nobody's business
        self._transport, self._is_up, self._framer = None, False, StreamFramer()
        self._session = TlsSession(self._context, is_server=False) if self._context is not None else None
        self.connect(self.local[0], self.peer)

    def _hang_up(self) -> None:
        transport, session = self._transport, self._session
        if transport is None or transport.is_closing():
            return
        if session is not None and self._is_up:
            session.close()
            transport.write(session.to_send())
        transport.close()


@final
class Listener:
    """A listening socket of a callee; each connection is an end of its own."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._ends: set[StreamEnd] = set()
        self._server: asyncio.Server | None = None
        self.local: Address = ("", 0)

    async def open(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        """Binds and accepts. OSError when the address cannot be had."""
        bound = bind_stream(host, port)
        self.local = bound.getsockname()[:2]
        self._context = context
        self._server = await asyncio.get_running_loop().create_server(self._accepted, sock=bound)

    def _accepted(self) -> StreamEnd:
        self._ends = {end for end in self._ends if not end.is_closed}
        end = StreamEnd(self._inbox, self._context, is_server=True)
        self._ends.add(end)
        return end

    async def close(self) -> None:
        """Accepts no more, and ends what there is."""
        if self._server is not None:
            self._server.close()
        for end in self._ends:
            await end.close()


def tls_context(tls: TlsSettings, *, is_server: bool) -> ssl.SSLContext:
    """What connections are made with. SettingsError when the files make no TLS.

    Without authorities nobody is asked for a certificate, and any that is shown will do: this is a tool for tests.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    if tls.version:
        context.minimum_version = context.maximum_version = _VERSIONS[tls.version]
    if not is_server:
        context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if tls.authorities is not None else ssl.CERT_NONE
    if tls.authorities is not None:
        _load(tls.authorities, context.load_verify_locations)
    if tls.certificate is None:
        if is_server:
            raise SettingsError("a callee over TLS needs a certificate and its key")
        return context
    certificate = tls.certificate
    _load(tls.private_key or certificate, lambda path: context.load_cert_chain(certificate, path, password=""))
    return context


def _load(path: Path, load: Callable[[Path], None]) -> None:
    try:
        path.read_bytes()
        load(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """In a few words; asyncio's own text of a connection that was refused does not say that it was."""
    if isinstance(error, ssl.SSLError):
        return tls_reason(error)
    if isinstance(error, TimeoutError) and not error.args:
        return "no connection in time"
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
