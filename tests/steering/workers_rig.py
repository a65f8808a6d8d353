"""Workers in one process, on the sockets that a process above them would have opened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

from engine.config import load
from engine.config.models import Config
from engine.core.ownership import owner_letter
from engine.core.tokens import TokenSource
from engine.listening import BoundSockets
from engine.steering.passed import Passed, read_passed
from engine.steering.shared import SharedSockets
from sipstack.events import Flow
from tests.sipstack.endpoint_rig import WAIT_S, Rig

PEER = """
[[peer]]
name = "core"
match = ["127.0.0.0/8"]
targets = ["sip:127.0.0.1"]
[[route]]
name = "all"
called = "."
peers = ["core"]
"""
UDP, TCP = 0, 1  # listeners


def config_text(folder: Path, host: str) -> str:
    """A node on UDP and TCP."""
    listen = f'[[listen]]\naddress = "{host}:5060"\n[[listen]]\ntransport = "tcp"\naddress = "{host}:5060"\n'
    return f'[node]\nname = "veil"\ndata_dir = "{folder / "var"}"\n{listen}{PEER}'


class Worker(Rig):
    """One of them: a recorder behind an endpoint that several share out messages with."""

    def __init__(self, config: Config, passed: Passed) -> None:
        super().__init__()
        self.tokens = TokenSource(random.Random(passed.worker).randbytes, owner_letter(passed.worker))
        self.tapped: list[tuple[bool, bytes]] = []
        self.endpoint.tap = lambda is_sent, data, _: self.tapped.append((is_sent, data))
        self.sockets = BoundSockets(config, passed)
        self.sockets.serve(self.endpoint, lambda _: "", lambda *_, **__: None)

    @property
    def starts(self) -> list[str]:
        """The first lines of what it has received, and what else its core was told."""
        return [call.partition(" SIP/2.0\r\n")[0].removeprefix("receive ") for call in self.core.calls]

    def counter(self, name: str) -> int:
        return self.sockets.counters().get(name, 0)


class Workers:
    """So many, and what has opened their sockets."""

    def __init__(self, folder: Path, host: str, count: int) -> None:
        self.warnings: list[str] = []
        file = folder / "veil700.toml"
        file.write_text(config_text(folder, host))
        self.config = load(file)
        self.address = (host, 5060)
        self.via_start = f"Via: SIP/2.0/UDP {host}:5060;branch="
        self.shared = SharedSockets(self.config, count, lambda text, **_: self.warnings.append(text))
        self.all = [self.born(worker) for worker in range(count)]

    def born(self, worker: int) -> Worker:
        return Worker(self.config, inherited(self.shared.passed(worker)))

    def receivers(self, start: str) -> list[int]:
        """Who has received what begins so, as often as he has."""
        return [place for place, one in enumerate(self.all) for line in one.starts if line.startswith(start)]

    async def until(self, count: int) -> None:
        """Waits for all cores together to have been called so often."""
        async with asyncio.timeout(WAIT_S):
            while sum(len(one.core.calls) for one in self.all) < count:
                await asyncio.sleep(0.002)

    def close(self) -> None:
        for one in self.all:
            one.endpoint.close()
        self.shared.close()


def inherited(passed: Passed) -> Passed:
    """As another process has it, by the word that tells it: descriptors of its own."""
    numbers = {one: os.dup(one) for one in passed.descriptors}
    copies = passed._replace(
        listeners=tuple(numbers[one] for one in passed.listeners),
        inbox=numbers[passed.inbox],
        outboxes=tuple(None if one is None else numbers[one] for one in passed.outboxes),
    )
    assert read_passed(copies.told()) == copies
    return copies


@contextlib.asynccontextmanager
async def workers(folder: Path, host: str, count: int) -> AsyncIterator[Workers]:
    made = Workers(folder, host, count)
    try:
        yield made
    finally:
        made.close()
        await asyncio.sleep(0)
        async with asyncio.timeout(WAIT_S):
            while any(one.counter("tcp_connections") for one in made.all):
                await asyncio.sleep(0.002)


def flow_to(peer: tuple[str, int], listener: int = UDP) -> Flow:
    return Flow(("UDP", "TCP")[listener], *peer, listener)
