"""A UDP socket of a player: asyncio-dgram in front of the player's inbox."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, final

from asyncio_dgram import TransportClosed, from_socket
from asyncio_dgram.aio import DatagramServer

from sipstack.aio.udp import MAX_DATAGRAM_BYTES, bind_udp
from sipstack.scenario.inbox import Arrived, Inbox
from sipstack.scenario.settings import Address

_BURST: Final = 255


@final
class DatagramEnd:
    """A bound socket. asyncio-dgram queues without end, and raises the error of one send at the next call of anybody:
    here the inbox sheds and counts, and a send that failed is a datagram lost. It also reads one datagram in each turn
    of the loop: whoever is behind would never catch up, so what has come meanwhile is read behind each one.
    """

    fault = ""
    has_been_up = True

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.send_errors = 0
        self.is_closed = False
        self.local: Address = ("", 0)

    async def open(self, host: str, port: int) -> None:
        """Binds; port 0 is any. OSError when the address cannot be had."""
        bound = bind_udp(host, port)
        stream = await from_socket(bound)
        assert isinstance(stream, DatagramServer), "an unconnected socket serves"
        self._bound = bound
        self._stream = stream
        self.local = stream.sockname[:2]
        self._pump = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        put = self._inbox.put
        receive = self._stream.recv
        while True:
            try:
                data, source = await receive()
            except TransportClosed:
                return
            except OSError:
                self.send_errors += 1  # of a send of ours, whoever it was for
                continue
            assert isinstance(source, tuple), "a socket of the IP family"
            put(Arrived(data, source[:2], self))
            for _ in range(_BURST):
                try:
                    data, source = self._bound.recvfrom(MAX_DATAGRAM_BYTES)
                except OSError:
                    break  # nothing more is there, or an error, which comes up in `receive`
                put(Arrived(data, source[:2], self))

    async def send(self, data: bytes, to: Address) -> None:
        """Sends, whatever earlier sends have come to."""
        while True:
            try:
                await self._stream.send(data, to)
            except OSError:
                self.send_errors += 1
                continue
            except TransportClosed:
                pass
            return

    async def close(self) -> None:
        """Closes the socket."""
        self.is_closed = True
        self._stream.close()
        self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump
