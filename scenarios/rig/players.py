"""Our own player as caller or callee: in this process, in a loop and thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from scenarios.rig.engine import ENDS_S, TALK_MS, Counted
from scenarios.rig.errors import RigError
from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import ScenarioError, SettingsError
from sipstack.scenario.player import Player
from sipstack.scenario.report import Exchanged, Report
from sipstack.scenario.settings import Mode, PlayerSettings, TlsSettings, Wire

_EPOCH_S: Final = time.time() - time.monotonic()  # one for both sides: what they saw is put into one order
_MODES: Final = {"udp": Mode.UDP_ONE, "tcp": Mode.TCP_ONE, "tls": Mode.TLS_ONE}


class PlayerRun:
    """One player. It ends by itself after `calls` calls."""

    def __init__(
        self, file: Path, host: str, *, port: int = PORT, target: str = "", rows: Iterable[Sequence[str]] = (),
        calls: int = 1, transport: str = "udp", pki: Path | None = None, aside: Path | None = None,
    ) -> None:  # fmt: skip
        """`target` is where a caller calls; `rows` are the fields for injection; `pki` is the folder of the
        certificate that it shows and wants to see, over TLS; `aside` is for requests of no call. Raises RigError.
        """
        tls = TlsSettings() if pki is None else TlsSettings(pki / "node.crt", pki / "node.key", pki / "node.crt")
        try:
            scenario, beside = load_scenario(file), load_scenario(aside) if aside is not None else None
        except ScenarioError as error:
            raise RigError(f"{file}: {error}") from None
        settings = PlayerSettings(
            local_ip=host, local_port=port, remote_ip=target, rows=tuple(tuple(row) for row in rows), max_calls=calls,
            timeout_s=ENDS_S, pause_ms=TALK_MS, wire=Wire(_MODES[transport], tls), out_of_call=beside,
        )  # fmt: skip
        try:
            self._player = Player(scenario, settings, self._observe)
        except (ScenarioError, SettingsError) as error:
            raise RigError(f"{file}: {error}") from None
        self._seen: list[Seen] = []
        self._opened = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"player-{file.stem}")
        self._report: Future[Report] | None = None

    @property
    def messages(self) -> list[Seen]:
        """All that it has sent and received, in order."""
        return list(self._seen)

    def start(self) -> PlayerRun:
        """Returns once it takes messages. Raises RigError."""
        self._report = self._thread.submit(asyncio.run, self._play())
        self._report.add_done_callback(lambda _: self._opened.set())
        self._opened.wait()
        if self._loop is None:
            self._thread.shutdown()  # it has failed to bind
            raise RigError(f"the player does not start: {self._report.exception()}")
        return self

    def wait(self) -> Counted:
        """Its figures, once it has ended."""
        assert self._report is not None
        try:
            report = self._report.result()
        except Exception as error:
            raise RigError(f"the player failed: {type(error).__name__}: {error}") from error
        return Counted(
            report.exit_code, report.successful, report.failed, report.retransmissions,
            report.unexpected + report.out_of_call, "\n".join(report.failures),
        )  # fmt: skip

    def close(self) -> None:
        """Ends it if it still runs."""
        if self._report is not None and self._loop is not None and not self._report.done():
            self._loop.call_soon_threadsafe(self._player.stop)
        self._thread.shutdown()

    async def _play(self) -> Report:
        await self._player.open()
        self._loop = asyncio.get_running_loop()
        self._opened.set()
        return await self._player.run()

    def _observe(self, exchanged: Exchanged) -> None:
        self._seen.append(Seen(_EPOCH_S + exchanged.at_s, exchanged.is_sent, exchanged.data))
