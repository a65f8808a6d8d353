"""What `bench.guard` runs under valgrind: each conversation once, in a process of its own.

    .venv/bin/python -m bench.counted --calls 100 answered message

Prints one line a process: the name of a conversation and the process id; "nothing" is a process that does no work. All
are forked from one parent in which everything has been recorded, so that what they execute differs by the replay alone.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import traceback
from collections.abc import Callable
from typing import Final

from bench.conversations import CONVERSATIONS, record

NOTHING: Final = "nothing"


def main() -> int:
    """Records, then forks; 1 when a child has failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.counted")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("conversations", nargs="+", choices=CONVERSATIONS)
    options = parser.parse_args()
    recordings = {name: record(name, options.calls) for name in options.conversations}
    # When the collector runs depends on all that was allocated before: one line more elsewhere would show as a step.
    gc.disable()
    works = {NOTHING: _nothing, **{name: recording.replay for name, recording in recordings.items()}}
    return 0 if all(in_child(name, work) for name, work in works.items()) else 1


def _nothing() -> None:
    """What a process costs by itself."""


def in_child(name: str, work: Callable[[], None]) -> bool:
    """Runs `work` in a child, and prints its name and the child's process id; True when it ended well."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    print(name, child, flush=True)
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
