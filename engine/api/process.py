"""The process of the HTTP API at work: from its configuration and its sockets to the last answer."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import ssl
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, final

import uvicorn
import uvloop

from engine.api.app import Api
from engine.api.connections import AlibabaConnection, Connection
from engine.api_child import tls_context
from engine.config import Config, ConfigError, load, values
from engine.keeper import FAILED, READY
from engine.logging import set_up_logging
from engine.store.errors import StoreError

NICENESS: Final = 5  # a third of the weight of a node, where both want one processor: calls go first
SWITCH_S: Final = 0.001  # so long the loop waits for the interpreter while the writer's thread computes
GC_THRESHOLDS: Final = (50_000, 20, 50)  # a request in bulk makes 200,000 objects that end without a collection
BACKLOG: Final = 1024
MAX_CONNECTIONS: Final = 1000  # more are answered 503
KEEP_ALIVE_S: Final = 75
LAST_ANSWERS_S: Final = 10
KEEP_S: Final = 1.0  # so long a signed request that only reads could be repeated after a crash


class _Server(uvicorn.Server):
    """Signals are ours, and that it is ready is told."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """The sockets take requests from now on."""
        await super().startup(sockets)
        self._started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: SIGINT is sent to a whole terminal, and the node drains first."""
        yield


@final
class _Servers:
    """All listeners of the process: it is ready when each of them is, and they end together."""

    def __init__(self, word: str, let_go: Callable[[], None]) -> None:
        """`word` says that they are ready; `let_go` has those answered who wait."""
        self._word = word
        self._let_go = let_go
        self._servers: list[tuple[_Server, socket.socket]] = []
        self._waited_for = 0

    def add(
        self, application: Any, bound: socket.socket, context: ssl.SSLContext | None, protocol: type[Connection]
    ) -> None:  # fmt: skip
        """One more, before they are served."""
        options = uvicorn.Config(
            application, loop="none", http=protocol, ws="none", lifespan="off", interface="asgi3", log_config=None,
            access_log=False, server_header=False, proxy_headers=False, backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=LAST_ANSWERS_S,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )  # fmt: skip
        self._servers.append((_Server(options, self._started), bound))
        self._waited_for += 1

    async def serve(self) -> None:
        """Until `end`."""
        await asyncio.gather(*(server.serve(sockets=[bound]) for server, bound in self._servers))

    def end(self) -> None:
        """No more requests; those that were begun are answered."""
        for server, _ in self._servers:
            server.should_exit = True
        self._let_go()

    def _started(self) -> None:
        self._waited_for -= 1
        if not self._waited_for:
            _tell(self._word)


def run_api() -> int:
    """The exit status: 0 when it was told to end, 1 when it could not begin."""
    parser = argparse.ArgumentParser(prog="engine.api", description="The HTTP API of veil700.")
    parser.add_argument("--config", type=Path, metavar="FILE")
    try:
        config = load(parser.parse_args().config)
    except ConfigError as error:
        return _fail(str(error))
    if config.api is None:
        return _fail(f"{config.path}: there is no [api]")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (
        signal.SIGINT,
        signal.SIGHUP,
    ):  # of a terminal: they are for the node
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    log = set_up_logging(config.log.level, config.log.format)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it warns of every request that is no HTTP
    try:
        uvloop.run(_serve(config, log))
    except (ConfigError, OSError, StoreError) as error:
        return _fail(str(error))
    return 0


async def _serve(config: Config, log: Any) -> None:
    assert config.api is not None
    context = tls_context(config)
    with contextlib.ExitStack() as sockets:
        bound = sockets.enter_context(_bind("api", config.api.address))
        alibaba = config.api.alibaba_address
        alibaba_bound = None if alibaba is None else sockets.enter_context(_bind("alibaba", alibaba))
        api = Api(config, log)
        servers = _Servers(f"{READY} {config.api.url} {config.api.alibaba_url}".rstrip(), api.let_go)
        servers.add(api.served, bound, context, Connection)
        if alibaba_bound is not None:
            servers.add(api.alibaba, alibaba_bound, context, AlibabaConnection)
        gc.collect()
        gc.freeze()  # what is loaded now lives as long as the process
        gc.set_threshold(*GC_THRESHOLDS)
        try:
            await _answer(api, servers)
        finally:
            await api.close()


async def _answer(api: Api, servers: _Servers) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, servers.end)
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):  # a node holds its other end
        loop.add_reader(sys.stdin.fileno(), _read_stdin, servers)
    sys.setswitchinterval(SWITCH_S)
    keeping = asyncio.create_task(_keep(api))
    await api.begin()
    try:
        await servers.serve()
    finally:
        keeping.cancel()


async def _keep(api: Api) -> None:
    while True:
        await asyncio.sleep(KEEP_S)
        await api.keep()


def _read_stdin(servers: _Servers) -> None:
    """Nothing is ever written to it: it can be read when its other end is gone."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        servers.end()


def _bind(name: str, text: str) -> socket.socket:
    """A socket that listens; OSError, whose text says where it cannot."""
    address, port = values.socket_address(text)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a process that died linger
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((str(address), port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen on {name} {text}: {error.strerror}") from None
    bound.setblocking(False)
    return bound


def _fail(reason: str) -> int:
    _tell(f"{FAILED}{'; '.join(reason.splitlines())}")
    return 1


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())
