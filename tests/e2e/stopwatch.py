"""How long something has taken, without the time for which other programs had the processors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from scenarios.rig.node import Node

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def stopwatch(node: Node) -> Callable[[], float]:
    """Starts one: it tells the seconds since, less those for which this thread, and the threads of the node and of its
    child processes, stood ready to run and others ran, and those which the host of a virtual machine gave to others. On
    a machine of its own a test loses nothing by that."""
    assert node.process is not None
    began_s, before_s = time.monotonic(), _starved_s(node.process.pid)
    pid = node.process.pid
    return lambda: max(0.0, time.monotonic() - began_s - (_starved_s(pid) - before_s))  # several may wait at a time


def _starved_s(pid: int) -> float:
    own = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}")
    waited_ns = 0
    for task in (own, *_tasks(pid)):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            waited_ns += int((task / "schedstat").read_text().split()[1])
    return waited_ns / 1e9 + stolen_s()


def stolen_s() -> float:
    """For how long a host has run other machines when this one had something to do, over all processors."""
    return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / _TICKS_PER_S


def _tasks(pid: int) -> Iterator[Path]:
    """The threads of a process and of all processes that it has started."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield task
            for child in (task / "children").read_text().split():
                yield from _tasks(int(child))
