"""What a connection that says nothing costs the node in memory.

    .venv/bin/python -m bench.connections                     # 10,000 over TCP and 2,000 over TLS
    .venv/bin/python -m bench.connections --tcp 1000 --tls 0 --json

A process of its own holds the stream transports of the node, another one connects from many loopback addresses; each
connection has had one OPTIONS answered. What is told is the growth of the first one's private memory divided by the
number of connections, and how long one more takes to connect and to have its OPTIONS answered. The kernel's share is
not in it. Exit status 0: done. 2: wrong usage, or too few descriptors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import multiprocessing
import ssl
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from scenarios.rig.certificate import self_signed
from sipstack.aio.endpoint import Endpoint
from sipstack.aio.sockets import FILES_KEPT, allow_connections, bind_stream
from sipstack.aio.stream import StreamLimits, StreamTransport
from sipstack.aio.tls import TlsContexts, TlsFiles
from sipstack.events import Flow, Output, RequestReceived
from sipstack.timers import Timing
from sipstack.transactions import Transactions

HOST: Final = "127.77.0.1"
PER_ADDRESS: Final = 500
AT_A_TIME: Final = 50

OPTIONS: Final = (
    "OPTIONS sip:node.example SIP/2.0\r\n"
    "Via: SIP/2.0/{transport} {host}:{port};branch=z9hG4bK{number}\r\n"
    "Max-Forwards: 70\r\n"
    "From: <sip:bench@bench.example>;tag={number}\r\n"
    "To: <sip:node.example>\r\n"
    "Call-ID: {transport}{number}\r\n"
    "CSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


@dataclass(frozen=True)
class Measured:
    """Idle connections of one transport."""

    transport: str
    connections: int
    bytes_each: int
    answer_ms: float


class _Node:
    """The transports of a node; every request is answered 200."""

    def __init__(self) -> None:
        self._core = Transactions(Timing())
        self.endpoint = Endpoint(self, self._execute, _fail)

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        return self._core.receive(data, flow, now)

    def transport_failed(self, flow: Flow, now: float, data: bytes) -> list[Output]:
        return self._core.transport_failed(flow, data)

    def connection_lost(self, flow: Flow, now: float) -> list[Output]:
        return self._core.connection_lost(flow)

    def handle_timer(self, now: float) -> list[Output]:
        return self._core.handle_timer(now)

    def next_deadline(self) -> float | None:
        return self._core.next_deadline()

    def _execute(self, output: Output) -> None:
        if isinstance(output, RequestReceived):
            data = output.transaction.head.build(200, "node")
            now = asyncio.get_running_loop().time()
            self.endpoint.perform(self._core.respond(output.transaction, 200, data, now))


def _fail(fault: Exception) -> None:
    raise fault


def _serve(files: TlsFiles, pipe: Connection) -> None:
    asyncio.run(_serving(files, pipe))


async def _serving(files: TlsFiles, pipe: Connection) -> None:
    """Tells its two ports; then, whenever it is asked, its private memory in octets. "" ends it."""
    room = allow_connections(20_000)
    node = _Node()
    limits = StreamLimits(max_connections=room, max_handshakes_per_host_s=10_000, max_handshakes_s=10_000)
    ports = []
    for name, contexts in (("TCP", None), ("TLS", TlsContexts(files))):
        bound = bind_stream(HOST, 0)
        StreamTransport(node.endpoint, name, limits).serve(bound, 0, contexts)
        ports.append(bound.getsockname()[1])
    pipe.send(ports)
    asked = asyncio.get_running_loop()
    while await asked.run_in_executor(None, pipe.recv):
        gc.collect()
        pipe.send(_private_octets())
    node.endpoint.close()


def _private_octets() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


async def _connect(transport: str, port: int, number: int, context: ssl.SSLContext | None) -> asyncio.StreamWriter:
    """One connection that has been answered once."""
    source = f"127.77.{1 + number // PER_ADDRESS}.1"
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context, local_addr=(source, 0))
    writer.write(OPTIONS.format(transport=transport, host=source, port=port, number=number).encode())
    await reader.readuntil(b"\r\n\r\n")
    return writer


async def _measure(transport: str, port: int, count: int, context: ssl.SSLContext | None, pipe: Connection) -> Measured:
    warm = [await _connect(transport, port, number, context) for number in range(20)]  # what comes with the first ones
    pipe.send("memory")
    before = pipe.recv()
    writers: list[asyncio.StreamWriter] = []
    for start in range(20, 20 + count, AT_A_TIME):
        numbers = range(start, min(start + AT_A_TIME, 20 + count))
        writers += await asyncio.gather(*(_connect(transport, port, number, context) for number in numbers))
    pipe.send("memory")
    grown = pipe.recv() - before
    started = time.perf_counter()
    warm.append(await _connect(transport, port, 20 + count, context))
    answer_ms = (time.perf_counter() - started) * 1000
    for writer in warm + writers:
        writer.transport.abort()
    return Measured(transport, count, round(grown / count), round(answer_ms, 2))


async def _measure_all(counts: dict[str, int], files: TlsFiles, pipe: Connection) -> list[Measured]:
    loop = asyncio.get_running_loop()
    ports = await loop.run_in_executor(None, pipe.recv)
    context = ssl.create_default_context(cafile=str(files.certificate))
    context.check_hostname = False
    found = []
    for (transport, count), port in zip(counts.items(), ports, strict=True):
        if count:
            found.append(await _measure(transport, port, count, context if transport == "TLS" else None, pipe))
    pipe.send("")
    return found


def _certificate(folder: Path) -> TlsFiles:
    return TlsFiles(*self_signed(folder, "node.example"))


def measure(tcp: int, tls: int) -> list[Measured]:
    """Raises SystemExit when there are too few descriptors."""
    wanted = max(tcp, tls) + 50
    if (room := allow_connections(wanted)) < wanted:
        print(f"room for {room} of {wanted} connections: raise `ulimit -n` to {wanted + FILES_KEPT}", file=sys.stderr)
        raise SystemExit(2)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        files = _certificate(Path(folder))
        node = context.Process(target=_serve, args=(files, theirs), daemon=True)
        node.start()
        try:
            return asyncio.run(_measure_all({"TCP": tcp, "TLS": tls}, files, ours))
        finally:
            with contextlib.suppress(OSError):
                ours.send("")
            node.join(10)
            node.kill()


def main() -> int:
    """Measures and prints."""
    assert __doc__ is not None
    shape = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="bench.connections", description=__doc__, formatter_class=shape)
    parser.add_argument("--tcp", type=int, default=10_000, help="connections over TCP")
    parser.add_argument("--tls", type=int, default=2_000, help="connections over TLS")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.tcp, options.tls)
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
        return 0
    print("transport  connections  bytes each  one more answered in")
    for one in found:
        print(f"{one.transport:9}  {one.connections:11,}  {one.bytes_each:10,}  {one.answer_ms:17.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
