"""A worker does not outlive its supervisor: it would go on taking messages beside those of the next run."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


def die_with(parent: int) -> None:
    """From now on this process is killed when its parent, process `parent`, has ended, however that came about."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended before we asked for that
        os.kill(os.getpid(), signal.SIGKILL)
