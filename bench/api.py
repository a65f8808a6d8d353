"""What the HTTP API does in a second: durable single binds by 32 connections, and binds in bulk.

    .venv/bin/python -m bench.api                       # 10 s of single binds, 100,000 in bulk
    .venv/bin/python -m bench.api --seconds 3 --bulk 20000 --json

The API runs as `python -m engine.api` on a data folder of its own in --folder; the client (aiohttp, signed requests) is
a process of its own, too. It makes the bodies of requests in bulk beforehand; to sign them, to send them one after the
other and to read the answers is in the time. Exit status 1 when a request was not answered as it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.rig.inventory import inventory, number_blocks
from engine.config import load
from engine.keeper import READY
from engine.store.api_keys import NewKey, Role, create_key
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database
from engine.store.inventory import apply_inventory, read_inventory

URL: Final = "http://127.0.0.61:8700"
CONNECTIONS: Final = 32
BLOCKS: Final = 40
_PREFIXES: Final = [f"7001{number:07}" for number in range(BLOCKS)]
BULK: Final = 10_000  # bindings of one request

_CONFIG: Final = '[node]\ndata_dir = "var"\n[api]\naddress = "127.0.0.61:8700"\n'


@dataclass(frozen=True)
class Aim:
    """Whom the client asks, and as whom."""

    url: str
    key: NewKey
    business_user: str = "bu"
    scenario: str = "express"


@dataclass(frozen=True)
class Figures:
    """Of one measurement. Shares are of one processor."""

    what: str
    binds: int
    seconds: float
    per_s: float
    p50_ms: float
    p99_ms: float
    api_cpu: float
    client_cpu: float
    wrong: int


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="bench.api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of single binds")
    parser.add_argument("--bulk", type=int, default=100_000, help="bindings in bulk")
    parser.add_argument("--picked", action="store_true", help="single binds name no X: one of the pool is chosen")
    parser.add_argument("--folder", type=Path, help="where the data lies meanwhile; default: the temporary folder")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as name, _api(Path(name)) as (process, key):
        jobs: list[tuple[str, tuple[Any, ...]]] = [
            ("single", (wanted.seconds, wanted.picked)),
            ("bulk", (wanted.bulk,)),
        ]
        found = [_measured(process.pid, Aim(URL, key), what, job) for what, job in jobs]
    for figures in found:
        if wanted.json:
            print(json.dumps(asdict(figures)))
        else:
            delays = f"p50 {figures.p50_ms:>6.1f} ms  p99 {figures.p99_ms:>6.1f} ms"
            shares = f"CPU api {figures.api_cpu:.2f} client {figures.client_cpu:.2f}"
            print(f"{figures.what:<7} {figures.per_s:>8.0f} binds/s  {delays}  {shares}  wrong {figures.wrong}")
    return int(any(figures.wrong for figures in found))


def blocks(platform: str, user: str) -> str:
    """TOML of the numbers that are bound."""
    return number_blocks(platform, user, _PREFIXES)


@contextmanager
def _api(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], NewKey]]:
    """The process, ready, and a platform's key."""
    file = folder / "veil.toml"
    file.write_text(_CONFIG)
    (folder / "inventory.toml").write_text(inventory("ap", "bu", _PREFIXES))
    config = load(file)
    cipher = open_key(config.data_dir)
    apply_inventory(config.data_dir / "bindings.db", cipher, read_inventory(folder / "inventory.toml"))
    with closing(open_database(config.data_dir / "bindings.db", BINDINGS, cipher)) as connection:
        key = create_key(connection, cipher, Role.PLATFORM, "ap", 0, time.time())
    words = [sys.executable, "-m", "engine.api", "--config", str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        if not process.stdout.readline().decode().startswith(READY):
            raise SystemExit("bench.api: the API does not start")
        yield process, key
        process.stdin.close()


def _measured(pid: int, aim: Aim, what: str, job: tuple[Any, ...]) -> Figures:
    """Has another process ask, and sees what both cost."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(os.getpid)  # it has loaded what it needs
        before = _cpu_s(pid)
        binds, seconds, client_s, delays, wrong = pool.apply(client, (aim, what, job))
        api_s = _cpu_s(pid) - before
    delays.sort()
    return Figures(
        what, binds, seconds, binds / seconds, delays[len(delays) // 2] * 1000,
        delays[min(len(delays) - 1, len(delays) * 99 // 100)] * 1000, api_s / seconds, client_s / seconds, wrong,
    )  # fmt: skip


def _cpu_s(pid: int) -> float:
    """Of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def client(aim: Aim, what: str, job: tuple[Any, ...]) -> tuple[int, float, float, list[float], int]:
    """For a process of its own: binds made, seconds, CPU seconds of its own, delay of each request, wrong answers."""
    return asyncio.run(_single(aim, *job) if what == "single" else _bulk(aim, *job))


async def _single(aim: Aim, seconds: float, picked: bool) -> tuple[int, float, float, list[float], int]:
    delays: list[float] = []
    wrong = 0
    numbers = iter(range(10**9))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        begun, cpu = time.perf_counter(), time.process_time()

        async def connection() -> None:
            nonlocal wrong
            while time.perf_counter() - begun < seconds:
                body = json.dumps(_binding(aim, next(numbers), picked)).encode()
                asked = time.perf_counter()
                async with session.post(
                    f"{aim.url}/v1/bindings", data=body, headers=_signed(aim.key, "/v1/bindings", body)
                ) as got:
                    await got.read()
                    wrong += got.status != 201
                delays.append(time.perf_counter() - asked)

        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
        return len(delays) - wrong, time.perf_counter() - begun, time.process_time() - cpu, delays, wrong


async def _bulk(aim: Aim, count: int) -> tuple[int, float, float, list[float], int]:
    path = "/v1/bindings:bulk"
    bodies = [
        json.dumps(
            [_binding(aim, 200_000 + number, False) for number in range(first, min(first + BULK, count))]
        ).encode()
        for first in range(0, count, BULK)
    ]
    delays: list[float] = []
    made = 0
    async with aiohttp.ClientSession() as session:
        begun, cpu = time.perf_counter(), time.process_time()
        for body in bodies:
            asked = time.perf_counter()
            async with session.post(aim.url + path, data=io.BytesIO(body), headers=_signed(aim.key, path, body)) as got:
                made += json.loads(await got.read()).get("bound", 0)
            delays.append(time.perf_counter() - asked)
        return made, time.perf_counter() - begun, time.process_time() - cpu, delays, count - made


def _binding(aim: Aim, number: int, picked: bool) -> dict[str, str]:
    """One that no other is in the way of."""
    x = "" if picked else f"7001{number // 10_000 % BLOCKS:07}{number % 10_000:04}"
    return {
        "mode": "AXB", "tel_x": x, "tel_a": f"138{number:08}", "tel_b": f"139{number:08}",
        "business_user": aim.business_user,
        "order_id": f"o-{number}", "scenario": aim.scenario, "expiration": "2030-01-31T08:00:00+08:00",
    }  # fmt: skip


def _signed(key: NewKey, path: str, body: bytes) -> dict[str, str]:
    """As docs/api.md says it."""
    at, nonce = datetime.now(UTC).isoformat(timespec="milliseconds"), os.urandom(12).hex()
    text = "\n".join(("POST", path, at, nonce, hashlib.sha256(body).hexdigest()))
    proof = hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {"X-Veil-Key": key.key_id, "X-Veil-Time": at, "X-Veil-Nonce": nonce, "X-Veil-Signature": proof}


if __name__ == "__main__":
    sys.exit(main())
