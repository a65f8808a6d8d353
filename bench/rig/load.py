"""One load: SIPp calls through a system that runs, SIPp answers, and what it took.

The CPU time is that of the system's processes, from before the first call to half a second after the last one.
"""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.rig.processes import cpu_s, memory_mb, module_cpu_s, private_mb, started
from bench.rig.systems import CALLEE, CALLER, PORT, SYSTEM, RigError, is_bound

SCENARIOS: Final = Path(__file__).parent / "sipp"
ANSWERING_S: Final = 60.0  # until SIPp, as callee, has its socket on a machine that is busy with other things
DRAIN_S: Final = 0.5
LATE_S: Final = 20.0  # beyond the time that the calls take by their rate
HOLD_S: Final = 0.02  # with several workers a BYE sent at once overtakes its ACK
FOREVER_S: Final = 86_400.0
ENDLESS: Final = 1_000_000_000  # calls
MEDIA_PORT: Final = 20_000  # from here on SIPp has ports for media, which it never sends
HOLDING_PORT: Final = 5062  # and those above it: of callers whose calls last while others are measured
RTT_CALLS: Final = 50  # SIPp writes response times so many at a time, and never the rest
COMMON: Final = ("-nostdin", "-timer_resol", "1", "-buff_size", "4000000", "-max_retrans", "4",
                 "-default_behaviors", "none", "-skip_rlimit")  # fmt: skip


@dataclass(frozen=True)
class Load:
    """What came of a number of calls. Latency is from INVITE or MESSAGE to its 200, at the caller."""

    calls: int
    succeeded: int
    retransmissions: int  # of the caller
    wall_s: float
    cpu_us: float  # per call that succeeded
    module_cpu_us: dict[str, float]  # of it, what the processes of a module took
    p50_ms: float | None  # None: nothing was answered
    p99_ms: float | None
    memory_mb: float
    private_mb: dict[str, float]  # of each process, by its module
    error: str  # what SIPp said of the first call that failed

    @property
    def failed(self) -> int:
        return self.calls - self.succeeded


@contextmanager
def answering(data: Path, job: str, more: Sequence[str] = ()) -> Iterator[None]:
    """Somebody at the callee's side meanwhile."""
    with tempfile.TemporaryDirectory(prefix="veil700-bench-") as name:
        arguments = ["-sf", _scenario("uas", job), "-i", CALLEE, "-p", str(PORT), *more]
        with _sipp(data, Path(name), arguments) as process:
            deadline = time.monotonic() + ANSWERING_S
            while not is_bound(CALLEE):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RigError("SIPp, which was to answer, has not started")
                time.sleep(0.02)
            yield


def place(process: int, data: Path, job: str, rate: int, calls: int, late_s: float = LATE_S) -> Load:
    """Places that many calls at that rate a second through the system of this process id."""
    with answering(data, job):
        return place_answered(process, data, job, rate, calls, late_s)


def place_answered(process: int, data: Path, job: str, rate: int, calls: int, late_s: float = LATE_S) -> Load:
    """The same where somebody is `answering` already."""
    with tempfile.TemporaryDirectory(prefix="veil700-bench-") as name:
        folder = Path(name)
        before_s, by_module_s, began = cpu_s(process), module_cpu_s(process), time.monotonic()
        _call(data, folder, job, rate, calls, calls / rate + late_s)
        wall_s = time.monotonic() - began
        time.sleep(DRAIN_S)
        used_s = cpu_s(process) - before_s
        more_s = {module: now_s - by_module_s.get(module, 0.0) for module, now_s in module_cpu_s(process).items()}
        succeeded, retransmissions = _counted(folder)
        per_call_us = 1e6 / max(succeeded, 1)
        latencies = _latencies_ms(folder)
        return Load(
            calls, succeeded, retransmissions, wall_s, used_s * per_call_us,
            {module: used * per_call_us for module, used in more_s.items()}, _percentile(latencies, 0.5),
            _percentile(latencies, 0.99), memory_mb(process), private_mb(process), _first_error(folder),
        )  # fmt: skip


@contextmanager
def calling(
    data: Path, folder: Path, job: str, rate: int, calls: int, hold_s: float, more: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A caller that ends with the last of its calls, and of which nothing is counted but what `more` asks for."""
    with _sipp(data, folder, [*_calling(data, job, rate, calls, hold_s), "-p", str(PORT), *more]) as process:
        yield process


@contextmanager
def holding(data: Path, rate: int, at_once: int, port: int, hold_s: float = FOREVER_S) -> Iterator[Holder]:
    """A caller at a port of its own whose calls last so long; somebody must be `answering`.

    It calls at that rate while fewer calls than that are in progress, so one that fails is followed by another.
    """
    with tempfile.TemporaryDirectory(prefix="veil700-bench-") as name:
        folder = Path(name)
        media = MEDIA_PORT + 10 * (port - PORT)
        arguments = [
            *_calling(data, "call", rate, ENDLESS, hold_s), "-p", str(port), "-l", str(at_once), "-mp", str(media),
            "-trace_stat", "-stf", str(folder / "stat.csv"), "-fd", "1",
        ]  # fmt: skip
        with _sipp(data, folder, arguments) as process:
            yield Holder(process, folder, at_once)


@dataclass(frozen=True)
class Holder:
    """SIPp, whose calls last. What it says of them is a second old at the most."""

    process: subprocess.Popen[bytes]
    folder: Path
    at_once: int

    def await_all(self, limit_s: float) -> None:
        """Until so many are in progress, and have had three seconds to be answered. Raises RigError."""
        deadline = time.monotonic() + limit_s
        while (found := _stat(self.folder, "CurrentCall")) < self.at_once:
            if self.process.poll() is not None:
                raise RigError(f"SIPp, which was to hold {self.at_once} calls, has ended: {self.process.returncode}")
            if time.monotonic() > deadline:
                raise RigError(f"{found} of {self.at_once} calls are in progress after {limit_s:.0f} s")
            time.sleep(0.2)
        time.sleep(3.0)

    @property
    def placed(self) -> int:
        """Calls so far."""
        return _stat(self.folder, "TotalCallCreated")

    @property
    def failed(self) -> int:
        """Calls that were refused, or not answered."""
        return _stat(self.folder, "FailedCall(C)")


def capture(data: Path, job: str) -> str:
    """One call, and all messages of both sides as SIPp logged them."""
    with tempfile.TemporaryDirectory(prefix="veil700-bench-") as name:
        folder = Path(name)
        logged = {side: ["-trace_msg", "-message_file", str(folder / f"{side}.log")] for side in ("caller", "callee")}
        with answering(data, job, logged["callee"]):
            _call(data, folder, job, 1, 1, LATE_S, logged["caller"])
        files = [folder / f"{side}.log" for side in logged]
        return "\n".join(f"===== {file.stem}\n{file.read_text()}" for file in files if file.exists())


def _scenario(side: str, job: str) -> str:
    return str(SCENARIOS / f"{side}_{job}.xml")


def _call(data: Path, folder: Path, job: str, rate: int, calls: int, limit_s: float, more: Sequence[str] = ()) -> None:
    """Runs the calling SIPp to its end, or until its time is up: what is not counted then has failed."""
    arguments = [
        *_calling(data, job, rate, calls, HOLD_S), "-p", str(PORT), "-l", str(max(100, rate * 4)),
        "-recv_timeout", "8000", "-timeout", f"{int(limit_s)}s",
        "-trace_stat", "-stf", str(folder / "stat.csv"), "-fd", "1",
        "-trace_rtt", "-rtt_freq", str(min(calls, RTT_CALLS)),
        "-trace_err", "-error_file", str(folder / "errors.txt"), *more,
    ]  # fmt: skip
    with _sipp(data, folder, arguments) as process, suppress(subprocess.TimeoutExpired):
        process.wait(limit_s + 15)


def _calling(data: Path, job: str, rate: int, calls: int, hold_s: float) -> list[str]:
    """SIPp's words for a caller."""
    return [
        f"{SYSTEM}:{PORT}", "-sf", _scenario("uac", job), "-i", CALLER, "-inf", str(data / "rows.csv"),
        "-r", str(rate), "-m", str(calls), "-d", str(round(hold_s * 1000)),
    ]  # fmt: skip


def _sipp(data: Path, folder: Path, arguments: Sequence[str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """SIPp with the fine clock. What `arguments` say stands above what is common to all."""
    environment = {**os.environ, "TERM": "xterm", "LD_PRELOAD": str(data / "fine_clock.so")}
    return started(["sipp", *COMMON, *arguments], folder, Path(os.devnull), environment)


def _counted(folder: Path) -> tuple[int, int]:
    """Calls that succeeded and retransmissions."""
    return _stat(folder, "SuccessfulCall(C)"), _stat(folder, "Retransmissions(C)")


def _stat(folder: Path, column: str) -> int:
    """A count of the last row of SIPp's statistics; 0 where it has written none, or has not ended writing it."""
    file = folder / "stat.csv"
    if not file.exists():
        return 0
    with file.open(newline="") as rows:
        last = list(csv.DictReader(rows, delimiter=";"))[-1:]
    return int(last[0].get(column) or 0) if last else 0


def _latencies_ms(folder: Path) -> list[float]:
    """Response time 1 of each call, in order: the second column of the rows whose third is 1."""
    found: list[float] = []
    for file in folder.glob("*_rtt.csv"):
        for line in file.read_text().splitlines():
            fields = line.split(";")
            if len(fields) >= 3 and fields[2] == "1":
                found.append(float(fields[1]))
    return sorted(found)


def _percentile(ordered: list[float], part: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else None


def _first_error(folder: Path) -> str:
    """What SIPp logged first, without its headings; "" when it logged nothing."""
    file = folder / "errors.txt"
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return next((line.strip() for line in lines if line.strip() and not line.endswith("occurred:")), "")[:300]
