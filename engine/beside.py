"""What a node has once, however many processes serve its calls: stores, the daily job, the processes beside it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, final

from engine.api_child import ApiChild
from engine.config import Config
from engine.config.api import EVENTS_DAYS
from engine.daily import DailyJob
from engine.keeper import NotStarted
from engine.recording.child import RecordsChild
from engine.starting import StartError, boot_id
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher, open_key
from engine.store.inventory import apply_inventory, read_inventory


@final
class Beside:
    """For one `veil700 run`; made inside its loop."""

    def __init__(self, config_file: Path | None, config: Config, log: Any) -> None:
        """`config_file` is what the command line has named."""
        self._config = config
        self._log = log
        self._api = ApiChild(config_file, log.warning) if config.api is not None else None
        self._records = RecordsChild(
            config.data_dir, config.node.name, boot_id(), config.cdr.commit_window_ms, config.api is not None,
            log.warning,
        )  # fmt: skip
        self._daily = DailyJob(
            config.node.name, config.data_dir, config.cdr.retention_days,
            EVENTS_DAYS if config.api is None else config.api.events_days, config.archive_dir, log.info, log.error,
        )  # fmt: skip

    async def open_stores(self) -> NumberCipher:
        """Key, schemas, inventory; makes what is missing. Raises StoreError."""
        config = self._config
        self._cipher = cipher = open_key(config.data_dir)
        async with open_bindings(config.data_dir / "bindings.db", cipher):
            pass
        apply_new_inventory(config, cipher)
        return cipher

    async def start_records(self) -> None:
        """The process that writes records is there, or will be. Raises StartError."""
        try:
            await self._records.start()
        except NotStarted as error:
            raise StartError(f"cannot start the process that writes records: {error}") from None

    @property
    def lobby(self) -> socket.socket:
        """Where who serves calls asks for a stream to it."""
        return self._records.lobby

    async def let_records_go(self) -> None:
        """That process is not started again; what is kept in memory has its last chance, whatever became of it."""
        await self._records.let_go()

    async def stop_records(self) -> None:
        """Nobody has a stream to it any more: it ends."""
        await self._records.stop()

    async def start_api(self) -> str:
        """Its part of the line that says that the node is ready. Raises NotStarted."""
        if self._api is None:
            return ""
        url = await self._api.start()
        if alibaba_url := self._api.status()["alibaba_url"]:
            self._log.info("Alibaba's operations are offered", url=alibaba_url)
        return f" api={url}"

    def start_daily(self) -> None:
        """The daily job runs from now on."""
        self._daily.start()

    async def take(self, config: Config) -> None:
        """What another configuration says of the inventory is in the store. Raises ConfigError and StoreError."""
        await asyncio.to_thread(apply_new_inventory, config, self._cipher)

    def follow(self, config: Config) -> None:
        """Another configuration is in force."""
        self._daily.follow(config.cdr.retention_days, config.archive_dir)

    def status(self) -> dict[str, object]:
        """Its part of `veil700 status`."""
        writer: dict[str, object] = {"writer": self._records.status()}
        return writer if self._api is None else writer | {"api": self._api.status()}

    def let_go(self) -> None:
        """The node ends: the process of the API is not started again."""
        if self._api is not None:
            self._api.let_go()

    async def stop(self) -> None:
        """Ends the daily job and the process of the API."""
        await self._daily.stop()
        if self._api is not None:
            await self._api.stop()


def apply_new_inventory(config: Config, cipher: NumberCipher) -> None:
    """What the file of the inventory says and the store does not know yet. Raises ConfigError and StoreError."""
    if config.inventory_file is not None:
        apply_inventory(config.data_dir / "bindings.db", cipher, read_inventory(config.inventory_file), only_new=True)
