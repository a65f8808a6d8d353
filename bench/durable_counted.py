"""What `bench.durable count` runs under valgrind: steps of calls and messages, appended to the journal and loaded.

    .venv/bin/python -m bench.durable_counted --calls 100 append load

The steps are those that the core asks for when it plays the answered conversation: opened, answered, ended. They come
in the order and in the groups of 1000 calls/s, held for 20 ms. Those of a message, which only begins and ends, are
there for `append-message` and `load-message`. `append` has the writer of records make each group
durable, and nothing is loaded. `load` brings into the tables what was appended before, as much at once as comes between
two loads of a running node, and from memory as there, but for the first group. The clock decides nothing of it: under
valgrind it would have everything loaded in small pieces. Prints, as
`bench.counted` does, name and process id of a process that opens and closes stores, and of one for each work.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

from bench.bare_core import BareCore
from bench.conversations import CONVERSATIONS, Ends
from bench.counted import NOTHING, in_child
from engine.core.outputs import CommitRecord
from engine.recording.client import Done, RecordWriter
from engine.recording.frames import Hello, say_hello
from engine.recording.serving import Server
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database
from engine.store.journal import Journal
from engine.store.loader import Loader
from engine.store.loading import LONGEST_PAUSE_S, make_folder
from engine.store.records import GroupWriter
from engine.store.segment import Group, encoded_step
from engine.store.signing import open_signing_key

APPEND: Final = "append"
LOAD: Final = "load"
OF_MESSAGES: Final = "-message"
WORKS: Final = (APPEND, LOAD, APPEND + OF_MESSAGES, LOAD + OF_MESSAGES)
GROUP: Final = 6  # steps of two milliseconds of 1000 calls/s
ANSWERED_LATER: Final = 2  # calls that have begun before this one is answered ...
ENDED_LATER: Final = 24  # ... and before it has ended
DELIVERED_LATER: Final = 4  # messages that have begun before this one has ended
WINDOW_MS: Final = 2.0  # [cdr] commit_window_ms as it is shipped
GROUPS_A_LOAD: Final = round(LONGEST_PAUSE_S * 1000.0 / WINDOW_MS)
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
    """Plays, appends what is to be loaded, then forks; 1 when a child has failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.durable_counted")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("works", nargs="+", choices=WORKS)
    options = parser.parse_args()
    steps = interleaved(played(options.calls))
    messages = interleaved(played(options.calls, "message"))
    with tempfile.TemporaryDirectory(prefix="veil700-count-") as name:
        folder = Path(name)
        loads = appended(folder / "loaded", steps)
        loads_of_messages = appended(folder / "loaded-messages", messages)
        appended(folder / "appended", [])  # their files and tables cost more than steps
        appended(folder / "idle", [])
        works: dict[str, tuple[Sequence[CommitRecord], Path, Sequence[Sequence[Group]]]] = {
            NOTHING: ([], folder / "idle", []),
            APPEND: (steps, folder / "idle", []),
            LOAD: ([], folder / "loaded", loads),
            APPEND + OF_MESSAGES: (messages, folder / "idle", []),
            LOAD + OF_MESSAGES: ([], folder / "loaded-messages", loads_of_messages),
        }

        def work(name: str) -> None:
            """To open a writer and a loader costs as much as the steps of calls: all open both."""
            new, waiting, loads = works[name]
            append(folder / "appended", new)
            load(waiting, loads)

        gc.disable()  # as in `bench.counted`
        return 0 if all(in_child(name, partial(work, name)) for name in (NOTHING, *options.works)) else 1


def played(calls: int, conversation: str = "answered") -> list[list[CommitRecord]]:
    """The steps of each call, or message, in order."""
    core = _Steps()
    for number in range(calls):
        CONVERSATIONS[conversation](Ends(core, number))
    each = core.commits // calls
    return [core.asked[first : first + each] for first in range(0, core.commits, each)]


def interleaved(calls: Sequence[Sequence[CommitRecord]]) -> list[CommitRecord]:
    """All steps in the order in which they come when a call, or a message, begins every millisecond."""
    due = (0, ANSWERED_LATER, ENDED_LATER) if len(calls[0]) == 3 else (0, DELIVERED_LATER)
    ordered = sorted(
        (begins + later, index, step)
        for begins, steps in enumerate(calls)
        for index, (later, step) in enumerate(zip(due, steps, strict=True))
    )
    return [step for _, _, step in ordered]


def append(folder: Path, steps: Sequence[CommitRecord]) -> None:
    """Has a writer append them, group by group. RuntimeError when one has not become durable."""
    with patch.object(Loader, "load", return_value=False):
        asyncio.run(_append(folder, steps))


async def _append(folder: Path, steps: Sequence[CommitRecord]) -> None:
    """Both ends of the writer, that of a SIP process here and the other one in a thread."""
    told: asyncio.Queue[Done] = asyncio.Queue()
    hello = Hello(0, 1, begins=False)
    lobby, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    group_writer = GroupWriter(folder / "records.db", open_key(folder), "bench", "boot")
    serving = threading.Thread(target=Server(others, group_writer, WINDOW_MS / 1000.0).run)
    serving.start()
    with others, lobby:
        writer = RecordWriter(lobby, say_hello(lobby, hello), hello, told.put_nowait, print)
        writer.start()
        try:
            for group in _groups(steps):
                await _write_group(writer, group, told)
        finally:
            writer.stop()
            lobby.close()
            serving.join()


def appended(folder: Path, steps: Sequence[CommitRecord]) -> list[list[Group]]:
    """A store of which nothing is loaded, its keys, tables and journal; what each load is to bring."""
    cipher = open_key(folder)
    open_database(folder / "records.db", RECORDS, cipher).close()
    open_signing_key(folder)
    journal = Journal(make_folder(folder / "records.db"), cipher, "bench", ("boot", 1), 0)
    journal.begin()
    groups = [
        journal.append([encoded_step(int(step.step), step.values, step.extra) for step in group], len(group))
        for group in _groups(steps)
    ]
    journal.close()
    return [groups[first : first + GROUPS_A_LOAD] for first in range(0, len(groups), GROUPS_A_LOAD)]


def load(folder: Path, loads: Sequence[Sequence[Group]]) -> None:
    """Loads these groups, as the loader of the writer that has appended them."""
    cipher = open_key(folder)
    connection = open_database(folder / "records.db", RECORDS, cipher)
    try:
        loader = Loader(connection, make_folder(folder / "records.db"), cipher, open_signing_key(folder))
        for groups in loads:
            for group in groups:
                loader.fresh.put(group)
            while loader.load(groups[-1].position):
                pass
        if loader.notes:
            raise RuntimeError(loader.notes[0])
    finally:
        connection.close()


def _groups(steps: Sequence[CommitRecord]) -> Iterator[Sequence[CommitRecord]]:
    for first in range(0, len(steps), GROUP):
        yield steps[first : first + GROUP]


async def _write_group(writer: RecordWriter, group: Sequence[CommitRecord], told: asyncio.Queue[Done]) -> None:
    for step in group:
        if not writer.submit(step.step, step.values, step.extra, step):
            raise RuntimeError("a step was not taken")
    left = len(group)
    while left:
        async with asyncio.timeout(LIMIT_S):
            done = await told.get()
        if not all(durable for _, durable in done):
            raise RuntimeError("a step has not become durable")
        left -= len(done)


if __name__ == "__main__":
    sys.exit(main())
