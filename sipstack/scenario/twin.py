"""Players that tell each other what their calls are at (`-3pcc`, `-master`, `-slave`): texts over TCP, each with an ESC
at its end, as SIPp sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Final, final

from sipstack.scenario.inbox import Inbox, TwinSaid
from sipstack.scenario.model import SettingsError
from sipstack.scenario.settings import Address, TwinSettings

_END: Final = b"\x1b"
MAX_TEXT_BYTES: Final = 64 * 1024
_CONNECT_S: Final = 10.0
_BETWEEN_TRIES_S: Final = 0.2
_FROM: Final = re.compile(r"^From[ \t]*:[ \t]*([^\s;]+)", re.IGNORECASE | re.MULTILINE)


@final
class Twins:
    """The connections to the other players. What they say comes into the inbox."""

    def __init__(self, settings: TwinSettings, inbox: Inbox, *, begins: bool) -> None:
        """`begins`: our scenario tells before it hears, so that it is ours to connect."""
        self._settings = settings
        self._inbox = inbox
        self._begins = begins
        self._server: asyncio.Server | None = None
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._all: set[asyncio.StreamWriter] = set()
        self._readers: set[asyncio.Task[None]] = set()
        self.is_lost = False

    async def open(self) -> None:
        """Listens, or connects to those who do; waits ten seconds for them. OSError."""
        settings = self._settings
        if settings.name:
            await self._listen(settings.peers[settings.name])
            if settings.is_master:
                for name in settings.peers:
                    if name != settings.name:
                        await self._connect(name, settings.peers[name])
        elif settings.address is not None:
            if self._begins:
                await self._connect("", settings.address)
            else:
                await self._listen(settings.address)

    async def _listen(self, address: Address) -> None:
        self._server = await asyncio.start_server(self._accepted, *address, limit=MAX_TEXT_BYTES)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._settings.name:
            self._writers[""] = writer
        await self._read(reader, writer)

    async def _connect(self, name: str, address: Address) -> None:
        """Tries again until somebody listens: which of the players is started first is not laid down."""
        async with asyncio.timeout(_CONNECT_S):
            while True:
                try:
                    reader, writer = await asyncio.open_connection(*address, limit=MAX_TEXT_BYTES)
                except ConnectionRefusedError:
                    await asyncio.sleep(_BETWEEN_TRIES_S)
                    continue
                break
        self._writers[name] = writer
        task = asyncio.ensure_future(self._read(reader, writer))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._all.add(writer)
        try:
            while True:
                text = (await reader.readuntil(_END))[:-1].decode("latin-1")
                found = _FROM.search(text) if self._settings.name else None
                self._inbox.put(TwinSaid(text, found[1] if found else ""))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            self.is_lost = True
            self._inbox.wake()
        finally:
            self._all.discard(writer)
            writer.close()

    async def tell(self, text: str, to: str) -> bool:
        """Sends a text to the twin, or to the peer of that name; False when it is not to be reached."""
        writer = self._writers.get(to)
        if writer is None and to in self._settings.peers:
            with contextlib.suppress(OSError, TimeoutError):
                await self._connect(to, self._settings.peers[to])
            writer = self._writers.get(to)
        if writer is None or writer.is_closing():
            return False
        writer.write(text.encode("latin-1", "replace") + _END)
        with contextlib.suppress(OSError):
            await writer.drain()
        return not writer.is_closing()

    async def close(self) -> None:
        """Ends the connections, once what was said has been sent."""
        if self._server is not None:
            self._server.close()
        for writer in (*self._writers.values(), *self._all):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        for task in self._readers:
            task.cancel()


def read_peers(path: Path) -> dict[str, Address]:
    """The file of `-slave_cfg`: a line `name;host:port` for each player. SettingsError, OSError."""
    peers: dict[str, Address] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = re.fullmatch(r"([^;]+);\s*(?:\[([^\]]+)\]|([^:;\s]+)):([0-9]{1,5});?", text)
        if found is None or not 0 < int(found[4]) < 65536:
            raise SettingsError(f"{path}:{number}: a line is NAME;HOST:PORT")
        peers[found[1].strip()] = (found[2] or found[3], int(found[4]))
    if not peers:
        raise SettingsError(f"{path}: names no player")
    return peers
