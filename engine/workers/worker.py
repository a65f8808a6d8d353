"""One worker as its supervisor sees it: started, watched, started again when it ends, asked, told to end."""

from __future__ import annotations

import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import Final, final

from engine.control.asking import ask_at, follow_at
from engine.control.client import ControlError
from engine.keeper import Habits, Keeper, Log, Words, launch
from engine.workers.description import Description

END_S: Final = 15.0  # so long it may take to end at once: what has queued is written

# It may have many calls to take over before it is ready.
HABITS: Final = Habits(ready_s=120.0, first_pause_s=0.1, longest_pause_s=10.0, steady_s=60.0)

# What it is told on its stdin, a line each.
DRAIN: Final = b"drain\n"  # take no new calls, wait for those in progress, end
END: Final = b"end\n"  # at once

# Describes the worker for a start, with descriptors that it is to have; the stack closes ours behind the start.
Describe = Callable[[int, ExitStack], Description]


class WorkerGone(Exception):
    """The worker cannot be asked now; the text is one clear line."""


@final
class Worker:
    """For one place among the workers, from 0; the process in it changes."""

    def __init__(self, place: int, path: Path, describe: Describe, log: Log) -> None:
        """`path` is where its control socket will be."""
        self.place: Final = place
        self._path = path
        self._describe = describe
        self._keeper = Keeper(HABITS, _words(place), self._launch, partial(log, worker=place))

    async def start(self) -> None:
        """Returns when it serves; from now on it is started again when it ends. Raises NotStarted."""
        await self._keeper.start()

    async def ask(self, verb: str, more: Mapping[str, object] | None = None) -> dict[str, object]:
        """Its answer. Raises WorkerGone when there is none, and when it refuses."""
        pid = self._serving()
        try:
            return await ask_at(self._path, pid, verb, more)
        except ControlError as error:
            raise WorkerGone(f"worker {self.place}: {error}") from None

    async def follow(self, verb: str, more: Mapping[str, object]) -> AsyncGenerator[dict[str, object], None]:
        """What it says, line by line, until it ends that. Raises WorkerGone as `ask`."""
        pid = self._serving()
        try:
            async with aclosing(follow_at(self._path, pid, verb, more)) as answers:
                async for answer in answers:
                    yield answer
        except ControlError as error:
            raise WorkerGone(f"worker {self.place}: {error}") from None

    def _serving(self) -> int:
        """The process that can be asked. Raises WorkerGone."""
        pid = self._keeper.pid
        if not pid:
            raise WorkerGone(f"worker {self.place} is being started again")
        return pid

    def told(self) -> dict[str, object]:
        """For `veil700 status`, beside what it says itself."""
        keeper = self._keeper
        return {
            "worker": self.place,
            "state": keeper.state,
            "pid": keeper.pid,
            "since": keeper.since,
            "restarts": keeper.restarts,
        }

    async def drain(self) -> None:
        """Has it wait for its calls, and end."""
        await self._keeper.stop(partial(_say, DRAIN))

    async def end(self) -> None:
        """Has it end at once; what cannot hear that is killed."""
        await self._keeper.stop(partial(_say, END), END_S)

    async def _launch(self) -> Process:
        with ExitStack() as descriptors:
            description = self._describe(self.place, descriptors)
            told = description.written()
            descriptors.callback(os.close, told)
            return await launch(
                "engine.workers.child", str(told), str(os.getpid()), stdin=PIPE, stdout=PIPE,
                pass_fds=(told, *description.descriptors()), process_group=0,
            )  # fmt: skip


def _words(place: int) -> Words:
    return Words(
        has_ended="a worker has ended",
        is_absent="a worker does not come up",
        is_back="a worker is back",
        cannot_start=f"cannot start worker {place}: ",
        fails=f"worker {place}: ",
        it=f"worker {place}: it",
    )


def _say(word: bytes, child: Process) -> None:
    assert child.stdin is not None
    child.stdin.write(word)
