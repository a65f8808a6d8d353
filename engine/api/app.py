"""The application: the operations of all resources behind the gate, and its OpenAPI document."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from engine.api import (
    api_keys,
    bindings,
    complaints,
    credit_events,
    entities,
    events,
    feeds,
    groups,
    numbers,
    orders,
    persons,
    problem_documents,
    reports,
    webhooks,
)
from engine.api.alibaba.listener import AlibabaListener
from engine.api.auth import Keys
from engine.api.chores import Chores
from engine.api.desk import Desk
from engine.api.direct import Direct
from engine.api.gate import Gate
from engine.api.hooks import resource as hooks
from engine.api.hooks.broker import Hooks
from engine.api.hooks.line import HookLine
from engine.api.operations import describe, illegal
from engine.api.outbound import Places
from engine.api.push import Push
from engine.api.writer import Writer
from engine.config import Config
from engine.domain.problems import Problem
from engine.hook_client import SOCKET
from engine.store.crypto import open_key
from engine.store.database import open_read_only
from engine.store.errors import StoreError

READ_BUSY_MS: Final = 500
PREFIX: Final = "/v1"

_PARTS: Final = (
    bindings, groups, persons, orders, numbers, entities, events, webhooks, feeds, hooks, complaints, credit_events,
    reports, api_keys,
)  # fmt: skip
ROUTERS: Final = tuple(part.router for part in _PARTS)


@final
class Api:
    """Everything of one process; `served` and `alibaba` are what its servers call. Made where the loop runs."""

    def __init__(self, config: Config, log: Any, clock: Callable[[], float] = time.time) -> None:
        """Opens the store. StoreError."""
        assert config.api is not None
        cipher = open_key(config.data_dir)
        path = config.data_dir / "bindings.db"
        self._writer = Writer(path, cipher, self._first)
        self._reader: sqlite3.Connection | None = None
        try:
            self._reader = open_read_only(path, cipher, busy_ms=READ_BUSY_MS)
            self._keys = Keys(self._reader, cipher, clock, config.api.rate_per_s)
        except BaseException:
            self._writer.stop()
            if self._reader is not None:
                self._reader.close()
            raise
        self.app: Final = make_app()
        self._desk = Desk(config, cipher, self._writer, self._reader, self._keys, clock)
        self.hooks: Final = Hooks(self._desk, log.warning)
        self._line = HookLine(config.data_dir / SOCKET, self.hooks)
        self.app.state.desk = self._desk
        self.app.state.hooks = self.hooks
        self._push = Push(self._desk, Places(config.api.webhook_hosts), log.warning)
        self.app.state.push = self._push
        self.app.state.log = log.error
        self.served: Final = Gate(Direct(self.app, PREFIX), self._keys, log.error)
        self.alibaba: Final = AlibabaListener(self._desk, self.hooks, log.error)
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """From now on the node may ask, and what is done without being asked begins. OSError."""
        await self._line.start()
        chores = Chores(self._desk, self._log.warning)
        self._tasks = [asyncio.create_task(one.run()) for one in (self._desk.feed, chores, self._push)]

    def let_go(self) -> None:
        """The process ends: whoever waits for an event is answered."""
        self._desk.feed.wake_all()

    async def keep(self) -> None:
        """Writes down what must outlive the process, where nothing else is written."""
        if self._keys.is_unkept:
            await self._writer.run(lambda _connection: None)

    async def close(self) -> None:
        """Writes what has queued, lets go of the store."""
        await self._push.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._line.close()
        await self.hooks.close()
        await self.keep()
        self._writer.stop()
        self._desk.close()
        if self._reader is not None:
            self._reader.close()

    def _first(self, connection: sqlite3.Connection) -> None:
        self._keys.keep(connection)


def make_app() -> FastAPI:
    """The operations, without a store behind them."""
    app = FastAPI(title="veil700", version="1", openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None,
                  redirect_slashes=False)  # fmt: skip
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _not_as_it_must_be)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(StoreError, _store_fault)
    app.add_exception_handler(Exception, _fault)
    describe(app)
    return app


async def _problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem_documents.answer(problem)


async def _not_as_it_must_be(_request: Request, error: Exception) -> Response:
    """The first thing that is wrong; the value is not repeated, it may be a number."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return problem_documents.answer(illegal(first["loc"], first["msg"]))


async def _plain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_documents.plain(error.status_code, str(error.detail), error.headers)


async def _store_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError)
    return problem_documents.of_store(request.app.state.log, error)


async def _fault(_request: Request, _error: Exception) -> Response:
    return problem_documents.of_fault()
