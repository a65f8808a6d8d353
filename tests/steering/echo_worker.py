"""A worker that answers each request with its own place: `python -m tests.steering.echo_worker CONFIG PASSED`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine.config import load
from engine.listening import BoundSockets
from engine.steering.passed import read_passed
from sipstack.aio.endpoint import Endpoint
from sipstack.events import Flow, Output, SendMessage


class Echo:
    """A core that tells who it is."""

    def __init__(self, worker: int) -> None:
        self._worker = worker

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        return [SendMessage(b"%d " % self._worker + data.partition(b" SIP/2.0")[0] + b"\n", flow)]

    def transport_failed(self, flow: Flow, now: float, data: bytes) -> list[Output]:
        return []

    def connection_lost(self, flow: Flow, now: float) -> list[Output]:
        return []

    def handle_timer(self, now: float) -> list[Output]:
        return []

    def next_deadline(self) -> float | None:
        return None


async def serve(file: Path, word: str) -> None:
    passed = read_passed(word)
    endpoint = Endpoint(Echo(passed.worker), lambda _: None, lambda fault: sys.exit(str(fault)))
    BoundSockets(load(file), passed).serve(endpoint, lambda _: "", lambda *_, **__: None)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
