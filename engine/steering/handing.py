"""Messages that have come to a worker that does not own them go to their owner, and the owner answers.

A datagram goes over with its flow; the owner has a socket of its own on the same address, and answers by that. A
connection stays with the worker that has accepted or opened it: messages of it go to their owners, and what these send
to it, or that they end it, comes back. What is handed over is never handed on again, nobody waits for anybody, and what
finds no room is dropped and counted, as UDP drops it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, final

from engine.core.ownership import owner_of, owner_of_sent
from engine.steering.parcel import BEGUN, CAME, END, FAILED, LOST, MAX_PARCEL_BYTES, SEND, Parcel, packed, unpacked
from engine.steering.passed import Passed
from sipstack.aio.endpoint import Endpoint, Transport
from sipstack.events import Flow

# Parcels taken before the loop looks at anything else.
BURST: Final = 32

# Connections of others that are remembered: as many as two workers may have. The oldest goes first, and an answer to it
# then finds its own way (RFC 3261 §18.2.2).
MAX_ELSEWHERE: Final = 32_768

_NOWHERE: Final = Flow("UDP", "", 0)


@final
class Handing:
    """Stands between the transports of a worker and its endpoint."""

    __slots__ = (
        "_buffer", "_elsewhere", "_endpoint", "_inbox", "_loop", "_outboxes", "_streams", "_worker", "_workers",
        "counters",
    )  # fmt: skip

    def __init__(self, passed: Passed, endpoint: Endpoint) -> None:
        """Takes the inbox and the outboxes over, and tells the others that this worker begins."""
        self._endpoint = endpoint
        self._worker: Final = passed.worker
        self._workers: Final = passed.workers
        self._loop = asyncio.get_running_loop()
        self._inbox = _taken(passed.inbox)
        self._outboxes = [None if one is None else _taken(one) for one in passed.outboxes]
        self._buffer = bytearray(MAX_PARCEL_BYTES)
        self._streams: dict[str, Transport] = {}
        self._elsewhere: dict[Flow, int] = {}  # connections of others, and whose they are
        self.counters = {"handed_on": 0, "handed_dropped": 0}
        endpoint.add_transport("", self)  # which closes it, and counts what it has dropped
        self._loop.add_reader(self._inbox, self._read)
        self._tell_all(BEGUN, _NOWHERE)

    # -- what transports tell ----------------------------------------------------------------------------------------

    def add_transport(self, name: str, transport: Transport) -> None:
        """As `Endpoint.add_transport`; what is sent by a stream may have to go by another worker's connection."""
        if name == "UDP":
            self._endpoint.add_transport(name, transport)
        elif name not in self._streams:
            self._streams[name] = transport
            self._endpoint.add_transport(name, _Streams(self, transport))

    def received(self, data: bytes, flow: Flow) -> None:
        """A message has come here."""
        if self._elsewhere and flow.transport != "UDP":
            self._elsewhere.pop(flow, None)  # another connection, when both ends have used their ports again
        owner = owner_of(data, self._workers)
        if owner == self._worker:
            self._endpoint.received(data, flow)
        else:
            self.hand(owner, CAME, flow, data)

    def undelivered(self, flow: Flow, data: bytes) -> None:
        """A message has not left, or has come back: to this socket, whoever has sent it."""
        owner = self._worker if data[:4] in (b"", b"SIP/") else owner_of_sent(data, self._workers)
        if owner == self._worker:
            self._endpoint.undelivered(flow, data)
        else:
            self.hand(owner, FAILED, flow, data)

    def connection_lost(self, flow: Flow) -> None:
        """A connection has gone by which requests had been sent: of this worker, or of any other."""
        self._endpoint.connection_lost(flow)
        self._tell_all(LOST, flow)

    # -- out ---------------------------------------------------------------------------------------------------------

    def holder_of(self, flow: Flow) -> int | None:
        """The other worker that has the connection of this flow."""
        return self._elsewhere.get(flow)

    def forget(self, flow: Flow) -> None:
        """No connection of another worker has this flow."""
        self._elsewhere.pop(flow, None)

    def hand(self, worker: int, kind: int, flow: Flow, data: bytes = b"") -> bool:
        """Sends a parcel; False when there is no room for it."""
        outbox = self._outboxes[worker]
        parcel = packed(kind, self._worker, flow, data)
        if outbox is None or not parcel:
            self.counters["handed_dropped"] += 1
            return False
        try:
            outbox.send(parcel)
        except OSError:  # full, which is nearly always why
            self.counters["handed_dropped"] += 1
            return False
        self.counters["handed_on"] += 1
        return True

    def _tell_all(self, kind: int, flow: Flow) -> None:
        for worker in range(self._workers):
            if worker != self._worker:
                self.hand(worker, kind, flow)

    # -- in ----------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for _ in range(BURST):
            if self._inbox.fileno() < 0:
                return  # closed by what was received
            try:
                length = self._inbox.recv_into(self._buffer)
            except OSError:
                return  # nothing more is there
            self._take(unpacked(bytes(self._buffer[:length])))

    def _take(self, parcel: Parcel) -> None:
        kind, sender, flow, data = parcel
        if kind == CAME:
            if flow.transport != "UDP":
                self._remember(flow, sender)
            self._endpoint.received(data, flow)
        elif kind == FAILED:
            self._endpoint.undelivered(flow, data)
        elif kind == LOST:
            if self._elsewhere.get(flow) == sender:
                del self._elsewhere[flow]
                self._endpoint.connection_lost(flow)
        elif kind == BEGUN:
            for gone in [one for one, holder in self._elsewhere.items() if holder == sender]:
                del self._elsewhere[gone]
                self._endpoint.connection_lost(gone)
        elif (transport := self._streams.get(flow.transport)) is not None:
            if kind == END:
                transport.disconnect(flow)
            elif not transport.send(data, flow):
                self.undelivered(flow, data)

    def _remember(self, flow: Flow, holder: int) -> None:
        self._elsewhere.pop(flow, None)
        if len(self._elsewhere) >= MAX_ELSEWHERE:
            del self._elsewhere[next(iter(self._elsewhere))]
        self._elsewhere[flow] = holder

    # -- as one of the endpoint's transports: nothing is sent by it ----------------------------------------------------

    def send(self, data: bytes, flow: Flow) -> bool:
        """No flow names it."""
        return False

    def disconnect(self, flow: Flow) -> None:
        """No flow names it."""

    @property
    def dropped(self) -> int:
        """Parcels for which there was no room."""
        return self.counters["handed_dropped"]

    def waiting_s(self) -> float:
        """Nobody tells how long parcels have been waiting; how long datagrams have, tells something of it."""
        return 0.0

    def close(self) -> None:
        """Lets go of inbox and outboxes; who has passed them keeps them open."""
        self._loop.remove_reader(self._inbox)
        self._inbox.close()
        for outbox in self._outboxes:
            if outbox is not None:
                outbox.close()


@final
class _Streams:
    """A stream transport, and the connections of the other workers."""

    __slots__ = ("_handing", "_own")

    def __init__(self, handing: Handing, own: Transport) -> None:
        self._handing = handing
        self._own = own

    def send(self, data: bytes, flow: Flow) -> bool:
        """By who has the connection; that he could not is told later."""
        holder = self._handing.holder_of(flow)
        return self._own.send(data, flow) if holder is None else self._handing.hand(holder, SEND, flow, data)

    def disconnect(self, flow: Flow) -> None:
        """Ends it, wherever it is."""
        holder = self._handing.holder_of(flow)
        if holder is None:
            self._own.disconnect(flow)
        else:
            self._handing.forget(flow)
            self._handing.hand(holder, END, flow)

    @property
    def dropped(self) -> int:
        """Of the own connections."""
        return self._own.dropped

    def waiting_s(self) -> float:
        """Of the own connections."""
        return self._own.waiting_s()

    def close(self) -> None:
        """Closes the own ones."""
        self._own.close()


def _taken(descriptor: int) -> socket.socket:
    taken = socket.socket(fileno=descriptor)
    taken.setblocking(False)
    return taken
