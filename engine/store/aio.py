"""aiosqlite for commands and API: connections that are always closed, also when opening fails."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiosqlite


@asynccontextmanager
async def connected(open_connection: Callable[[], sqlite3.Connection]) -> AsyncIterator[aiosqlite.Connection]:
    """aiosqlite on what `open_connection` returns, called in another thread; closed at the end.

    Opened before aiosqlite starts its thread: when opening fails there, that thread may still speak to a loop that has
    ended, and says so with a traceback. Nor is who is interrupted meanwhile let go before that thread has ended.
    """
    opened = await asyncio.to_thread(open_connection)
    connection = aiosqlite.Connection(lambda: opened, iter_chunk_size=64)
    begun = asyncio.ensure_future(connection)
    try:
        await asyncio.shield(begun)
        yield connection
    finally:
        await begun
        await connection.close()
