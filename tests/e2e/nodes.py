"""A node as its own process on loopback addresses of its own, and its bindings, records and counters."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from engine.control.client import ask
from engine.store.binding_rules import BindRequest
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher, open_key
from engine.store.export import ExportFormat, open_records
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.verify import VerifyReport, verify

ROOT: Final = Path(__file__).resolve().parents[2]
PORT: Final = 5060
INBOX_PORT: Final = 5070  # where messages are taken when calls have a program of their own on the same host

START_S: Final = 30.0  # for a start on a machine that is busy with other tests
STOP_S: Final = 40.0  # the node waits 30 s for calls that talk on

BLOCK: Final = "70012345678"
TTL_S: Final = 10 * 86400.0  # within what the inventory's scenario allows

_INVENTORY: Final = f"""
[[app_platform]]
id = "ap-test"
name = "Test platform"
licence_no = "L-1"
approval_no = "A-1"
state = "active"
[[business_user]]
id = "bu-test"
app_platform = "ap-test"
name = "Test user"
uscc = "91110000000000000X"
state = "active"
[[contract]]
id = "c-test"
app_platform = "ap-test"
business_user = "bu-test"
from = "2026-01-01"
to = "2036-12-31"
[[scenario]]
code = "express"
risk_class = 1
modes = ["AXB"]
max_ttl_s = 2592000
[[number_block]]
prefix = "{BLOCK}"
operator = "1"
app_platform = "ap-test"
business_user = "bu-test"
certificate_no = "CERT-1"
state = "assigned"
"""

# Numbers of callers begin with 138, those of callees with 139: each side is reached over its own trunk. 136 is
# reached where messages are taken, 137 over a trunk whose first target is silent.
_CONFIG: Final = """
[node]
name = "veil-test"
data_dir = "var"
[[listen]]
transport = "udp"
address = "{node}:5060"
[inventory]
file = "inventory.toml"
[[peer]]
name = "caller-side"
match = ["{caller}"]
targets = ["sip:{caller}:5060"]
[[peer]]
name = "callee-side"
match = ["{callee}"]
targets = ["sip:{callee}:5060"]
[[peer]]
name = "inbox"
targets = ["sip:{callee}:5070"]
[[peer]]
name = "silent-first"
targets = ["sip:{second}:5060", "sip:{callee}:5060"]
[[route]]
name = "to-callers"
called = "^138"
peers = ["caller-side"]
[[route]]
name = "to-callees"
called = "^139"
peers = ["callee-side"]
[[route]]
name = "to-inbox"
called = "^136"
peers = ["inbox"]
[[route]]
name = "to-silent-first"
called = "^137"
peers = ["silent-first"]
"""


@dataclass(frozen=True)
class Place:
    """Addresses that only one test uses: `node` is ours, every other host is one party."""

    prefix: str  # the first three octets

    def host(self, last: int) -> str:
        """One address of the place; from 20 on they mean nothing to the node's configuration."""
        return f"{self.prefix}.{last}"

    @property
    def node(self) -> str:
        return self.host(1)

    @property
    def caller(self) -> str:
        return self.host(12)

    @property
    def callee(self) -> str:
        return self.host(13)

    @property
    def second(self) -> str:
        """A further host of the callee's trunk."""
        return self.host(14)

    @property
    def stranger(self) -> str:
        """A host that no peer matches."""
        return self.host(19)


class Places:
    """Hands out places: the second octet is the xdist worker, the third counts up and skips what is in use."""

    def __init__(self, worker: str) -> None:
        number = int(worker.removeprefix("gw")) if worker.startswith("gw") else 99
        self._second = 100 + number % 100
        self._third = os.getpid() % 250  # two runs on one machine begin at different places

    def take(self) -> Place:
        while True:
            self._third = (self._third + 1) % 250
            place = Place(f"127.{self._second}.{self._third}")
            if all(is_free(place.host(last)) for last in (1, 12, 13, 14, 19)):
                return place


def is_free(host: str, port: int = PORT) -> bool:
    """True when nobody holds this UDP address."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Bound:
    """A binding in mode AXB. Numbers are canonical."""

    x: str
    a: str
    b: str
    ttl_s: float = TTL_S
    made_at: float | None = None  # seconds since the epoch; None: now

    @property
    def order_id(self) -> str:
        return f"order-{self.x[-4:]}"

    def clock(self) -> float:
        """The time at which it is made."""
        return time.time() if self.made_at is None else self.made_at

    def request(self) -> BindRequest:
        """What a platform would ask for."""
        return BindRequest("AXB", self.x, "", self.a, self.b, "", "bu-test", self.order_id, "express", self.expiration)

    @property
    def expiration(self) -> str:
        """When it ends, as requests and CSV files say it."""
        return datetime.fromtimestamp(self.clock() + self.ttl_s, UTC).isoformat(timespec="seconds")


class Node:
    """One data folder and configuration, and the process that runs on it, if any."""

    def __init__(self, place: Place, folder: Path, extra: str = "") -> None:
        """`extra` is TOML behind the usual tables."""
        folder.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.folder = folder
        self.data_dir = folder / "var"
        self.config = folder / "node.toml"
        hosts = {name: getattr(place, name) for name in ("node", "caller", "callee", "second")}
        self.config.write_text(_CONFIG.format(**hosts) + extra)
        (folder / "inventory.toml").write_text(_INVENTORY)
        self.starts = 0
        self.stdout = ""
        self.process: subprocess.Popen[bytes] | None = None

    # -- its process -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the node and returns when it takes traffic."""
        assert self.launch() == "ready", f"the node has not started:\n{self.stdout}{self.stderr}"

    def launch(self) -> str:
        """Starts the node: "ready", or "ended" when it ended without having been ready."""
        self.spawn(subprocess.PIPE)
        self.stdout = ""
        deadline = time.monotonic() + START_S
        while "\n" not in self.stdout:
            if not self._read_stdout(deadline - time.monotonic()):
                return "ended"
        return "ready"

    def spawn(self, stdout: int | IO[bytes]) -> None:
        """Starts the process, and looks no further."""
        assert self.process is None
        self.starts += 1
        with (self.folder / f"stderr.{self.starts}").open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "engine.main", "--config", self.config, "run"],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            )  # fmt: skip

    def _read_stdout(self, wait_s: float) -> bool:
        """Takes what the node has printed; False at the end of its output."""
        assert self.process is not None and self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        readable, _, _ = select.select([descriptor], [], [], max(0.0, wait_s))
        assert readable, f"the node says nothing:\n{self.stderr}"
        chunk = os.read(descriptor, 4096)
        self.stdout += chunk.decode()
        return bool(chunk)

    def stop(self, by: int = signal.SIGTERM, within_s: float = STOP_S) -> int:
        """Sends a signal and returns the exit status."""
        assert self.process is not None
        self.process.send_signal(by)
        return self.wait(within_s)

    def wait(self, within_s: float = STOP_S) -> int:
        """The exit status of a node that ends by itself."""
        process = self.process
        assert process is not None
        status = process.wait(within_s)
        if process.stdout is not None:
            self.stdout += process.stdout.read().decode()
            process.stdout.close()
        self.process = None
        return status

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.stop(signal.SIGKILL)

    def close(self) -> None:
        """Whatever the test has left: the process ends, and what it said is shown with a failure."""
        if self.process is not None:
            try:
                self.stop(within_s=5.0)
            except subprocess.TimeoutExpired:
                self.kill()
        print(f"--- stderr of the node in {self.folder.name}\n{self.stderr[-20_000:]}")

    @property
    def stderr(self) -> str:
        """All that the node has written there, over all its starts."""
        return "".join(self.stderr_of(number) for number in range(1, self.starts + 1))

    def stderr_of(self, start: int) -> str:
        """What it wrote there in one of its starts, counted from 1."""
        return (self.folder / f"stderr.{start}").read_text(errors="replace")

    # -- what it knows -----------------------------------------------------------------------------------------

    def bind(self, *bindings: Bound) -> None:
        """Makes bindings, as the commands would, before or while the node runs."""
        asyncio.run(self._bind(bindings))

    async def _bind(self, bindings: Sequence[Bound]) -> None:
        cipher = self.cipher()
        path = self.data_dir / "bindings.db"
        clock = bindings[0].clock  # all of one call are made at one time
        async with open_bindings(path, cipher, clock) as store:
            apply_inventory(path, cipher, read_inventory(self.folder / "inventory.toml"))
            for binding in bindings:
                await store.bind(binding.request())

    def import_bindings(self, bindings: Sequence[Bound]) -> None:
        """Makes many bindings by `veil700 bindings import`."""
        rows = ["mode,tel_x,tel_y,tel_a,tel_b,group_id,business_user,order_id,scenario,expiration"]
        rows += [f"AXB,{b.x},,{b.a},{b.b},,bu-test,{b.order_id},express,{b.expiration}" for b in bindings]
        file = self.folder / "bindings.csv"
        file.write_text("\n".join([*rows, ""]))
        for words in (("inventory", "apply", self.folder / "inventory.toml"), ("bindings", "import", file)):
            done = self.command(*words)
            assert done.returncode == 0, done.stderr

    def cipher(self) -> NumberCipher:
        """The key of its data; made when it is not there."""
        return open_key(self.data_dir)

    def status(self) -> dict[str, Any]:
        """What the running node says of itself."""
        return ask(self.data_dir, "status")

    def calls(self) -> list[dict[str, Any]]:
        """What is in progress in the running node."""
        answer = ask(self.data_dir, "calls")["calls"]
        assert isinstance(answer, list)
        return answer

    def records(self) -> list[dict[str, Any]]:
        """All records with their real numbers, oldest first."""
        return asyncio.run(self._records())

    async def _records(self) -> list[dict[str, Any]]:
        async with open_records(self.data_dir, self.cipher()) as reader:
            return [json.loads(line) async for line in reader.export(ExportFormat.JSONL, reveal=True, actor="test")]

    def verify(self) -> VerifyReport:
        """Chain and counters."""
        return verify(self.data_dir / "records.db")

    def command(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs another verb of `veil700` on this configuration."""
        return subprocess.run(
            [sys.executable, "-m", "engine.main", "--config", self.config, *words],
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


def assert_sound(counters: dict[str, int]) -> None:
    """No bug showed: nothing raised, nothing came that its table calls impossible, no record was lost."""
    bad = {
        name: count
        for name, count in counters.items()
        if count and (name.startswith("unexpected_") or name in ("faults", "records_lost"))
    }
    assert not bad
