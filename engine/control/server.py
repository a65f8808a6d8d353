"""Answering tools: one JSON line in, one JSON line out, then the connection ends; of a stream there are many lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, final

from engine.control.protocol import ANSWER_TIMEOUT_S, MAX_REQUEST_BYTES

# A stream whose client reads nothing for so long is broken off: a reader that was put to sleep holds no place for ever.
STUCK_S: Final = 600.0
# So long the last words to a client may take, also when the node stops.
CLOSING_S: Final = 1.0

Answer = dict[str, object]
Verb = Callable[[], Answer | Awaitable[Answer]]
Request = dict[str, object]
AskingVerb = Callable[[Request], Answer | Awaitable[Answer]]  # one that must be told more than its name
StreamVerb = Callable[[Request], AsyncGenerator[bytes, None]]  # whole lines, until it ends or the client leaves


@final
class ControlServer:
    """The control socket of one process; only its owner can reach it (mode 0600)."""

    def __init__(
        self, path: Path, verbs: Mapping[str, Verb], asking: Mapping[str, AskingVerb] | None = None,
        streams: Mapping[str, StreamVerb] | None = None,
    ) -> None:  # fmt: skip
        self._path = path
        self._verbs = verbs
        self._asking = asking or {}
        self._streams = streams or {}
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()  # of streams

    async def start(self) -> None:
        """Opens the socket; one that a killed node left behind is replaced. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        old = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_REQUEST_BYTES)
        finally:
            os.umask(old)

    async def close(self) -> None:
        """Closes the socket and takes it away; streams are told that the node stops."""
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        if pumps:
            await asyncio.wait(pumps)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                request = _read(await reader.readline())
                stream = self._stream(request)
                if stream is None:
                    writer.write(json.dumps(await self._answer(request)).encode() + b"\n")
                    await writer.drain()
            if stream is not None:
                await self._follow(stream, reader, writer)
        except (TimeoutError, ValueError, ConnectionError):
            pass  # a client that says nothing sensible, or leaves, is its own affair
        finally:
            await _close(writer)

    def _stream(self, request: Request | None) -> AsyncGenerator[bytes, None] | None:
        """What a stream verb has to say; None for any other request."""
        name = None if request is None else request.get("verb")
        verb = self._streams.get(name) if isinstance(name, str) else None
        return None if verb is None or request is None else verb(request)

    async def _follow(
        self, stream: AsyncGenerator[bytes, None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Until the stream ends, the client leaves or says anything more, or the node stops."""
        pump = asyncio.create_task(_pump(stream, writer))
        left = asyncio.create_task(reader.read(1))
        self._pumps.add(pump)
        await asyncio.wait({pump, left}, return_when=asyncio.FIRST_COMPLETED)
        self._pumps.discard(pump)
        for task in (pump, left):
            task.cancel()
        ended = await asyncio.gather(pump, left, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]

    async def _answer(self, request: Request | None) -> Answer:
        if request is None:
            return {"error": "no JSON"}
        name = request.get("verb")
        known = {*self._verbs, *self._asking, *self._streams}
        if not isinstance(name, str) or name not in known:
            return {"error": f"unknown verb, known: {', '.join(sorted(known))}"}
        answer = self._asking[name](request) if name in self._asking else self._verbs[name]()
        return answer if isinstance(answer, dict) else await answer


def _read(line: bytes) -> Request | None:
    """The request of a client: {} for JSON that is none; None for what is no JSON."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):  # the second one: brackets without end
        return None
    return request if isinstance(request, dict) else {}


async def _pump(stream: AsyncGenerator[bytes, None], writer: asyncio.StreamWriter) -> None:
    """Writes as fast as the client reads. A stream that is broken off says so, as far as there is room for it."""
    try:
        async with contextlib.aclosing(stream) as lines:
            async for line in lines:
                writer.write(line)
                async with asyncio.timeout(STUCK_S):
                    await writer.drain()
    except (ConnectionError, TimeoutError):
        pass  # the client has left, or sleeps
    except asyncio.CancelledError:
        with contextlib.suppress(ConnectionError):
            writer.write(b'{"end": "stop"}\n')
        raise


async def _close(writer: asyncio.StreamWriter) -> None:
    """What has been said goes out, as far as the client reads it."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSING_S):
            await writer.wait_closed()
    except (TimeoutError, ConnectionError):
        writer.transport.abort()
