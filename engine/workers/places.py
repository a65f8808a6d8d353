"""Where the processes of a node with several workers find each other, and how many there are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MAX_WORKERS: Final = 32  # owners are told apart by one of 32 letters


def worker_count(configured: int) -> int:
    """The number of SIP processes for `[node] workers`: 0 is one for each core that this process may use."""
    return min(configured or len(os.sched_getaffinity(0)), MAX_WORKERS)


def worker_socket(data_dir: Path, worker: int) -> Path:
    """The control socket of one worker, for its supervisor; workers count from 0."""
    return data_dir / f"worker-{worker}.sock"
