"""A process of ours beside this one: started, heard when it is ready, started again when it ends, and told to end.

What differs between one such process and another is given: how it is launched, how long is waited for it, what is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, final

from engine.store.rows import utc_text

MAX_WORD: Final = 4000  # bytes of what it says

# What it says on its stdout, one line.
READY: Final = "ready"  # and behind a space what else whoever has started it is to know
FAILED: Final = "failed "  # and the reason: it cannot, and ends

Log = Callable[..., None]
Launch = Callable[[], Awaitable[Process]]  # raises OSError
Fields = Callable[[str], dict[str, object]]


class NotStarted(Exception):
    """The process does not come up; the text is one clear line."""


@dataclass(frozen=True)
class Habits:
    """How long is waited, in seconds."""

    ready_s: float | None  # so long it may take to say that it is ready; None: it says nothing, and is so at once
    first_pause_s: float  # before it is started again; then doubled ...
    longest_pause_s: float  # ... up to this
    steady_s: float  # who has served so long has not died of its start: the next pause is the first one again


@dataclass(frozen=True)
class Words:
    """What is said of it: in the log, and to who waits for its first start."""

    has_ended: str
    is_absent: str  # it has been started again in vain
    is_back: str  # "" for one of which that is not said
    cannot_start: str  # before what the kernel says
    fails: str  # before the reason that it has given itself
    it: str  # before what is known of one that gives none


@final
class Keeper:
    """Of one place for a process; the process in it changes."""

    def __init__(self, habits: Habits, words: Words, launch: Launch, log: Log, fields: Fields | None = None) -> None:
        """`fields` makes of what it has said behind READY what the log shows of one that is back."""
        self._habits = habits
        self._words = words
        self._launch = launch
        self._log = log
        self._fields = fields
        self._task: asyncio.Task[None] | None = None
        self._ready_since_s = math.inf  # on the clock of pauses; that of the wall may be set
        self._since_s = 0.0
        self._is_let_go = False
        self.child: Process | None = None  # the one that was launched last, whether or not it is there
        self.is_ready = False
        self.said = ""  # behind READY
        self.restarts = 0

    async def start(self) -> None:
        """Returns when it is ready; from now on it is started again when it ends. Raises NotStarted.

        Who calls `let_go` meanwhile has it raise NotStarted, too.
        """
        await self.begin()
        if self._is_let_go:
            raise NotStarted("the node ends")
        self._task = asyncio.create_task(self._watch())

    async def begin(self) -> None:
        """One process, ready. Raises NotStarted: then there is none."""
        self.is_ready, self.said, self._ready_since_s = False, "", math.inf
        try:
            self.child = child = await self._launch()
        except OSError as error:
            raise NotStarted(f"{self._words.cannot_start}{error.strerror}") from None
        if self._habits.ready_s is not None:
            self.said = await self._first_word(child, self._habits.ready_s)
        self.is_ready = True
        self._ready_since_s = time.monotonic()
        self._since_s = time.time()

    @property
    def pid(self) -> int:
        """0 where it does not serve."""
        child = self.child
        return child.pid if self.is_ready and child is not None and child.returncode is None else 0

    @property
    def state(self) -> str:
        """For `veil700 status`."""
        return "running" if self.pid else "down"

    @property
    def since(self) -> str:
        """When it was ready; "" where it does not serve."""
        return utc_text(self._since_s) if self.pid else ""

    def let_go(self) -> None:
        """From now on it is not started again: whoever ends a node may send its signal to all of its processes."""
        self._is_let_go = True
        if self._task is not None:
            self._task.cancel()

    async def wait_let_go(self) -> None:
        """The same, and nothing of a start goes on any more."""
        self.let_go()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self, tell: Callable[[Process], None], within_s: float | None = None) -> None:
        """Has it end as `tell` tells it to; what has not ended by then is killed."""
        await self.wait_let_go()
        child = self.child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            tell(child)
        try:
            async with asyncio.timeout(within_s):
                await child.wait()
        except TimeoutError:
            await _kill(child)

    async def _watch(self) -> None:
        habits, words = self._habits, self._words
        pause_s = habits.first_pause_s
        while not self._is_let_go:
            assert self.child is not None
            reason = {} if self.child.stderr is None else {"reason": await _last_words(self.child.stderr)}
            status = await self.child.wait()
            self.is_ready = False
            if time.monotonic() - self._ready_since_s >= habits.steady_s:
                pause_s = habits.first_pause_s
            self._log(words.has_ended, status=status, **reason, next_start_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, habits.longest_pause_s)
            self.restarts += 1
            try:
                await self.begin()
            except NotStarted as error:
                self._log(words.is_absent, reason=str(error))
            else:
                if words.is_back:
                    more = {} if self._fields is None else self._fields(self.said)
                    self._log(words.is_back, **more, restarts=self.restarts)

    async def _first_word(self, child: Process, within_s: float) -> str:
        """What it says behind READY. Raises NotStarted, as whatever else comes between when it has ended."""
        assert child.stdout is not None
        words = self._words
        try:
            async with asyncio.timeout(within_s):
                line = await child.stdout.readline()
            word = line.decode("utf-8", "replace").strip()
            ready, _, said = word.partition(" ")
            if ready == READY:
                return said
            reason = word.removeprefix(FAILED)
            raise NotStarted(f"{words.fails}{reason}" if reason else f"{words.it} ended before it was ready")
        except BaseException as fault:
            await _kill(child)
            if isinstance(fault, TimeoutError):
                raise NotStarted(f"{words.it} is not ready after {within_s:.0f} s") from None
            if isinstance(fault, ValueError):  # longer than MAX_WORD
                raise NotStarted(f"{words.it} does not say that it is ready") from None
            raise


async def launch(
    module: str, *words: str, stdin: int = DEVNULL, stdout: int = DEVNULL, stderr: int | None = None,
    pass_fds: tuple[int, ...] = (), process_group: int | None = None,
) -> Process:  # fmt: skip
    """A program of ours as a process of its own. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, *words, stdin=stdin, stdout=stdout, stderr=stderr,
        pass_fds=pass_fds, process_group=process_group, limit=MAX_WORD,
    )  # fmt: skip


async def _last_words(stream: asyncio.StreamReader) -> str:
    return (await stream.read(MAX_WORD)).decode("utf-8", "replace").strip()


async def _kill(child: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    await child.wait()
