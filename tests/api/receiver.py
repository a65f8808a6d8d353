"""A platform's server for webhooks: it keeps what it has read, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TAKEN = {"code": 0}


@dataclass
class Receiver:
    """`behave` gives the answer to the n-th POST, None to take it; or seconds of silence, in which nothing is read."""

    address: str
    secret: str = ""
    behave: Callable[[int], web.Response | float | None] = lambda _number: None
    port: int = 0
    posts: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    in_flight: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/told"

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events]

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/told", self._told)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.address, self.port, reuse_address=True)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _told(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        if self.in_flight > 1:
            self.bad.append("two at once")
        self.posts += 1
        body = await request.read()
        text = request.headers["X-Veil-Time"].encode() + b"\n" + body
        right = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        if right != request.headers["X-Veil-Signature"]:
            self.bad.append("signature")
        said = self.behave(self.posts)
        if isinstance(said, float):
            self.in_flight -= 1  # whoever asks has hung up when it comes to its end
            await asyncio.sleep(said)
            self.in_flight += 1
            return web.Response(status=500)
        told = json.loads(body)
        self.events += told["events"]
        self.sizes.append(len(told["events"]))
        return web.json_response(TAKEN) if said is None else said
