"""What the commands that measure have in common: one at a time on the machine, a clean end, words about progress."""

from __future__ import annotations

import fcntl
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

LOCK: Final = Path(tempfile.gettempdir()) / "bench.lock"
SECONDS: Final = 3  # of calls in one round, where --calls does not say

_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def alone() -> Iterator[None]:
    """One measurement at a time on this machine."""
    with LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"another measurement runs ({LOCK}): waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def end_cleanly() -> None:
    """From now on a signal that ends the command lets it put an end to what it has started."""
    for number in _ENDINGS:
        signal.signal(number, _interrupted)


def _interrupted(number: int, _frame: FrameType | None) -> None:
    """Leaves through every `finally`, which end what was started; a second signal must not interrupt those."""
    for each in _ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    tell("interrupted")
    sys.exit(128 + number)


def positive(text: str) -> int:
    """The value of an option that counts something."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def tell(line: str) -> None:
    """One line for whoever waits."""
    print(f"bench: {line}", file=sys.stderr, flush=True)
