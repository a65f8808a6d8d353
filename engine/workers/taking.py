"""Another configuration in a worker: it prepares when the supervisor asks all of them to, and takes when all can."""

from __future__ import annotations

import asyncio
import hashlib
from typing import final

from engine.config import Config, ConfigError, load
from engine.control.server import AskingVerb, Verb
from engine.listening import tls_contexts
from engine.sip_part import Prepared, SipPart
from sipstack.location import LookupFailed

Answer = dict[str, object]


def digest_of(config: Config) -> str:
    """Equal where a file, and the passwords that it names, say the same."""
    secrets = [*(one.secret for one in config.peer), *(one.secret for one in config.account)]
    return hashlib.sha256(repr((config.text, secrets)).encode()).hexdigest()


@final
class Taking:
    """For one worker. What is prepared is what the supervisor has read: it says so by a digest."""

    def __init__(self, config: Config, part: SipPart) -> None:
        self._config = config
        self._part = part
        self._prepared: Prepared | None = None

    @property
    def verbs(self) -> dict[str, Verb]:
        """Of the control socket: those that need no more than their name."""
        return {"abandon_reload": self._abandon}

    @property
    def asking(self) -> dict[str, AskingVerb]:
        """Those that must be told more."""
        return {"prepare_reload": self._prepare, "take_reload": self._take}

    async def _prepare(self, request: dict[str, object]) -> Answer:
        try:
            config = await asyncio.to_thread(self._read, str(request.get("digest")))
            self._prepared = await self._part.prepare(config, config.core_settings())
        except (ConfigError, LookupFailed) as error:
            self._part.abandon()
            return {"faults": str(error).splitlines()}
        return {"faults": []}

    def _read(self, digest: str) -> Config:
        config = load(self._config.path)
        if digest_of(config) != digest:
            raise ConfigError(f"{config.path}: changed while it was read")
        tls_contexts(config)
        return config

    async def _take(self, request: dict[str, object]) -> Answer:
        if self._prepared is None:  # started again behind the others' preparing, with what was in force then
            refused = await self._prepare(request)
            if self._prepared is None:
                return refused
        prepared, self._prepared = self._prepared, None
        try:
            self._part.take(prepared)
        except ConfigError as error:
            return {"faults": str(error).splitlines()}
        self._config = prepared.config
        return {"faults": []}

    def _abandon(self) -> Answer:
        self._prepared = None
        self._part.abandon()
        return {"faults": []}
