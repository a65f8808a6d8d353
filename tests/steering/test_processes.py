"""Workers that are processes of their own serve what they inherit; what comes while one is away waits for it."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.config import load
from engine.steering.shared import SharedSockets
from tests.sipstack.endpoint_rig import WAIT_S, raw_socket, read
from tests.steering.messages import number, request
from tests.steering.workers_rig import config_text

COUNT = 3
START_S = 60.0  # three interpreters on a busy machine


class Processes:
    """The process above the workers."""

    def __init__(self, folder: Path, host: str) -> None:
        self.file = folder / "veil700.toml"
        self.file.write_text(config_text(folder, host))
        self.address = (host, 5060)
        self.shared = SharedSockets(load(self.file), COUNT, lambda *_, **__: None)
        self.all: list[Process] = []

    async def born(self, worker: int) -> Process:
        passed = self.shared.passed(worker)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.steering.echo_worker", str(self.file), passed.told(),
            pass_fds=passed.descriptors, stdout=PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), START_S) == b"ready\n"
        return process

    async def killed(self, worker: int) -> None:
        self.all[worker].kill()
        await self.all[worker].communicate()


@pytest.fixture
async def made(tmp_path: Path, host: str) -> AsyncIterator[Processes]:
    found = Processes(tmp_path, host)
    try:
        for worker in range(COUNT):
            found.all.append(await found.born(worker))
        yield found
    finally:
        for worker, process in enumerate(found.all):
            if process.returncode is None:
                await found.killed(worker)
        found.shared.close()


def told(worker: int, uri: str) -> str:
    return f"{worker} INVITE {uri}\n"


async def test_what_comes_while_a_worker_is_away_waits_for_the_next_one(made: Processes, host: str) -> None:
    with raw_socket(host) as peer:
        for worker in range(COUNT):
            for uri in (f"sip:{number(worker, COUNT)}@h", f"tel:{number(worker, COUNT)}"):
                peer.sendto(request(uri), made.address)
                assert (await read(peer)).decode() == told(worker, uri)
        await made.killed(1)
        waiting = [f"{scheme}:{number(1, COUNT)}@h" for scheme in ("sip", "sips") for _ in range(10)]
        for uri in waiting:
            peer.sendto(request(uri), made.address)
        others = f"sip:{number(2, COUNT)}@h"
        peer.sendto(request(others), made.address)
        assert (await read(peer)).decode() == told(2, others)  # who is there notices nothing
        made.all[1] = await made.born(1)
        assert sorted([(await read(peer)).decode() for _ in waiting]) == sorted(told(1, uri) for uri in waiting)


async def test_a_connection_is_answered_by_all_processes_and_accepted_by_any(made: Processes, host: str) -> None:
    loop = asyncio.get_running_loop()
    for absent in (None, 0):
        if absent is not None:
            await made.killed(absent)
        with socket.socket() as peer:
            peer.setblocking(False)
            peer.bind((host, 0))
            await asyncio.wait_for(loop.sock_connect(peer, made.address), WAIT_S)
            for worker in range(COUNT):
                if worker == absent:
                    continue
                uri = f"sip:{number(worker, COUNT)}@h"
                await loop.sock_sendall(peer, request(uri))
                assert (await read(peer)).decode() == told(worker, uri)
