"""Takes a changed configuration while the node runs: whole, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import final

from engine.config import Config, ConfigError, load
from engine.config.restart import changes, placed_changes, restart_faults
from engine.core.settings import CoreSettings
from engine.deciding.expects import failing_expects
from engine.listening import tls_contexts
from engine.store.errors import StoreError
from engine.store.rows import utc_text
from sipstack.location import LookupFailed

Log = Callable[..., None]
Take = Callable[[Config, CoreSettings], Awaitable[None]]


class ReloadRefused(Exception):
    """Nothing has changed; one line for each reason."""


@final
class Reload:
    """For one node. `reload` may be asked for while one is at work: they come one after the other."""

    def __init__(self, file: Path | None, config: Config, take: Take, info: Log, warning: Log) -> None:
        """`file` is what the command line has named, `config` what was read from there.

        `take` puts another one in force that was found good, or raises and has changed nothing: ConfigError,
        LookupFailed, StoreError or ReloadRefused.
        """
        self._file = file
        self._config = config
        self._take_up = take
        self._info = info
        self._warning = warning
        self._read_at_s = time.time()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[dict[str, object]] | None = None
        self._is_wanted = False  # once more, when the task is done

    def signalled(self) -> None:
        """SIGHUP. Any number of them while one reload is at work make one more."""
        if self._task is not None and not self._task.done():
            self._is_wanted = True
            return
        self._is_wanted = False
        self._task = asyncio.create_task(self.reload())
        self._task.add_done_callback(self._look_again)

    async def stop(self) -> None:
        """No more of them."""
        self._is_wanted = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def reload(self) -> dict[str, object]:
        """The answer to `veil700 reload`: what has changed, or why nothing has."""
        async with self._turn:
            try:
                changed = await self._take()
            except ReloadRefused as refused:
                faults = str(refused).splitlines()
                for fault in faults:
                    self._warning("configuration not reloaded, nothing has changed", reason=fault)
                return self._answer([], faults)
        self._info("configuration reloaded", changed="; ".join(changed) or "nothing in the file")
        return self._answer(changed, [])

    async def rehearse(self) -> dict[str, object]:
        """The answer to `veil700 reload --dry-run`: what is in force, what a reload would change, what it would not
        take and why. Nothing is applied, and no DNS is asked."""
        async with self._turn:
            try:
                config = await asyncio.to_thread(load, self._file)
                await asyncio.to_thread(tls_contexts, config)
            except ConfigError as error:
                return {**self.in_force(), "changed": [], "faults": str(error).splitlines()}
            faults = await asyncio.to_thread(restart_faults, self._config, config)
            faults += await asyncio.to_thread(failing_expects, config, time.time())
            changed = await asyncio.to_thread(placed_changes, self._config, config)
        return {**self.in_force(), "changed": changed, "faults": faults}

    def _answer(self, changed: list[str], faults: list[str]) -> dict[str, object]:
        return {"reloaded": not faults, "file": str(self._config.path), "changed": changed, "faults": faults}

    def status(self) -> dict[str, object]:
        """What is in force, for `veil700 status`."""
        return {"config": str(self._config.path), "config_read": utc_text(self._read_at_s)}

    def in_force(self) -> dict[str, object]:
        """What new calls find: the file, and what it said when it was read."""
        return {"config": str(self._config.path), "text": self._config.text}

    def _look_again(self, done: asyncio.Task[dict[str, object]]) -> None:
        if not done.cancelled() and (fault := done.exception()) is not None:
            self._warning("configuration not reloaded", kind=type(fault).__name__)
        if self._is_wanted:
            self.signalled()

    async def _take(self) -> list[str]:
        """Raises ReloadRefused."""
        try:
            config, settings, changed = await asyncio.to_thread(self._read)
            await self._take_up(config, settings)
        except (ConfigError, LookupFailed, StoreError) as error:
            raise ReloadRefused(str(error)) from None
        self._config = config
        self._read_at_s = time.time()
        return changed

    def _read(self) -> tuple[Config, CoreSettings, list[str]]:
        """What the file says, and what of it is new; for a thread, since it may be long.

        Certificates are tried here, before the inventory is applied for good. Raises ConfigError.
        """
        config = load(self._file)
        if faults := restart_faults(self._config, config):
            raise ReloadRefused("\n".join(faults))
        tls_contexts(config)
        if failing := failing_expects(config, time.time()):
            raise ReloadRefused("\n".join(failing))
        return config, config.core_settings(), changes(self._config, config)
