"""The process of the HTTP API beside the node: started, watched, started again when it dies, and ended with the node.

A call needs nothing of it: when it is gone calls go on, and what is asked over HTTP waits until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from engine.config import Config, ConfigError
from engine.config.checks import Fault
from engine.config.loader import fault_lines
from engine.store.rows import utc_text

START_S: Final = 60.0  # so long it may take to say that it is ready: it reads libraries from a disk that may be slow
STOP_S: Final = 15.0  # so long it may take to end: requests in progress are answered
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0  # who has run so long has not died of its start: the next pause is the first one again
MAX_WORD: Final = 2000  # bytes of what it says

READY: Final = "ready "  # and its URLs: the line on its stdout that says that it answers
FAILED: Final = "failed "  # and the reason: it cannot, and ends

Log = Callable[..., None]


class ApiStartError(Exception):
    """It does not come up; the text is one clear line."""


@final
class ApiChild:
    """For one node with `[api]`."""

    def __init__(self, config_file: Path | None, log: Log) -> None:
        """`config_file` is what the command line has named: the process reads the same."""
        self._config_file = config_file
        self._log = log
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._url = ""
        self._alibaba_url = ""  # of the listener for Alibaba's SDKs, where there is one
        self._since_s = 0.0
        self._restarts = 0
        self._is_ending = False

    async def start(self) -> str:
        """Its URL, once it answers; from now on it is started again when it dies. Raises ApiStartError.

        Who calls `stop` meanwhile has it raise ApiStartError, too. `status` has the URL for Alibaba's SDKs.
        """
        await self._begin()
        if self._is_ending:
            raise ApiStartError("the node ends")
        self._task = asyncio.create_task(self._watch())
        return self._url

    def let_go(self) -> None:
        """From now on it is not started again: whoever ends a node may send its signal to all of its processes."""
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Has it answer what it has begun with, and end."""
        self.let_go()
        if self._task is not None:
            await asyncio.wait({self._task})
        child = self._child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    def status(self) -> dict[str, object]:
        """For `veil700 status`."""
        child = self._child
        is_up = bool(self._url) and child is not None and child.returncode is None
        return {
            "state": "running" if is_up else "down",
            "url": self._url,
            "alibaba_url": self._alibaba_url,
            "pid": child.pid if child is not None and is_up else 0,
            "since": utc_text(self._since_s) if is_up else "",
            "restarts": self._restarts,
        }

    async def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            assert self._child is not None
            status = await self._child.wait()
            self._log("the API process has ended, calls go on", status=status, next_start_s=pause_s)
            if time.time() - self._since_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._restarts += 1
            try:
                await self._begin()
            except ApiStartError as error:
                self._log("the API process does not come up", reason=str(error))
            else:
                more = {"alibaba_url": self._alibaba_url} if self._alibaba_url else {}
                self._log("the API process is back", url=self._url, **more, restarts=self._restarts)

    async def _begin(self) -> None:
        """One process, ready. Its stdin is never written to: that it ends tells the process that the node is gone."""
        self._url = self._alibaba_url = ""
        words = ["--config", str(self._config_file)] if self._config_file is not None else []
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "engine.api", *words,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_WORD,
            )  # fmt: skip
        except OSError as error:
            raise ApiStartError(f"cannot start the API process: {error.strerror}") from None
        word = await self._first_word(self._child)
        if not word.startswith(READY):
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()
            reason = word.removeprefix(FAILED) or "the API process ended before it was ready"
            raise ApiStartError(reason)
        self._url, _, self._alibaba_url = word.removeprefix(READY).partition(" ")
        self._since_s = time.time()

    async def _first_word(self, child: asyncio.subprocess.Process) -> str:
        assert child.stdout is not None
        try:
            line = await asyncio.wait_for(child.stdout.readline(), START_S)
        except TimeoutError:
            return f"{FAILED}the API process is not ready after {START_S:.0f} s"
        except ValueError:  # longer than MAX_WORD
            return f"{FAILED}the API process does not say that it is ready"
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise
        return line.decode("utf-8", "replace").strip()


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
