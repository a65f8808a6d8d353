"""What `bench.durable count` runs under valgrind: the durable steps of calls, given to the writer of records.

    .venv/bin/python -m bench.durable_counted --calls 100 steps

The steps are those that the core asks for when it plays the answered conversation: opened, answered, ended. They come
in the order and in the groups of 1000 calls/s, held for 20 ms, with the window as it is shipped, and are loaded into
the tables together, as those of half a second are. The writer works on a store of its own in a temporary folder.
Prints, as `bench.counted` does, name and process id of a process that opens and closes the store, and of one that has
it write.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Semaphore
from typing import Final
from unittest.mock import patch

from bench.bare_core import BareCore
from bench.conversations import CONVERSATIONS, Ends
from bench.counted import NOTHING, in_child
from engine.core.outputs import CommitRecord
from engine.store import loading
from engine.store.crypto import open_key
from engine.store.records import Done, RecordWriter

WORK: Final = "steps"
GROUP: Final = 6  # steps of two milliseconds of 1000 calls/s
ANSWERED_LATER: Final = 2  # calls that have begun before this one is answered ...
ENDED_LATER: Final = 24  # ... and before it has ended
WINDOW_MS: Final = 2.0  # [cdr] commit_window_ms as it is shipped
NEVER_S: Final = 3600.0  # the loader waits for the end: valgrind slows everything down but the clock
LIMIT_S: Final = 120.0  # for one group, under valgrind


class _Steps(BareCore):
    """Keeps what the core wants to have written."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[CommitRecord] = []

    def note_commit(self, output: CommitRecord) -> None:
        super().note_commit(output)
        self.asked.append(output)


def main() -> int:
    """Plays, then forks; 1 when a child has failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.durable_counted")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("works", nargs="+", choices=[WORK])
    steps = interleaved(played(parser.parse_args().calls))
    gc.disable()  # as in `bench.counted`
    return 0 if in_child(NOTHING, lambda: write([])) and in_child(WORK, lambda: write(steps)) else 1


def played(calls: int) -> list[list[CommitRecord]]:
    """The steps of each call, in order."""
    core = _Steps()
    for number in range(calls):
        CONVERSATIONS["answered"](Ends(core, number))
    each = core.commits // calls
    return [core.asked[first : first + each] for first in range(0, core.commits, each)]


def interleaved(calls: Sequence[Sequence[CommitRecord]]) -> list[CommitRecord]:
    """All steps in the order in which they come when a call begins every millisecond."""
    due = (0, ANSWERED_LATER, ENDED_LATER)
    ordered = sorted(
        (begins + later, index, step)
        for begins, steps in enumerate(calls)
        for index, (later, step) in enumerate(zip(due, steps, strict=True))
    )
    return [step for _, _, step in ordered]


def write(steps: Sequence[CommitRecord]) -> None:
    """Has a writer write them, group by group. Raises RuntimeError when one has not become durable."""
    told = Semaphore(0)

    def on_done(done: Done) -> None:
        if all(durable for _, durable in done):
            told.release(len(done))

    with (
        patch.object(loading, "LOAD_EVERY_S", NEVER_S),
        tempfile.TemporaryDirectory(prefix="veil700-count-") as name,
    ):
        folder = Path(name)
        writer = RecordWriter(folder / "records.db", open_key(folder), "bench", "boot", WINDOW_MS, on_done)
        writer.start()
        try:
            for first in range(0, len(steps), GROUP):
                _write_group(writer, steps[first : first + GROUP], told)
        finally:
            writer.stop()
        ended = len(steps) // 3
        if writer.written != ended:
            raise RuntimeError(f"{writer.written} records of {ended} calls")


def _write_group(writer: RecordWriter, group: Sequence[CommitRecord], told: Semaphore) -> None:
    for step in group:
        if not writer.submit(step.step, step.values, step.extra, step):
            raise RuntimeError("a step was not taken")
    for _ in group:
        if not told.acquire(timeout=LIMIT_S):
            raise RuntimeError("a step has not become durable")


if __name__ == "__main__":
    sys.exit(main())
