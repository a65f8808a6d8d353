"""Another configuration in all workers, or in none: each prepares, and only when all can does any of them take it."""

from __future__ import annotations

from typing import final

from engine.beside import Beside
from engine.config import Config
from engine.core.settings import CoreSettings
from engine.reload import ReloadRefused
from engine.workers.taking import digest_of
from engine.workers.team import Answer, Team
from engine.workers.worker import WorkerGone


@final
class GroupReload:
    """For one supervisor. `config` is what is in force: a worker that is started meanwhile runs with it."""

    def __init__(self, config: Config, team: Team, beside: Beside) -> None:
        self.config = config
        self._team = team
        self._beside = beside

    async def take(self, config: Config, _settings: CoreSettings) -> None:
        """For `Reload`: raises ReloadRefused and StoreError, and then nothing has changed in any worker."""
        wanted = {"digest": digest_of(config)}
        try:
            _must(await self._ask("prepare_reload", wanted))
            await self._beside.take(config)
        except BaseException:
            await self._team.ask_those_there("abandon_reload")
            raise
        self.config = config  # whoever is started from now on has it
        self._beside.follow(config)
        answers = await self._team.ask_those_there("take_reload", wanted)
        _must([answer for answer in answers if answer is not None])

    async def _ask(self, verb: str, more: Answer) -> list[Answer]:
        try:
            return await self._team.ask_all(verb, more)
        except WorkerGone as error:
            raise ReloadRefused(str(error)) from None


def _must(answers: list[Answer]) -> None:
    faults = dict.fromkeys(fault for answer in answers for fault in answer["faults"])
    if faults:
        raise ReloadRefused("\n".join(faults))
