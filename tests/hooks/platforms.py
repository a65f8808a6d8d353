"""An app platform that answers questions over HTTPS on loopback, well or badly."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sipstack.certificates import Authority

HOST = "127.0.0.1"


@dataclass
class Asked:
    """One question as it came."""

    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


# What is sent back; None: nothing for ever. A function may also write by itself and return b"".
Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[bytes | None]]


def says(content: object, status: str = "200 OK", *fields: str) -> Behaviour:
    """Always the same: JSON, or bytes as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def answer(_asked: Asked, _writer: asyncio.StreamWriter) -> bytes:
        return response(body, status, *fields)

    return answer


def response(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""))
    return head.encode() + body


async def silent(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
    return None


@dataclass
class Platform:
    """Its server. `asked` is what came so far."""

    behaviour: Behaviour
    host: str = HOST
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    scheme: str = "https"
    _server: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/ask"

    async def start(self, context: ssl.SSLContext | None) -> Platform:
        self.scheme = "http" if context is None else "https"
        self._server = await asyncio.start_server(self._serve, HOST, 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        for writer in self._writers:
            if not writer.is_closing():
                writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                asked = Asked(headers, await reader.readexactly(int(headers["content-length"])), number)
                self.asked.append(asked)
                answer = await self.behaviour(asked, writer)
                if answer is None:
                    await reader.read()
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


def context_for(authority: Authority, name: str, *subjects: str, days: int = 30) -> ssl.SSLContext:
    """What a server with such a certificate speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name, *subjects, days=days))
    return context


def trust(folder: Path, monkeypatch: Any) -> Authority:
    """An authority that the process trusts from now on."""
    authority = Authority(folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority
