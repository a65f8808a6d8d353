"""A worker is killed while calls go on: what becomes of those that talk, of those that ring, and of everybody else's.

SIPp places calls at one rate; each rings for a second, talks for a while and is hung up on by its caller. In the middle
of the run one worker is killed (SIGKILL), and its successor takes over. In the end what both ends of each call have
logged is held against the records: no answered call is lost, those in setup are NODE_RESTART, calls of the other
workers go on as if nothing had happened.

    .venv/bin/python -m bench.kill                                         # 30 s of 500 calls/s, each talks for 4 s
    .venv/bin/python -m bench.kill --system compiled-2
    .venv/bin/python -m bench.kill --rate 50 --seconds 14 --bindings 20000 --json   # a short look

Exit status 0: the books are in order. 1: they are not, or nothing could be measured. 2: wrong usage, or a program is
missing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from bench.rig.command import positive, tell
from bench.rig.data import BINDINGS
from bench.rig.interrupted import Books, Group, Outcome, Record, books, read_log
from bench.rig.load import answering, calling
from bench.rig.measuring import exit_status, ready_system
from bench.rig.processes import tree
from bench.rig.systems import COMPILED_TWO, SYSTEMS, VEIL700_TWO, RigError, System, running
from bench.rig.table import print_rows, where
from engine.control.client import ControlError, ask

RINGS_S: Final = 1.0  # as uas_kill.xml says
GIVES_UP_S: Final = 12.0  # as uac_kill.xml says
WORKER: Final = 0  # the one that is killed: it has what the kernel cannot steer, too
BACK_S: Final = 60.0  # until another process is in its place, on a machine that is busy with other things
LATE_S: Final = 60.0  # of calls and records, beyond the time that they take

# Nobody stops repeating while a worker is away: 64*T1, as RFC 3261 says.
_PATIENT: Final = ("-max_retrans", "11", "-max_invite_retrans", "7", "-max_non_invite_retrans", "11")


@dataclass(frozen=True)
class Killed:
    """What was seen in the end."""

    placed: int
    back_s: float  # from the kill until another process served in its place
    books: Books
    restarts: list[int]  # of each worker
    open: int  # records of calls that have not ended
    verified: list[str]  # what `cdr verify` has to say; empty: all is well

    @property
    def faults(self) -> list[str]:
        """One line for each reason why the node does not pass."""
        found = self.books.faults + [f"cdr verify: {line}" for line in self.verified]
        if self.open:
            found.append(f"{self.open} records are open, and no call goes on")
        if self.restarts != [int(place == WORKER) for place in range(len(self.restarts))]:
            found.append(f"workers were started again {self.restarts} times: one was killed, once")
        return found


def killed(system: System, data: Path, rate: int, hold_s: float, seconds: int) -> Killed:
    """Calls for so long with a kill in the middle, then the books. Raises RigError."""
    at_once = round(rate * (RINGS_S + hold_s + GIVES_UP_S) * 2) + 100
    with (
        tempfile.TemporaryDirectory(prefix="veil700-bench-") as name,
        running(system, data, "call") as process,
        ExitStack() as ends,
    ):
        folder = Path(name)
        ends.enter_context(answering(data, "kill", _logged(folder / "callee.log")))
        words = [*_logged(folder / "caller.log"), "-l", str(at_once)]
        caller = ends.enter_context(calling(data, folder, "kill", rate, rate * seconds, hold_s, words))
        tell(f"{rate} calls a second for {seconds} s")
        time.sleep(seconds / 2)
        workers, killed_s = _kill(process, data)
        back_s = _await_another(data, workers[WORKER], killed_s)
        tell(f"worker {WORKER} was killed, and another one serves in its place after {back_s:.1f} s")
        try:
            caller.wait(seconds + RINGS_S + hold_s + GIVES_UP_S + LATE_S)
        except subprocess.TimeoutExpired:
            raise RigError("SIPp, which calls, does not end") from None
        restarts = [int(each["restarts"]) for each in _settled(data)["workers"]]
        placed, answered = read_log(folder / "caller.log"), read_log(folder / "callee.log")
        found = books(placed, answered, _records(data), (WORKER, killed_s), len(workers))
        still_open, said = _verified(system, data)
        return Killed(len(placed), back_s, found, restarts, still_open, said)


def _logged(file: Path) -> list[str]:
    """SIPp's words for a log of one line a message."""
    return ["-trace_shortmsg", "-shortmessage_file", str(file), *_PATIENT]


def _kill(process: int, data: Path) -> tuple[list[int], float]:
    """Kills a worker of the node that the rig has started: the processes that served, and when it did."""
    workers = [int(each["pid"]) for each in _status(data)["workers"]]
    if workers[WORKER] not in tree(process):
        raise RigError(f"process {workers[WORKER]} is none of those that the rig has started")
    killed_s = time.time()
    os.kill(workers[WORKER], signal.SIGKILL)
    return workers, killed_s


def _await_another(data: Path, ended: int, since_s: float) -> float:
    """Until another process serves in the place of one: seconds since then."""
    while (took_s := time.time() - since_s) < BACK_S:
        worker = _status(data)["workers"][WORKER]
        if worker["pid"] not in (0, ended) and "attempts" in worker:
            return took_s
        time.sleep(0.05)
    raise RigError(f"nobody serves in the place of worker {WORKER} after {BACK_S:.0f} s")


def _settled(data: Path) -> dict[str, Any]:
    """The status once no call goes on and all that was recorded stands in the tables, or when that takes too long."""
    deadline = time.monotonic() + LATE_S
    while (status := _status(data))["calls"] or status["unloaded_bytes"]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return status


def _status(data: Path) -> dict[str, Any]:
    try:
        return ask(data / "var", "status")
    except ControlError as error:
        raise RigError(str(error)) from None


def _records(data: Path) -> list[Record]:
    columns = ", ".join(each.name for each in fields(Record))
    with closing(sqlite3.connect(f"file:{data / 'var/records.db'}?mode=ro", uri=True)) as database:
        return [Record(*row) for row in database.execute(f"SELECT {columns} FROM cdr")]


def _verified(system: System, data: Path) -> tuple[int, list[str]]:
    """Records that are open, and what is wrong with the chain, by the node's own command."""
    words = [*system.command(data, "call")[:-1], "cdr", "verify", "--json"]
    done = subprocess.run(words, cwd=data, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return 0, [done.stderr.strip() or f"it ends with {done.returncode}"]
    found = [line for node in told["nodes"] for line in node["faults"]]
    unsaid = [] if told["clean"] or found else ["not clean"]
    return sum(node["open"] for node in told["nodes"]), found + unsaid


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(argv)
    return exit_status(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    system, data = ready_system(options.system, options.bindings)
    found = killed(system, data, options.rate, options.hold, options.seconds)
    if options.json:
        print(json.dumps({"where": where(), "system": system.name, "rate": options.rate, **_as_object(found)}))
    else:
        _print(system, found, options.rate)
    return 1 if found.faults else 0


def _as_object(found: Killed) -> dict[str, object]:
    """For `--json`: one entry in `groups` for each row of the table."""
    told = {name: value for name, value in vars(found).items() if name != "books"}
    return {**told, "groups": [_group_as_object(one) for one in found.books.groups], "faults": found.faults}


def _group_as_object(one: Group) -> dict[str, object]:
    p50_ms, p99_ms = _delays_ms(one)
    return {
        "whose": one.whose, "phase": one.phase, "calls": one.calls, "outcomes": one.outcomes,
        "repeated": one.repeated, "rings_p50_ms": p50_ms, "rings_p99_ms": p99_ms,
    }  # fmt: skip


def _print(system: System, found: Killed, rate: int) -> None:
    print(f"{where()}; {system.title}; {found.placed} calls at {rate}/s; the worker was away for {found.back_s:.1f} s")
    print_rows([["calls by what they were at", "calls", *Outcome, "repeated", "180 after ms, p50", "p99"]]
               + [_row(one) for one in found.books.groups])  # fmt: skip
    print(f"records that are open: {found.open}; cdr verify: {'; '.join(found.verified) or 'clean'}")
    for fault in found.faults:
        print(f"! {fault}")


def _row(one: Group) -> list[str]:
    delays = ["-" if each is None else f"{each:.1f}" for each in _delays_ms(one)]
    outcomes = [str(one.outcomes[outcome]) for outcome in Outcome]
    return [one.name, str(one.calls), *outcomes, str(one.repeated), *delays]


def _delays_ms(one: Group) -> tuple[float | None, float | None]:
    """From the first INVITE to the 180, median and 99th percentile; None: too few calls have rung."""
    if len(one.rings_after_s) < 2:
        return None, None
    parts = quantiles(one.rings_after_s, n=100, method="inclusive")
    return 1000 * parts[49], 1000 * parts[98]


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.kill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ours = [name for name, system in SYSTEMS.items() if system in (VEIL700_TWO, COMPILED_TWO)]
    parser.add_argument("--system", choices=ours, default=VEIL700_TWO.name, help="default: %(default)s")
    parser.add_argument("--bindings", type=positive, default=BINDINGS, help="default: %(default)s")
    parser.add_argument("--rate", type=positive, default=500, help="calls a second (default: %(default)s)")
    parser.add_argument("--seconds", type=positive, default=30, help="of calls (default: %(default)s)")
    parser.add_argument("--hold", type=float, default=4.0, help="seconds a call talks (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    least_s = 2 * (RINGS_S + options.hold + 1)
    if options.seconds < least_s:
        parser.error(f"--seconds {options.seconds}: calls that are over in the middle need {least_s:.0f} at the least")
    return options


if __name__ == "__main__":
    sys.exit(main())
