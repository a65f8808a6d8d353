"""How many bindings a second the API makes durable while calls go on, and what the calls notice of it.

The node has its API process beside it, on a copy of the store, anew for each of five turns: calls alone, single binds
over 32 connections alone and beside calls, binds in bulk alone and beside calls.

    .venv/bin/python -m bench.binding                                      # 1,000,000 bindings, 300 calls/s; 3 minutes
    .venv/bin/python -m bench.binding --bindings 20000 --rate 50 --seconds 3 --bulk 20000 --json

It needs what the tests need (`make check` installs it). Exit status 0: measured. 1: a call or a bind failed, or nothing
could be measured. 2: wrong usage, or a program is missing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.api import Aim, blocks, client
from bench.rig.command import positive, tell
from bench.rig.data import BINDINGS
from bench.rig.load import Load, place
from bench.rig.measuring import exit_status, ready_system
from bench.rig.systems import API, SYSTEMS, WITH_API, System, running, with_api
from bench.rig.table import print_rows, where
from engine.store.api_keys import NewKey, Role, create_key
from engine.store.crypto import open_key
from engine.store.database import BINDINGS as SCHEMA
from engine.store.database import open_database

FOLDER: Final = "binding"  # in the data folder: the copy that is bound on
TURNS: Final = (("", True), ("single", False), ("single", True), ("bulk", False), ("bulk", True))


@dataclass(frozen=True)
class Turn:
    """Binds and calls of the same seconds; 0 and None: there were none."""

    what: str  # single, bulk; "": none
    binds: int
    seconds: float
    wrong: int
    load: Load | None

    @property
    def faults(self) -> list[str]:
        """One line for each kind of thing that failed."""
        found = [f"{self.wrong} of {self.binds + self.wrong} binds failed"] if self.wrong else []
        load = self.load
        return found + ([f"{load.failed} of {load.calls} calls failed"] if load is not None and load.failed else [])


def measured(system: System, data: Path, rate: int, seconds: float, bulk: int) -> list[Turn]:
    """All turns. Raises RigError."""
    found: list[Turn] = []
    for what, is_calling in TURNS:
        folder, aim = _copy(data)
        with running(with_api(system), folder, "call") as process:
            found.append(_turn(process, folder, aim, what, rate if is_calling else 0, seconds, bulk))
        tell(" ".join(_row(found[-1])))
    shutil.rmtree(data / FOLDER)
    return found


def _copy(data: Path) -> tuple[Path, Aim]:
    """A data folder of its own, with blocks to bind in and a key for the API."""
    folder = data / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("rows.csv", "fine_clock.so", WITH_API):
        shutil.copy(data / name, folder)
    shutil.copytree(data / "var", folder / "var", ignore=shutil.ignore_patterns("*.sock"))  # of one that was killed
    inventory = (data / "inventory.toml").read_text()
    (folder / "inventory.toml").write_text(inventory + blocks("ap-bench", "bu-bench"))
    return folder, Aim(f"http://{API}", _key(folder / "var"), "bu-bench")


def _key(store: Path) -> NewKey:
    cipher = open_key(store)
    with closing(open_database(store / "bindings.db", SCHEMA, cipher)) as connection:
        return create_key(connection, cipher, Role.PLATFORM, "ap-bench", 0, time.time())


def _turn(process: int, folder: Path, aim: Aim, what: str, rate: int, seconds: float, bulk: int) -> Turn:
    """Binds in a process of its own while calls are placed from here."""
    jobs: dict[str, tuple[Any, ...]] = {"single": (seconds, False), "bulk": (bulk,)}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(os.getpid)  # it has loaded what it needs
        binding = pool.apply_async(client, (aim, what, jobs[what])) if what else None
        load = place(process, folder, "call", rate, round(rate * seconds)) if rate else None
        binds, took_s, _, _, wrong = (0, 0.0, 0.0, [], 0) if binding is None else binding.get()
    return Turn(what, binds, took_s, wrong, load)


def _row(turn: Turn) -> list[str]:
    load = turn.load
    binds = [f"{turn.binds / turn.seconds:,.0f}" if turn.seconds else "-"]
    if load is None:
        return [turn.what, *binds, "-", "-", "-"]
    p50, p99 = (f"{value:.2f}" if value is not None else "-" for value in (load.p50_ms, load.p99_ms))
    return [turn.what or "none", *binds, p50, p99, f"{load.failed} of {load.calls}"]


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    return exit_status(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    system, data = ready_system(options.system, options.bindings)
    turns = measured(system, data, options.rate, options.seconds, options.bulk)
    faults = [fault for turn in turns for fault in turn.faults]
    if options.json:
        print(json.dumps({"where": where(), "system": system.name, "turns": [asdict(turn) for turn in turns]}))
    else:
        print(f"{where()}; {system.title}; {options.bindings:,} bindings, {options.rate} calls/s")
        print_rows([["binds", "per s", "p50 ms", "p99 ms", "failed calls"], *map(_row, turns)])
        for fault in faults:
            print(f"! {fault}")
    return 1 if faults else 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.binding", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ours = [name for name, system in SYSTEMS.items() if system.is_ours]
    parser.add_argument("--system", choices=ours, default="veil700", help="default: %(default)s")
    parser.add_argument("--bindings", type=positive, default=BINDINGS, help="default: %(default)s")
    parser.add_argument("--rate", type=positive, default=300, help="calls a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of calls and of single binds")
    parser.add_argument("--bulk", type=positive, default=100_000, help="bindings in bulk (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
