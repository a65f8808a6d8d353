"""The one UDP socket of a player: asyncio-dgram behind a queue with an end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from asyncio_dgram import TransportClosed, from_socket
from asyncio_dgram.aio import DatagramServer

from sipstack.aio.udp import bind_udp

# What may wait while the player is busy: at 700 bytes a message less than 3 MiB.
MAX_WAITING: Final = 4096

Address = tuple[str, int]
Datagram = tuple[bytes, Address]


class DatagramEnd:
    """A bound socket. asyncio-dgram queues without end, and raises the error of one send at the next call of anybody:
    here a full queue sheds and counts, and a send that failed is a datagram lost.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._queue: asyncio.Queue[Datagram | None] = asyncio.Queue(max_waiting)
        self.shed = 0
        self.send_errors = 0
        self.local: Address = ("", 0)

    async def open(self, host: str, port: int) -> None:
        """Binds; port 0 is any. OSError when the address cannot be had."""
        stream = await from_socket(bind_udp(host, port))
        assert isinstance(stream, DatagramServer), "an unconnected socket serves"
        self._stream = stream
        self.local = stream.sockname[:2]
        self._pump = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        while True:
            try:
                data, source = await self._stream.recv()
            except TransportClosed:
                return
            except OSError:
                self.send_errors += 1  # of a send of ours, whoever it was for
                continue
            assert isinstance(source, tuple), "a socket of the IP family"
            self._put((data, source[:2]))

    def _put(self, datagram: Datagram) -> None:
        if self._queue.full():
            self.shed += 1
        else:
            self._queue.put_nowait(datagram)

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

    @property
    def waiting(self) -> int:
        """Datagrams that `receive` returns at once."""
        return self._queue.qsize()

    async def receive(self, timeout_s: float | None) -> Datagram | None:
        """The next datagram; None after `timeout_s` seconds, and after `wake`."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._queue.get()
        return None

    def wake(self) -> None:
        """Lets `receive` return. A full queue lets it return anyway."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def close(self) -> None:
        """Closes the socket."""
        self._stream.close()
        self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump
