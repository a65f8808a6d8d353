"""Who asks a process of the node tells it nothing before it knows that it is that one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engine.control.asking import ask_at, follow_at
from engine.control.client import ControlError


class Listener:
    """Of this process; keeps what it is told, and answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[bytes] = []
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.told.append(line)
            writer.write(b'{"known": true}\n')
        writer.close()
        self.ended.set()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    with TemporaryDirectory() as folder:  # the path of pytest is too long for a socket's name
        made = Listener(Path(folder) / "socket")
        server = await asyncio.start_unix_server(made.serve, made.path)
        yield made
        server.close()


async def test_the_one_that_is_meant_is_asked(listener: Listener) -> None:
    assert await ask_at(listener.path, os.getpid(), "feed", {"secret": "s"}) == {"known": True}
    async with aclosing(follow_at(listener.path, os.getpid(), "feed", {"secret": "s"})) as answers:
        assert await anext(answers) == {"known": True}
    assert listener.told == [b'{"secret": "s", "verb": "feed"}\n'] * 2


async def test_another_one_in_its_place_is_told_nothing(listener: Listener) -> None:
    with pytest.raises(ControlError, match="another process is in its place"):
        await ask_at(listener.path, os.getppid(), "feed", {"secret": "s"})
    await listener.ended.wait()
    listener.ended.clear()
    with pytest.raises(ControlError, match="another process is in its place"):
        await anext(follow_at(listener.path, os.getppid(), "feed", {"secret": "s"}))
    await listener.ended.wait()
    assert listener.told == []
