"""What every command that measures does around its measurement."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from bench.rig.command import alone, end_cleanly, tell
from bench.rig.data import ready_data
from bench.rig.systems import SYSTEMS, RigError, System, missing
from bench.rig.tools import missing_packages


def exit_status(work: Callable[[], int]) -> int:
    """That of `work`, which has the machine for itself; 2: a program is missing, 1: nothing could be measured."""
    if lacking := missing_packages():
        tell(f"not installed: apt-get install -y {' '.join(lacking)}")
        return 2
    end_cleanly()
    try:
        with alone():
            return work()
    except (RigError, OSError, sqlite3.Error) as error:
        tell(str(error))
        return 1


def ready_system(name: str, bindings: int) -> tuple[System, Path]:
    """A system that can be started, and its data. Raises RigError, as `ready_data` does."""
    system, data = SYSTEMS[name], ready_data(bindings, tell)
    if why := missing(system, data):
        raise RigError(f"{system.name}: {why}")
    return system, data
