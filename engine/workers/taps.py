"""The messages of all workers as one source for captures: in the order of time, and each absence of a worker told."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import secrets
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final, final

from engine.capture.backlog import MAX_BYTES, MAX_MESSAGES, Backlog, Captured
from engine.capture.feed import FEED, LOOK_S, PARTIES, Told, read_told
from engine.capture.tapped import Parties
from engine.workers.worker import Worker, WorkerGone

# What the others have told waits so long for a worker that tells nothing; then its messages come behind theirs.
PATIENCE_S: Final = 0.5

# A capture waits so long for the first word of each worker before it begins.
_BEGIN_S: Final = 2.0

# One that is away is asked again so soon.
_AGAIN_S: Final = 0.05

_SECRET_BYTES: Final = 32


@final
class _Fed:
    """What is known of one worker while somebody captures."""

    __slots__ = ("before", "begun", "came", "is_there", "lost", "parties", "until_s", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.begun = asyncio.Event()  # it has told something, or is known to be away
        self.is_there = False
        self.until_s = 0.0
        self.lost = 0
        self.parties: list[Parties] = []  # of its calls, when it was asked last
        self.before: list[Parties] = []  # ... of those of the process before: what that one told may wait still
        self.came = 0  # so many processes of it have told something


@final
class Taps:
    """For one supervisor; `engine.capture.tapped.Source`. While nobody captures, no worker is asked for anything."""

    behind_s: Final = 4 * LOOK_S

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.secret: Final = secrets.token_hex(_SECRET_BYTES)
        self._workers = workers
        self._backlogs: list[Backlog] = []
        self._feds: list[_Fed] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._held: list[tuple[float, int, Captured]] = []  # a heap; of one time the one that came first
        self._octets = 0  # of what is held
        self._came = 0

    async def open(self, backlog: Backlog) -> None:
        """As `Source.open`. A worker that is away is a gap from the start on."""
        self._backlogs.append(backlog)
        if not self._tasks:
            self._feds = [_Fed(worker) for worker in self._workers]
            self._tasks = [asyncio.create_task(self._follow(fed)) for fed in self._feds]
        away = [(fed, fed.came) for fed in self._feds if not fed.is_there]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BEGIN_S):
                for fed in self._feds:
                    await fed.begun.wait()
        backlog.gaps += sum(fed.came == came for fed, came in away)  # who has come and gone since is one already

    def close(self, backlog: Backlog) -> None:
        """As `Source.close`. What is held is in the backlog then."""
        if backlog not in self._backlogs:
            return
        for *_, message in sorted(self._held):
            backlog.add(message)
        self._backlogs.remove(backlog)
        if not self._backlogs:
            for task in self._tasks:
                task.cancel()
            self._tasks, self._held, self._octets = [], [], 0

    async def parties(self) -> list[Parties]:
        """As `Source.parties`; those of a worker that is away, or does not answer, as it has told them last."""
        await asyncio.gather(*[self._ask_again(fed) for fed in self._feds if fed.is_there])
        return [one for fed in self._feds for one in (*fed.before, *fed.parties)]

    async def _ask_again(self, fed: _Fed) -> None:
        try:
            await self._ask(fed)
        except WorkerGone:
            self._turn()  # to be asked once more

    async def _ask(self, fed: _Fed) -> None:
        answer: dict[str, Any] = await fed.worker.ask(PARTIES, {"secret": self.secret})
        fed.parties = [(x, a, b) for x, a, b in answer["parties"]]

    # -- what workers tell -------------------------------------------------------------------------------------------

    async def _follow(self, fed: _Fed) -> None:
        """Until nobody captures any more, or the worker ends with the node."""
        is_ended = False
        while not is_ended:
            with contextlib.suppress(WorkerGone):
                async with aclosing(fed.worker.follow(FEED, {"secret": self.secret})) as answers:
                    async for answer in answers:
                        is_ended = "end" in answer
                        if is_ended:
                            break
                        if not fed.is_there:
                            fed.before = fed.parties
                            await self._ask(fed)  # what it tells is masked by them, also if it is gone by then
                        self._take(fed, read_told(answer))
            self._miss(fed, is_ended)
            await asyncio.sleep(_AGAIN_S)

    def _take(self, fed: _Fed, told: Told) -> None:
        if not fed.is_there:
            fed.is_there, fed.lost = True, 0
            fed.came += 1
            fed.begun.set()
            self._turn()
        for backlog in self._backlogs:
            backlog.miss(told.lost - fed.lost)
        fed.until_s, fed.lost = told.until_s, told.lost
        for message in told.messages:
            self._came += 1
            self._octets += len(message.data)
            heapq.heappush(self._held, (message.at_s, self._came, message))
        self._release()

    def _miss(self, fed: _Fed, is_ended: bool) -> None:
        """It tells nothing any more: once for each time, and none where it has ended with the node."""
        fed.begun.set()
        if fed.is_there:
            fed.is_there = False
            self._turn()
            for backlog in self._backlogs:
                backlog.gaps += not is_ended
        self._release()

    def _turn(self) -> None:
        for backlog in self._backlogs:
            backlog.turns += 1

    def _release(self) -> None:
        """What is older than all that may still come goes to the captures.

        So does what finds no room to be held, and what is later than now: the clock was set back.
        """
        now_s = time.time()
        bound_s = min([max(fed.until_s, now_s - PATIENCE_S) for fed in self._feds if fed.is_there], default=now_s)
        held = self._held
        while held and (
            held[0][0] <= bound_s or held[0][0] > now_s or len(held) > MAX_MESSAGES or self._octets > MAX_BYTES
        ):
            message = heapq.heappop(held)[2]
            self._octets -= len(message.data)
            for backlog in self._backlogs:
                backlog.add(message)
