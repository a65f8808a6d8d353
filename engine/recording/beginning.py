"""A run begins: the process that writes records hands over what earlier runs have left open."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

from engine.recording.frames import (
    BEGUN,
    HEAD_BYTES,
    LOADING,
    NOTES,
    REFUSED,
    ROWS,
    UNREADABLE,
    Hello,
    content_of,
    kind_and_length,
    say_hello,
    told,
)
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.restart import TakenOver


async def begin_run(
    lobby: socket.socket, hello: Hello, cipher: NumberCipher, tell: Callable[[str], None],
    loading: Callable[[int, int], None],
) -> tuple[socket.socket, TakenOver]:  # fmt: skip
    """A stream on which steps may follow, and what this run goes on with. StoreError when records cannot be written.

    `tell` hears what of the journal was damaged, `loading` which segment of how many is being loaded.
    """
    try:
        stream = say_hello(lobby, hello)
    except OSError as error:
        raise StoreError(f"the process that writes records cannot be asked: {error.strerror}") from None
    try:
        return stream, await _begin(stream, cipher, tell, loading)
    except BaseException:
        stream.close()
        raise


async def _begin(
    stream: socket.socket, cipher: NumberCipher, tell: Callable[[str], None], loading: Callable[[int, int], None]
) -> TakenOver:
    left = TakenOver()
    while True:
        kind, content = await _next(stream)
        if kind == LOADING:
            loading(*content_of(content))
        elif kind == NOTES:
            for note in content_of(content):
                tell(note)
        elif kind == REFUSED:
            raise StoreError(content_of(content))
        elif kind == BEGUN:
            left.begun(*content_of(content))
            return left
        elif kind == ROWS:
            rows: list[Any] = content_of(content)
            left.read(rows, cipher)
            if not rows:
                unreadable = told(UNREADABLE, (left.unreadable, time.time()))
                await asyncio.get_running_loop().sock_sendall(stream, unreadable)


async def _next(stream: socket.socket) -> tuple[int, bytes]:
    """Kind and content of one frame, and nothing of what is behind it."""
    kind, length = kind_and_length(await _exactly(stream, HEAD_BYTES))
    return kind, await _exactly(stream, length)


async def _exactly(stream: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    pieces: list[bytes] = []
    while count:
        try:
            piece = await loop.sock_recv(stream, count)
        except OSError:
            piece = b""
        if not piece:
            raise StoreError("the process that writes records has ended before the run began")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
