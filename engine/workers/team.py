"""All workers of a node together: started, asked, drained; what one node answers to what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar, final

from engine.workers.merging import calls_of, standing_of, status_of
from engine.workers.worker import Worker, WorkerGone

Answer = dict[str, Any]
_T = TypeVar("_T")


@final
class Team:
    """For one supervisor."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers: Final = workers
        self.is_draining = False  # a worker that is started again takes no calls either

    async def start(self) -> None:
        """Returns when all serve. Raises NotStarted; the others must then be ended."""
        await _all([worker.start() for worker in self.workers])

    async def drain(self) -> None:
        """Has each wait for its calls, and end."""
        self.is_draining = True
        await _all([worker.drain() for worker in self.workers])

    async def end(self) -> None:
        """Ends those that are left."""
        await _all([worker.end() for worker in self.workers])

    async def ask_all(self, verb: str, more: Mapping[str, object] | None = None) -> list[Answer]:
        """The answers of all. Raises WorkerGone when one has none."""
        return await _all([worker.ask(verb, more) for worker in self.workers])

    async def ask_those_there(self, verb: str, more: Mapping[str, object] | None = None) -> list[Answer | None]:
        """The answers in the order of the workers; None of one that does not answer now."""

        async def ask(worker: Worker) -> Answer | None:
            try:
                return await worker.ask(verb, more)
            except WorkerGone:
                return None

        return await _all([ask(worker) for worker in self.workers])

    # -- the verbs of the control socket -----------------------------------------------------------------------------

    async def status(self) -> Answer:
        """The sums, and each worker by itself; raises WorkerGone while none answers."""
        answers = await self.ask_those_there("status")
        told = [
            {**worker.told(), **({name: answer[name] for name in _SHOWN} if answer is not None else {})}
            for worker, answer in zip(self.workers, answers, strict=True)
        ]
        merged = status_of(_those(answers))
        merged["state"] = "draining" if self.is_draining else "running"
        return {**merged, "workers": told}

    async def calls(self) -> Answer:
        """What is in progress in all of them."""
        return calls_of(_those(await self.ask_those_there("calls")))

    async def standing(self, request: Answer) -> Answer:
        """What decides beside configuration and store; raises WorkerGone while one does not answer."""
        return standing_of(await self.ask_all("standing", request))

    async def release(self, request: Answer) -> Answer:
        """Ends the calls that a kill switch is about.

        Raises WorkerGone when a worker could not be asked, or refuses; the calls of the others have ended then.
        """
        answers = await self.ask_all("release", request)
        return {"released": sum(answer["released"] for answer in answers)}

    async def take_no_more(self) -> Answer:
        """New calls and messages are refused from now on."""
        self.is_draining = True
        return await self._intake("drain")

    async def take_again(self) -> Answer:
        """They are taken again."""
        self.is_draining = False
        return await self._intake("resume")

    async def _intake(self, verb: str) -> Answer:
        answers = _those(await self.ask_those_there(verb))
        state = "draining" if self.is_draining else "running"
        return {"state": state, "in_progress": sum(answer["in_progress"] for answer in answers)}


# What of its own status is shown of each worker.
_SHOWN: Final = ("uptime_s", "uss_kb", "calls", "attempts", "records", "wait_ms", "complete")


def _those(answers: Sequence[Answer | None]) -> list[Answer]:
    there = [answer for answer in answers if answer is not None]
    if not there:
        raise WorkerGone("no worker answers")
    return there


async def _all(work: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results, when all have ended; then the first fault."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
