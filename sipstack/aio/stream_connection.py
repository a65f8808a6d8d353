"""One connection of a stream transport: octets to messages, messages to octets, TLS in between when there is any."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final, Protocol, cast, final

from sipstack.aio.tls import TlsSession, tls_reason
from sipstack.events import Flow
from sipstack.framing import StreamFramer

_PONG: Final = b"\r\n"  # RFC 5626 §3.5.1


class Owner(Protocol):
    """What a connection needs of its transport."""

    read_buffer: memoryview

    def now(self) -> float:
        """The loop's monotonic time in seconds."""

    def count(self, name: str) -> None:
        """One more of these."""

    def received(self, message: bytes, connection: StreamConnection) -> None:
        """One whole message, or the head that has lost the framing."""

    def identified(self, connection: StreamConnection) -> None:
        """One that has come has ended its handshake; its flow says what it has proven."""

    def watch(self, connection: StreamConnection) -> None:
        """From now on it has its time to get on: to end its first message or one that has begun, or to close."""

    def unwatch(self, connection: StreamConnection) -> None:
        """It owes nothing."""

    def opened(self, connection: StreamConnection) -> None:
        """One that we have opened is up."""

    def holds(self, connection: StreamConnection, octets: int) -> None:
        """So many octets of a message are there that has not ended."""

    def leaving(self, connection: StreamConnection) -> None:
        """It takes nothing more, and what it has is still being sent."""

    def gone(self, connection: StreamConnection) -> None:
        """It has ended."""


@final
class StreamConnection(asyncio.BufferedProtocol):
    """A TCP connection, accepted or opened by us; `flow` names it.

    Until it is up, what is sent waits: `unsent` is what is certain never to have left. `flow.identities` are the names
    that the far end has proven; of a connection that we open, until it is up, those of which it must prove one.
    `may_stay`: it is ours, or has brought a request and was not ended for it, as those of strangers are; it may be
    silent between two messages. Nobody keeps one by pings or answers. `heard_at` and `deadline` are monotonic seconds.
    `asked`: flows of requests that may have left by it, more than its own where it took over from others. `is_reply`:
    it was opened for an answer, where the sender of the request says.
    """

    __slots__ = (
        "_framer",
        "_max_unsent",
        "_owner",
        "_session",
        "_transport",
        "_unread",
        "_unsent_bytes",
        "asked",
        "deadline",
        "fault",
        "flow",
        "heard_at",
        "is_closing",
        "is_outgoing",
        "is_reply",
        "is_up",
        "may_stay",
        "opening",
        "unopened",
        "unsent",
    )

    def __init__(
        self, owner: Owner, flow: Flow, session: TlsSession | None, is_outgoing: bool, max_unsent: int
    ) -> None:
        """`max_unsent` bounds, in octets, what waits in it for the connection or for a far end that reads slowly."""
        self._owner = owner
        self._session = session
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._max_unsent = max_unsent
        self._unsent_bytes = 0
        self._unread = 0  # octets that have come since it is closing
        self.unsent: list[tuple[bytes, Flow]] = []
        self.flow = flow
        self.is_outgoing = is_outgoing
        self.is_reply = False
        self.is_up = False
        self.may_stay = is_outgoing
        self.is_closing = False
        self.asked: list[Flow] = []
        self.heard_at = owner.now()
        self.deadline = 0.0
        self.fault = ""  # why it did not come up
        self.opening: asyncio.Task[bool] | None = None
        self.unopened: socket.socket | None = None  # while it is not asyncio's yet

    # -- what asyncio tells ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected: a TLS client speaks first, TCP is up."""
        self._transport = cast("asyncio.Transport", transport)
        if self.is_closing:
            self._transport.abort()
        elif self._session is None:
            self._established()
        elif self.is_outgoing:
            self._decrypted(b"")

    def get_buffer(self, sizehint: int) -> memoryview:
        """The same one for all connections: what is read is taken out of it before anything else is read."""
        return self._owner.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many octets have come."""
        if self.is_closing:
            self._unread += nbytes
            if self._unread > self._max_unsent:
                self.abort()
            return
        self.heard_at = self._owner.now()
        data = bytes(self._owner.read_buffer[:nbytes])
        if self._session is not None:
            data = self._decrypted(data)
        if data:
            self._read(data)
        if self._session is not None and self._session.is_closed:
            self.close()

    def eof_received(self) -> bool:
        """The far end sends no more: asyncio closes, once it has sent what we had to say."""
        self.is_closing = True
        self._owner.leaving(self)
        self._owner.watch(self)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either end, or broken."""
        self.is_closing = True
        self._transport = None
        self._owner.gone(self)

    # -- in ----------------------------------------------------------------------------------------------------------

    def _decrypted(self, data: bytes) -> bytes:
        session = self._session
        assert session is not None
        was_up = session.is_up
        try:
            plain = session.receive(data)
        except ssl.SSLError as error:
            self._owner.count("handshakes_failed")
            self.fault = tls_reason(error)
            self._flush(session)  # the alert that says why
            self.close()
            return b""
        self._flush(session)
        if session.is_up and not was_up:
            self._identified(session.identities)
        return b"" if self.is_closing else plain

    def _identified(self, proven: tuple[str, ...]) -> None:
        """The handshake is over: a far end that is not whom we meant to reach gets nothing (RFC 5922 §7.3)."""
        flow = self.flow
        if self.is_outgoing and not set(flow.identities) & set(proven):
            self._owner.count("wrong_names")
            self.fault = f"its certificate is not for {' or '.join(flow.identities)}"
            self.close()
            return
        self.flow = Flow(flow.transport, flow.host, flow.port, flow.local, proven)
        if not self.is_outgoing:
            self._owner.identified(self)
        self._established()

    def _established(self) -> None:
        self.is_up = True
        if self.is_outgoing:
            self._owner.opened(self)
        else:
            self._owner.watch(self)
        waiting, self.unsent = self.unsent, []
        for data, flow in waiting:
            self.send(data, flow)

    def _read(self, data: bytes) -> None:
        framer = self._framer
        held = framer.held
        messages = framer.feed(data)
        for message in messages:
            self._owner.received(message, self)
            if self.is_closing:
                return  # what stands behind it is not run
        pongs, framer.pongs = framer.pongs, 0
        if pongs:
            self._write(_PONG * pongs)
        if framer.fault:
            self._owner.count("framing_lost")
            self._close_half()
            return
        if held != framer.held:
            self._owner.holds(self, framer.held)
        if not self.may_stay:
            self.may_stay = not all(message.startswith(b"SIP/2.0 ") for message in messages)
        if not self.may_stay:
            return  # the time that it was given when it came runs on
        if framer.held and (messages or not held):
            self._owner.watch(self)
        elif messages:
            self._owner.unwatch(self)

    # -- out ---------------------------------------------------------------------------------------------------------

    def may_carry(self, identities: tuple[str, ...]) -> bool:
        """Whether it goes to who has one of these names; without any, to whoever is there."""
        if not identities or identities is self.flow.identities:
            return True
        if not self.is_up:
            return identities == self.flow.identities
        return not set(identities).isdisjoint(self.flow.identities)

    def send(self, data: bytes, flow: Flow) -> bool:
        """Sends what is meant for `flow`, or lets it wait until the connection is up. False when that cannot be.

        A far end that does not read until too much waits for it loses the connection.
        """
        if self.is_closing:
            return False
        if not self.is_up:
            self._unsent_bytes += len(data)
            if self._unsent_bytes > self._max_unsent:
                return False
            self.unsent.append((data, flow))
            return True
        if not data.startswith(b"SIP/2.0 ") and flow not in self.asked:
            self.asked.append(flow)
        return self._write(data)

    def _write(self, data: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(data) > self._max_unsent:
            self._owner.count("slow_readers")
            self.abort()
            return False
        if self._session is None:
            transport.write(data)
        else:
            self._session.send(data)
            self._flush(self._session)
        return True

    def _flush(self, session: TlsSession) -> None:
        data = session.to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Takes nothing more, sends what is still to be sent, then ends."""
        if self.is_closing:
            return
        self.is_closing = True
        self._owner.leaving(self)
        if self._transport is None:
            self._hang_up()
            return
        if self._session is not None and self._session.is_up:
            self._session.close()
            self._flush(self._session)
        self._owner.watch(self)
        self._transport.close()

    def _close_half(self) -> None:
        """Says that nothing more will come, and throws away what still does, until the far end closes, too.

        It is in the middle of a message: a close while octets lie unread is a reset, and may take the answer with it.
        Its time for that is that of a message, and its octets are as many as may wait for it.
        """
        transport, session = self._transport, self._session
        if transport is None or transport.is_closing():
            return
        self.is_closing = True
        self._owner.leaving(self)
        if session is not None:
            session.close()
            self._flush(session)
        self._owner.watch(self)
        transport.write_eof()

    def abort(self) -> None:
        """Ends at once; what waits is lost."""
        self.is_closing = True
        self._owner.leaving(self)
        if self._transport is None:
            self._hang_up()
        else:
            self._transport.abort()

    def failed(self) -> None:
        """It could not be opened, or is not wanted any more."""
        self.is_closing = True
        if self.unopened is not None:
            self.unopened.close()
            self.unopened = None
        self._owner.gone(self)

    def _hang_up(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
