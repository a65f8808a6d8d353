"""Running commands in tests, in this process or in one of their own, and what they work on."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from engine.store.binding_import import COLUMNS

ROOT: Final = Path(__file__).resolve().parent.parent.parent
INVENTORY: Final = ROOT / "configs" / "inventory.toml"
PROGRAM: Final = "import sys; from engine.cli import run_cli; sys.exit(run_cli(sys.argv[1:]))"

X: Final = "700123456780001"
A: Final = "13800138000"
B: Final = "13900139000"
UNTIL_S: Final = int(time.time()) + 20 * 86_400  # within what the scenario allows
UNTIL: Final = datetime.fromtimestamp(UNTIL_S, timezone(timedelta(hours=8))).isoformat()

VERBS: Final = (
    "run", "check", "config show", "bind", "rebind", "unbind", "group create", "group edit", "group delete",
    "group list", "blacklist add", "blacklist remove", "blacklist list", "bindings import", "bindings list",
    "bindings export", "inventory apply", "cdr export", "cdr verify", "cdr settlement", "cdr archive", "audit list",
    "status", "calls", "explain", "capture", "diff", "replay", "trace", "leak-test", "scenario play", "scenario check",
    "scenario from-pcap", "state", "kill", "restore",
    "api-key create", "api-key list", "api-key revoke",
    "inventory verify", "report opening", "report scenario", "report operation", "report numbers", "report ledger",
    "report mark-reported", "complaint add", "complaint list", "complaint block", "complaint close", "credit add",
    "credit list", "credit export", "credit import",
)  # fmt: skip
NEED_NO_CONFIGURATION: Final = ("scenario play", "scenario check", "scenario from-pcap")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def told(self) -> list[str]:
        return self.err.splitlines()


Run = Callable[..., Done]


def bind_words(**changes: str) -> list[str]:
    options = {
        "tel-x": X, "tel-a": A, "tel-b": B, "business-user": "bu-express", "order-id": "4711", "scenario": "express",
        "expiration": UNTIL,
    } | {name.replace("_", "-"): value for name, value in changes.items()}  # fmt: skip
    return ["bind", *(word for name, value in options.items() for word in (f"--{name}", value))]


def csv_file(path: Path, *lines: dict[str, str]) -> Path:
    usual = {"mode": "AXB", "tel_x": X, "tel_a": A, "tel_b": B, "business_user": "bu-express", "order_id": "1",
             "scenario": "express", "expiration": UNTIL}  # fmt: skip
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(usual | line for line in lines)
    return path


def process(*words: str | Path, stdout: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True)


def ended(started: subprocess.Popen[str]) -> Done:
    try:
        out, err = started.communicate(timeout=60)
    finally:
        if started.poll() is None:  # else what is left of it is told of whichever test runs when it is collected
            started.kill()
            started.communicate()
    return Done(started.returncode, out or "", err)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
