"""The process of the HTTP API beside the node: it comes with it, comes back when it dies, and ends with the node.

A call needs nothing of it: when it is gone calls go on, and what is asked over HTTP waits until it is back.
"""

from __future__ import annotations

import ssl
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final, final

from engine.config import Config, ConfigError
from engine.config.checks import Fault
from engine.config.loader import fault_lines
from engine.keeper import Habits, Keeper, Log, Words, launch

STOP_S: Final = 15.0  # so long it may take to end: requests in progress are answered

# It reads libraries from a disk that may be slow.
HABITS: Final = Habits(ready_s=60.0, first_pause_s=0.5, longest_pause_s=30.0, steady_s=60.0)
WORDS: Final = Words(
    has_ended="the API process has ended, calls go on",
    is_absent="the API process does not come up",
    is_back="the API process is back",
    cannot_start="cannot start the API process: ",
    fails="",
    it="the API process",
)


@final
class ApiChild:
    """For one node with `[api]`."""

    def __init__(self, config_file: Path | None, log: Log) -> None:
        """`config_file` is what the command line has named: the process reads the same."""
        self._config_file = config_file
        self._keeper = Keeper(HABITS, WORDS, self._launch, log, _fields)

    async def start(self) -> str:
        """Its URL, once it answers; from now on it is started again when it dies. Raises NotStarted.

        Who calls `stop` meanwhile has it raise NotStarted, too. `status` has the URL for Alibaba's SDKs.
        """
        await self._keeper.start()
        url, _ = _urls(self._keeper.said)
        return url

    def let_go(self) -> None:
        """From now on it is not started again: whoever ends a node may send its signal to all of its processes."""
        self._keeper.let_go()

    async def stop(self) -> None:
        """Has it answer what it has begun with, and end."""
        await self._keeper.stop(Process.terminate, STOP_S)

    def status(self) -> dict[str, object]:
        """For `veil700 status`."""
        keeper = self._keeper
        url, alibaba_url = _urls(keeper.said)
        return {
            "state": keeper.state,
            "url": url,
            "alibaba_url": alibaba_url,
            "pid": keeper.pid,
            "since": keeper.since,
            "restarts": keeper.restarts,
        }

    async def _launch(self) -> Process:
        """Its stdin is never written to: that it ends tells the process that the node is gone."""
        words = ["--config", str(self._config_file)] if self._config_file is not None else []
        return await launch("engine.api", *words, stdin=PIPE, stdout=PIPE)


def _urls(said: str) -> tuple[str, str]:
    """Its own, and that of the listener for Alibaba's SDKs, where there is one."""
    url, _, alibaba_url = said.partition(" ")
    return url, alibaba_url


def _fields(said: str) -> dict[str, object]:
    url, alibaba_url = _urls(said)
    return {"url": url, "alibaba_url": alibaba_url} if alibaba_url else {"url": url}


def tls_context(config: Config) -> ssl.SSLContext | None:
    """What HTTPS is spoken with; None where the API has no certificate. Raises ConfigError."""
    api = config.api
    if api is None or api.certificate is None or api.private_key is None:
        return None
    folder = config.path.parent
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(folder / api.certificate, folder / api.private_key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = f"certificate and key cannot be used: {' '.join(str(error).split())}"
        [line] = fault_lines(config.path, config.text, [Fault(("api", "certificate"), reason)])
        raise ConfigError(line) from None
    return context


def _no_password() -> str:
    raise ValueError("the key is under a password")
