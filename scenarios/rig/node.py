"""A node as its own process on loopback addresses of its own, and its bindings, records and counters."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final

from engine.control.client import ask
from engine.core.hours import CHINA_S
from engine.store.audit import Asker
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher, open_key
from engine.store.export import open_records
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.record_forms import ExportFormat
from engine.store.verify import VerifyReport, verify
from scenarios.rig.binding import Bound
from scenarios.rig.errors import RigError
from scenarios.rig.forks import Forked, Forks
from scenarios.rig.making import make
from scenarios.rig.place import Place

ROOT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 90.0  # for a start on a machine that is busy with other tests
STOP_S: Final = 90.0  # the node waits 30 s for calls that talk on

_UNSOUND: Final = ("adoptions_failed", "faults", "records_lost", "rows_unreadable")
HERE: Final = Path(__file__).parent  # node.toml and inventory.toml


class Node:
    """One data folder and configuration, and the process that runs on it, if any."""

    def __init__(self, place: Place, folder: Path, extra: str = "", forks: Forks | None = None) -> None:
        """`extra` is TOML behind the usual tables; without `forks` each start loads for itself."""
        folder.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.folder = folder
        self.data_dir = folder / "var"
        self.config = folder / "node.toml"
        self.config.write_text(f"{place.filled((HERE / 'node.toml').read_text())}\n{extra}")
        self.inventory = folder / "inventory.toml"
        holders = (HERE / "inventory.toml").read_text()
        self.inventory.write_text(holders.replace("{other_hours}", other_hours(time.time())))
        self.environment: dict[str, str] = {}  # what its process is given besides the rig's own
        self.starts = 0
        self.stdout = ""
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self._forks = forks

    # -- its process -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the node and returns when it takes traffic. Raises RigError."""
        if self.launch() != "ready":
            status = self.wait()
            raise RigError(f"the node has not started: exit status {status}: {self.stdout}{self.stderr}".strip())

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
            if self._forks is not None and self._forks.suits(self.environment):
                self.process = self._forks.start("--config", str(self.config), "run", stdout=stdout, stderr=stderr)
                return
            self.process = subprocess.Popen(
                [sys.executable, "-m", "engine.main", "--config", self.config, "run"],
                cwd=ROOT, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, stdout=stdout,
                stderr=stderr,
            )  # fmt: skip

    def _read_stdout(self, wait_s: float) -> bool:
        """Takes what the node has printed; False at the end of its output."""
        assert self.process is not None and self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        readable, _, _ = select.select([descriptor], [], [], max(0.0, wait_s))
        if not readable:
            raise RigError(f"the node says nothing: {self.stderr}".strip())
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
        """Ends it at once; who writes its records ends by himself when he has written what he has got."""
        self.stop(signal.SIGKILL)

    def close(self) -> None:
        """Ends the process, if it runs, whatever it is at."""
        if self.process is not None:
            try:
                self.stop(within_s=5.0)
            except subprocess.TimeoutExpired:
                self.kill()

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
        apply_inventory(path, cipher, read_inventory(self.inventory))
        for _, made_together in groupby(bindings, lambda binding: binding.made_ago_s):
            group = list(made_together)
            async with open_bindings(path, cipher, group[0].clock) as store:
                for binding in group:
                    await make(store, cipher, binding)

    def damage(self, statements: Sequence[str]) -> None:
        """Has these SQL statements executed on its bindings, whatever becomes of them."""
        with closing(sqlite3.connect(self.data_dir / "bindings.db", isolation_level=None)) as bindings:
            for statement in statements:
                bindings.execute(statement)

    def import_bindings(self, bindings: Sequence[Bound]) -> None:
        """Makes many bindings by `veil700 bindings import`."""
        rows = ["mode,tel_x,tel_y,tel_a,tel_b,group_id,business_user,order_id,scenario,expiration"]
        rows += [f"AXB,{b.x},,{b.a},{b.b},,bu-test,{b.order_id},express,{b.expiration}" for b in bindings]
        file = self.folder / "bindings.csv"
        file.write_text("\n".join([*rows, ""]))
        for words in (("inventory", "apply", self.inventory), ("bindings", "import", file)):
            done = self.command(*words)
            if done.returncode != 0:
                raise RigError(done.stderr.strip())

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
        self.settle()
        return asyncio.run(self._records())

    def settle(self) -> None:
        """Waits until what the running node has made durable stands in its tables."""
        deadline = time.monotonic() + START_S
        while self.process is not None and self.process.poll() is None and self.status()["unloaded_bytes"]:
            if time.monotonic() > deadline:
                raise RigError(f"the journal is not loaded: {self.status()['load_fault']}")
            time.sleep(0.01)

    async def _records(self) -> list[dict[str, Any]]:
        async with open_records(self.data_dir, self.cipher()) as reader:
            return [json.loads(line) async for line in reader.export(ExportFormat.JSONL, asker=Asker("story"))]

    def verify(self) -> VerifyReport:
        """Chain and counters."""
        self.settle()
        return verify(self.data_dir / "records.db")

    def command(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs another verb of `veil700` on this configuration."""
        if words[0] == "cdr":
            self.settle()
        return subprocess.run(
            [sys.executable, "-m", "engine.main", "--config", self.config, *words],
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_S, check=False,
        )  # fmt: skip


def other_hours(now_s: float) -> str:
    """An hour of the day in China, such as "08:00-09:00", that is half a day from now."""
    hour = (int(now_s + CHINA_S) // 3600 + 12) % 24
    return f"{hour:02}:00-{hour + 1:02}:00"


def unsound(counters: dict[str, int]) -> dict[str, int]:
    """Counters that show a bug: something raised, something came that its table calls impossible, a record was lost."""
    return {
        name: count
        for name, count in counters.items()
        if count and (name.startswith("unexpected_") or name in _UNSOUND)
    }
