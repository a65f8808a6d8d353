"""One worker as its supervisor sees it: started, watched, started again when it ends, asked, told to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, final

from engine.control.asking import ask_at
from engine.control.client import ControlError
from engine.starting import StartError
from engine.store.rows import utc_text
from engine.workers.description import Description

START_S: Final = 120.0  # so long it may take to be ready: it may have many calls to take over
FIRST_PAUSE_S: Final = 0.1  # before it is started again; then doubled ...
LONGEST_PAUSE_S: Final = 10.0  # ... up to this
STEADY_S: Final = 60.0  # who has run so long has not died of its start: the next pause is the first one again
END_S: Final = 15.0  # so long it may take to end at once: what has queued is written
MAX_WORD: Final = 4000  # bytes of what it says

# What it says on its stdout, a line.
READY: Final = "ready"
FAILED: Final = "failed "  # and the reason: it cannot, and ends
# What it is told on its stdin, a line each.
DRAIN: Final = b"drain\n"  # take no new calls, wait for those in progress, end
END: Final = b"end\n"  # at once

Log = Callable[..., None]
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
        self._log = log
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._since_s = 0.0
        self._restarts = 0
        self._is_ready = False
        self._is_ending = False

    async def start(self) -> None:
        """Returns when it serves; from now on it is started again when it ends. Raises StartError."""
        await self._begin()
        self._task = asyncio.create_task(self._watch())

    async def ask(self, verb: str, more: Mapping[str, object] | None = None) -> dict[str, object]:
        """Its answer. Raises WorkerGone when there is none, and when it refuses."""
        if not self._is_ready:
            raise WorkerGone(f"worker {self.place} is being started again")
        try:
            return await ask_at(self._path, verb, more)
        except ControlError as error:
            raise WorkerGone(f"worker {self.place}: {error}") from None

    def told(self) -> dict[str, object]:
        """For `veil700 status`, beside what it says itself."""
        child = self._child
        return {
            "worker": self.place,
            "state": "running" if self._is_ready else "down",
            "pid": child.pid if child is not None and self._is_ready else 0,
            "since": utc_text(self._since_s) if self._is_ready else "",
            "restarts": self._restarts,
        }

    def let_go(self) -> None:
        """It is not started again from now on."""
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()

    async def drain(self) -> None:
        """Has it wait for its calls, and end."""
        await self._end(DRAIN)

    async def end(self) -> None:
        """Has it end at once; what cannot hear that is killed."""
        try:
            async with asyncio.timeout(END_S):
                await self._end(END)
        except TimeoutError:
            await self._kill()

    async def _end(self, word: bytes) -> None:
        self.let_go()
        if self._task is not None:
            await asyncio.wait({self._task})
        child = self._child
        if child is None or child.returncode is not None:
            return
        assert child.stdin is not None
        child.stdin.write(word)
        await child.wait()

    async def _kill(self) -> None:
        child = self._child
        if child is not None and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            assert self._child is not None
            status = await self._child.wait()
            self._is_ready = False
            if time.time() - self._since_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._log("a worker has ended", worker=self.place, status=status, next_start_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._restarts += 1
            try:
                await self._begin()
            except StartError as error:
                self._log("a worker does not come up", worker=self.place, reason=str(error))
            else:
                self._log("a worker is back", worker=self.place, restarts=self._restarts)

    async def _begin(self) -> None:
        with ExitStack() as descriptors:
            description = self._describe(self.place, descriptors)
            told = description.written()
            descriptors.callback(os.close, told)
            try:
                self._child = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", "engine.workers.child", str(told), str(os.getpid()),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_WORD,
                    pass_fds=(told, *description.descriptors()), process_group=0,
                )  # fmt: skip
            except OSError as error:
                raise StartError(f"cannot start worker {self.place}: {error.strerror}") from None
        word = await self._first_word(self._child)
        if word != READY:
            await self._kill()
            reason = word.removeprefix(FAILED) or "it ended before it was ready"
            raise StartError(f"worker {self.place}: {reason}")
        self._is_ready = True
        self._since_s = time.time()

    async def _first_word(self, child: asyncio.subprocess.Process) -> str:
        assert child.stdout is not None
        try:
            line = await asyncio.wait_for(child.stdout.readline(), START_S)
        except TimeoutError:
            return f"{FAILED}it is not ready after {START_S:.0f} s"
        except ValueError:  # longer than MAX_WORD
            return f"{FAILED}it does not say that it is ready"
        except BaseException:
            await self._kill()
            raise
        return line.decode("utf-8", "replace").strip()
