"""A client of a stream that reads nothing: it loses its place, and keeps no node from stopping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import engine.control.server
from engine.control.protocol import socket_path
from engine.control.server import ControlServer

LINE = b"x" * 4_000_000 + b"\n"  # more than a socket takes


class Source:
    """Lines without end; `ended` when nobody asks for more."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def lines(self, request: dict[str, object]) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield LINE
        finally:
            self.ended.set()


@asynccontextmanager
async def asleep(folder: Path, server: ControlServer) -> AsyncIterator[asyncio.StreamReader]:
    """A client that has asked and reads no more than it must."""
    await server.start()
    reader, writer = await asyncio.open_unix_connection(socket_path(folder), limit=1000)
    try:
        writer.write(b'{"verb": "flow"}\n')
        yield reader
    finally:
        writer.close()


async def test_it_loses_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.control.server, "STUCK_S", 0.05)
    monkeypatch.setattr(engine.control.server, "CLOSING_S", 0.05)
    source = Source()
    server = ControlServer(socket_path(tmp_path), {}, streams={"flow": source.lines})
    async with asleep(tmp_path, server):
        async with asyncio.timeout(60):
            await source.ended.wait()
    await server.close()


async def test_the_node_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.control.server, "CLOSING_S", 0.05)
    source = Source()
    server = ControlServer(socket_path(tmp_path), {}, streams={"flow": source.lines})
    async with asleep(tmp_path, server) as reader:
        await reader.readexactly(1)
        (serving,) = [task for task in asyncio.all_tasks() if "_serve" in repr(task.get_coro())]
        async with asyncio.timeout(60):
            await server.close()
            await asyncio.wait({serving})
    assert source.ended.is_set()
