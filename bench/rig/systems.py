"""The systems that are measured: how each is started, and where its records are counted.

All of them do one job at one address: caller-side messages come from 127.0.0.12, callee-side ones from 127.0.0.13.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.rig.processes import started
from bench.rig.tools import SIPPY

SYSTEM: Final = "127.0.0.11"
CALLER: Final = "127.0.0.12"
CALLEE: Final = "127.0.0.13"
PORT: Final = 5060

READY_S: Final = 60.0
STOP_S: Final = 10.0
RECORDS_S: Final = 20.0  # how long records may come after the last call
JOBS: Final = ("call", "message")

TWO_WORKERS: Final = "veil700-2.toml"  # in the data folder: the same configuration, with two workers
WITH_API: Final = "veil700-api.toml"  # and with the HTTP API beside it
API: Final = f"{SYSTEM}:8700"

_LAUNCHER: Final = Path(__file__).with_name("null_writer.py")
_SIPPY_JOB: Final = Path(__file__).with_name("sippy") / "job.py"

Tell = Callable[[str], None]  # takes one line about the progress

_KAMAILIO_TABLES: Final = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE version (table_name VARCHAR(32) PRIMARY KEY, table_version INTEGER);
    INSERT INTO version VALUES ('acc', 5), ('cdrs', 2), ('missed_calls', 4);
    CREATE TABLE cdrs (id INTEGER PRIMARY KEY, start_time, end_time, duration, x700, a, b, answer, code, callid);
    CREATE TABLE msgs (id INTEGER PRIMARY KEY, start_time, end_time, x700, a, b, code);
"""

_OPTIONS: Final = (
    "OPTIONS sip:system@127.0.0.11 SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-ready-{number}\r\n"
    "From: <sip:rig@{own}>;tag=ready\r\nTo: <sip:system@127.0.0.11>\r\nCall-ID: ready-{number}@{own}\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


class RigError(Exception):
    """Nothing can be measured; the text is one clear line."""


@dataclass(frozen=True)
class System:
    """One system. `prepare` makes its data folder as it is before the first call; `records` counts in SQLite."""

    name: str
    title: str
    command: Callable[[Path, str], list[str]]  # data folder, job
    prepare: Callable[[Path], None]
    records: Callable[[str], tuple[str, str]] | None  # job -> file in the data folder, table; None: it keeps none
    settle_s: float  # from being ready to the first call
    says_ready: str = ""  # what it prints when it takes calls; "": when it has its socket
    answers_options: bool = False  # it takes calls once it answers OPTIONS with whatever code
    jobs: tuple[str, ...] = JOBS
    most_per_s: int = 0  # the calls a second that it is known to carry; 0: as many as are asked for
    is_ours: bool = False  # its processes are told apart

    def count_records(self, data: Path, job: str, expected: int) -> int | None:
        """Committed records; waits a moment for the last ones. None where the system keeps none. Raises RigError."""
        if self.records is None:
            return None
        file, table = self.records(job)
        deadline = time.monotonic() + RECORDS_S
        while (found := _count(data / file, table)) < expected and time.monotonic() < deadline:
            time.sleep(0.2)
        return found


@contextmanager
def running(system: System, data: Path, job: str) -> Iterator[int]:
    """Starts a system on its data and yields its process id once it can take calls. Raises RigError."""
    if is_bound():
        raise RigError(f"{SYSTEM}:{PORT} is taken: something else runs there")
    system.prepare(data)
    log = data / f"{system.name}.log"
    with started(system.command(data, job), data, log, stop_s=STOP_S) as process:
        _await_ready(system, process, log)
        if system.answers_options:
            _await_answer(system, process, log)
        time.sleep(system.settle_s)
        yield process.pid
        if process.poll() is not None:
            raise RigError(f"{system.name} ended while it was measured, see {log}: {_last_line(log)}")


def _await_ready(system: System, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not is_bound() or system.says_ready not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RigError(f"{system.name} has not started, see {log}: {_last_line(log)}")
        time.sleep(0.05)


def _await_answer(system: System, process: subprocess.Popen[bytes], log: Path) -> None:
    """It has its socket, and may still be reading its bindings."""
    deadline = time.monotonic() + READY_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind((CALLER, 0))
        asking.settimeout(0.2)
        own = f"{CALLER}:{asking.getsockname()[1]}"
        for number in itertools.count():
            asking.sendto(_OPTIONS.format(own=own, number=number).encode(), (SYSTEM, PORT))
            with contextlib.suppress(TimeoutError):
                asking.recv(65536)
                return
            if process.poll() is not None or time.monotonic() > deadline:
                raise RigError(f"{system.name} does not answer, see {log}: {_last_line(log)}")


def _last_line(log: Path) -> str:
    return log.read_text(errors="replace").strip().rpartition("\n")[2]


def is_bound(host: str = SYSTEM) -> bool:
    """True when somebody has the socket that the systems use, or the same port of another host."""
    address = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{PORT:04X}"
    return any(address in line for line in Path("/proc/net/udp").read_text().splitlines())


def _count(database: Path, table: str) -> int:
    """Rows of a table of a system that runs; read only, so that nothing of it is touched. Raises RigError."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.Error as error:
        raise RigError(f"{database}: {error}") from None


# -- the systems -------------------------------------------------------------------------------------------------------


def _nothing(_data: Path) -> None:
    """It keeps nothing."""


def _remove(data: Path, database: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        (data / f"{database}{suffix}").unlink(missing_ok=True)


def _empty_kamailio(data: Path) -> None:
    _remove(data, "cdr.db")
    with contextlib.closing(sqlite3.connect(data / "cdr.db")) as connection:
        connection.executescript(_KAMAILIO_TABLES)


def _kamailio(data: Path, job: str) -> list[str]:
    """Allocator fm: the default one, qm, more than doubles the cost of a call."""
    memory = ["-x", "fm", "-X", "fm", "-m", "1024", "-M", "16"]
    defined = ["-A", "MESSAGES"] if job == "message" else []
    return ["kamailio", *memory, "-DD", "-E", *defined, "-f", str(data / "kamailio.cfg")]


def _kamailio_lean(data: Path, _job: str) -> list[str]:
    """It reads all bindings at once into the memory of a process, and from there into that of all."""
    size_mb = 256 + (data / "bind.db").stat().st_size // 2**20 * 16
    memory = ["-x", "fm", "-X", "fm", "-m", str(size_mb), "-M", str(size_mb)]
    return ["kamailio", *memory, "-DD", "-E", "-f", str(data / "lean.cfg")]


def _sippy(_data: Path, _job: str) -> list[str]:
    """Without its log, as the others have none; it sends every call to the callee's side."""
    listening = ["-l", SYSTEM, "-p", str(PORT), "-n", f"{CALLEE}:{PORT}"]
    return ["env", "SIPLOG_BEND=none", str(SIPPY), str(_SIPPY_JOB), "-f", *listening]


def _empty_veil700(data: Path) -> None:
    """Its journal goes, too: a run that ended with calls in progress has left them there, to be taken over."""
    _remove(data, "var/records.db")
    shutil.rmtree(data / "var" / "journal", ignore_errors=True)


def _veil700(interpreter: Path, config: str = "veil700.toml") -> Callable[[Path, str], list[str]]:
    return lambda data, _job: [str(interpreter), "-m", "engine.main", "--config", str(data / config), "run"]


FLOOR: Final = System(
    "floor", "C forwarder, parses nothing", lambda data, _job: [str(data / "floor")], _nothing, None, settle_s=0.2
)
LEAN: Final = System(
    "kamailio-lean",
    "Kamailio, bindings in shared memory, no record, two workers",
    _kamailio_lean,
    _nothing,
    None,
    settle_s=1.0,
    answers_options=True,
)
KAMAILIO: Final = System(
    "kamailio",
    "Kamailio, SQLite lookup, a committed record",
    _kamailio,
    _empty_kamailio,
    lambda job: ("cdr.db", "msgs" if job == "message" else "cdrs"),
    settle_s=1.0,
    answers_options=True,
)
SIPPY_B2BUA: Final = System(
    "sippy",
    "sippy, the B2BUA in Python: SQLite lookup, a committed record",
    _sippy,
    _empty_kamailio,
    lambda _job: ("cdr.db", "cdrs"),
    settle_s=1.0,
    answers_options=True,
    jobs=("call",),
    most_per_s=100,
)
_OWN: Final = Path(sys.executable)
VEIL700: Final = System(
    "veil700",
    "this project",
    _veil700(_OWN),
    _empty_veil700,
    lambda _job: ("var/records.db", "cdr"),
    settle_s=1.0,
    says_ready="veil700 ready",
    is_ours=True,
)
NULL_WRITER: Final = replace(
    VEIL700,
    name="null-writer",
    title="this project, records confirmed and not written",
    command=lambda data, _job: [sys.executable, str(_LAUNCHER), "--config", str(data / "veil700.toml"), "run"],
    records=None,
)
VEIL700_TWO: Final = replace(
    VEIL700, name="veil700-2", title="this project, two workers", command=_veil700(_OWN, TWO_WORKERS)
)
# The same node on what `make build` has compiled, once tests.compiled_tree has laid it out.
_COMPILED_PYTHON: Final = Path(__file__).resolve().parents[2] / "build" / "compiled" / ".venv" / "bin" / "python"
COMPILED: Final = replace(
    VEIL700,
    name="compiled",
    title="this project, compiled",
    command=_veil700(_COMPILED_PYTHON),
)
COMPILED_TWO: Final = replace(
    COMPILED,
    name="compiled-2",
    title="this project, compiled, two workers",
    command=_veil700(_COMPILED_PYTHON, TWO_WORKERS),
)
SYSTEMS: Final = {
    system.name: system for system in (FLOOR, LEAN, KAMAILIO, SIPPY_B2BUA, VEIL700, VEIL700_TWO, COMPILED, COMPILED_TWO)
}


def with_api(system: System) -> System:
    """The same node of ours with its API process beside it."""
    interpreter = _COMPILED_PYTHON if system in (COMPILED, COMPILED_TWO) else _OWN
    return replace(system, command=_veil700(interpreter, WITH_API))


def missing(system: System, data: Path) -> str:
    """Why a system cannot be measured here; "" when it can."""
    if system is SIPPY_B2BUA and not SIPPY.exists():
        return "it is not installed in build/sippy"
    if system in (COMPILED, COMPILED_TWO) and not _COMPILED_PYTHON.exists():
        return "there is no build/compiled, which `make bench` makes"
    if system in (VEIL700_TWO, COMPILED_TWO):
        checked = subprocess.run(
            [*system.command(data, "call")[:-1], "check"], cwd=data, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        said = (checked.stdout + checked.stderr).strip().splitlines()
        return "" if checked.returncode == 0 else said[0] if said else f"check ends with {checked.returncode}"
    return ""
