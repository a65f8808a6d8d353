"""Answering tools: one JSON line in, one JSON line out, then the connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import final

from engine.control.protocol import ANSWER_TIMEOUT_S, MAX_REQUEST_BYTES, socket_path

Answer = dict[str, object]
Verb = Callable[[], Answer | Awaitable[Answer]]
Request = dict[str, object]
AskingVerb = Callable[[Request], Answer]  # one that must be told more than its name


@final
class ControlServer:
    """The control socket of one process; only its owner can reach it (mode 0600)."""

    def __init__(
        self, data_dir: Path, verbs: Mapping[str, Verb], asking: Mapping[str, AskingVerb] | None = None
    ) -> None:
        self._path = socket_path(data_dir)
        self._verbs = verbs
        self._asking = asking or {}
        self._server: asyncio.Server | None = None

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
        """Closes the socket and takes it away."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                line = await reader.readline()
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError):
            pass  # a client that says nothing sensible, or leaves, is its own affair
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):  # the second one: brackets without end
            return {"error": "no JSON"}
        name = request.get("verb") if isinstance(request, dict) else None
        if not isinstance(name, str) or name not in {*self._verbs, *self._asking}:
            return {"error": f"unknown verb, known: {', '.join(sorted({*self._verbs, *self._asking}))}"}
        if name in self._asking:
            return self._asking[name](request)
        verb = self._verbs[name]
        answer = verb()
        return answer if isinstance(answer, dict) else await answer
