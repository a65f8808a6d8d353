"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from engine.core.hours import CHINA_S

_T = TypeVar("_T")


def wait_for(condition: Callable[[], _T], within_s: float = 60.0) -> _T:
    """What it says as soon as that is true of anything."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def stay_within_a_day(takes_s: float = 60.0) -> None:
    """Waits for the next day in China if this one is over in so many seconds: what counts the calls of a day would
    begin anew in the middle."""
    left_s = 86_400 - (time.time() + CHINA_S) % 86_400
    if left_s < takes_s:
        time.sleep(left_s)


def is_there(pid: int) -> bool:
    """False for one that has ended and that nobody has asked about yet, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes(folder: str, program: bytes = b"") -> list[int]:
    """The ids of those that have a file of this folder on their command line, "" for any, and the program."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):  # a bare machine has neither ps nor pgrep
        with suppress(OSError):  # it has ended meanwhile
            words = command.read_bytes()
            if folder.encode() in words and program in words:
                found.append(int(command.parent.name))
    return found
