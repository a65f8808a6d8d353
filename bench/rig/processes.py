"""Processes that the rig starts: their end, their CPU time and their memory, all from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PROC: Final = Path("/proc")


@contextmanager
def started(
    command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str] | None = None, stop_s: float = 0.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, so that Ctrl-C reaches the rig alone, which ends what it started.

    At the end it has `stop_s` seconds to obey SIGTERM, then its group is killed; 0 kills at once. Should the rig die
    before that, the kernel sends SIGTERM to the program.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if stop_s and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(stop_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(stat.parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += children.get(process, [])
    return found


def cpu_s(root: int) -> float:
    """CPU seconds, user and system, that a tree of processes has used, children that have ended included.

    The scheduler's own count of each thread, in nanoseconds. Where utime and stime of the process say more, which count
    in ticks of 10 ms, a thread has ended, and they stand.
    """
    return sum(_process_cpu_s(process) for process in tree(root))


def module_cpu_s(root: int) -> dict[str, float]:
    """The same of a tree of Python programs by the module that each runs, of all that run it together."""
    found: dict[str, float] = {}
    for process in tree(root):
        if module := _module(process):
            found[module] = found.get(module, 0.0) + _process_cpu_s(process)
    return found


def _process_cpu_s(process: int) -> float:
    stat = _stat(process)
    return 0.0 if stat is None else max(stat.own_s, _scheduled_s(process)) + stat.ended_children_s


def _scheduled_s(process: int) -> float:
    total_ns = 0
    for file in PROC.glob(f"{process}/task/*/schedstat"):
        with contextlib.suppress(OSError):
            total_ns += int(file.read_text().split()[0])
    return total_ns / 1e9


@dataclass(frozen=True)
class _Stat:
    parent: int
    own_s: float
    ended_children_s: float


def _stat(process: int) -> _Stat | None:
    """From /proc/PID/stat (proc(5)); None when the process has ended."""
    try:
        text = (PROC / str(process) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    parent, (user, system, ended_user, ended_system) = int(fields[1]), map(int, fields[11:15])
    return _Stat(parent, (user + system) / TICKS_PER_S, (ended_user + ended_system) / TICKS_PER_S)


def memory_mb(root: int) -> float:
    """MiB of a tree of processes; what several of them share counts once (PSS)."""
    return sum(_resident_kb(process, ("Pss:",)) for process in tree(root)) / 1024


def private_mb(root: int) -> dict[str, float]:
    """MiB that each process of a tree of Python programs has for itself (USS), by the module that it runs.

    Of several that run the same module it is the largest one's, here and in what else is told by module.
    """
    return _by_module(root, lambda process: _resident_kb(process, ("Private_Clean:", "Private_Dirty:")) / 1024)


def descriptors(root: int) -> dict[str, float]:
    """Open file descriptors by module."""
    return _by_module(root, lambda process: _entries(process, "fd"))


def threads(root: int) -> dict[str, float]:
    """Threads by module."""
    return _by_module(root, lambda process: _entries(process, "task"))


def _by_module(root: int, figure: Callable[[int], float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for process in tree(root):
        if module := _module(process):
            found[module] = max(found.get(module, 0.0), figure(process))
    return found


def _entries(process: int, folder: str) -> int:
    """Of a folder of /proc/PID; 0 when the process has ended."""
    try:
        return len(os.listdir(PROC / str(process) / folder))
    except OSError:
        return 0


def _resident_kb(process: int, kinds: Sequence[str]) -> int:
    """Sum of those lines of /proc/PID/smaps_rollup; 0 when the process has ended."""
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(tuple(kinds)))


def _module(process: int) -> str:
    """What stands behind `-m` in its command line; "" for a process without."""
    try:
        words = (PROC / str(process) / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return ""
    return words[words.index("-m") + 1] if "-m" in words[:-1] else ""
