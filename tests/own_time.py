"""How much of a processor a piece of work takes by itself."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import thread_time


@contextmanager
def own_cpu_s() -> Iterator[Callable[[], float]]:
    """Seconds of this thread since it began. What all earlier tests have left is not looked through meanwhile."""
    gc.disable()
    began_s = thread_time()
    try:
        yield lambda: thread_time() - began_s
    finally:
        gc.enable()
