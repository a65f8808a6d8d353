"""The supervisor of a node with several workers: it owns the sockets, and all that the node has once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, final

from engine.beside import Beside
from engine.capture.captures import Captures, audit_capture
from engine.config import Config
from engine.control.protocol import socket_path
from engine.control.server import Answer, AskingVerb, ControlServer, StreamVerb, Verb
from engine.recording.child import private_kb
from engine.reload import Reload
from engine.starting import start_control, tell, tell_failing_expects
from engine.steering.shared import SharedSockets
from engine.stopping import Stopping
from engine.store.crypto import NumberCipher
from engine.workers.counts import make_page
from engine.workers.description import Description
from engine.workers.group_reload import GroupReload
from engine.workers.places import worker_socket
from engine.workers.taps import Taps
from engine.workers.team import Team
from engine.workers.worker import Worker, WorkerGone


@final
class Supervisor:
    """One `veil700 run` whose calls are served by its workers, from its sockets to its last record."""

    def __init__(self, config_file: Path | None, config: Config, workers: int, log: Any) -> None:
        """Binds the sockets. `config_file` is what the command line has named. Raises ConfigError and ListenError."""
        self._config_file = config_file
        self._config = config
        self._log = log
        self._sockets = SharedSockets(config, workers, log.warning)
        self._counts = make_page(workers)
        self._beside = Beside(config_file, config, log)
        self._team = Team(
            [
                Worker(place, worker_socket(config.data_dir, place), self._describe, log.warning)
                for place in range(workers)
            ]
        )
        self._taps = Taps(self._team.workers)
        self._reload = GroupReload(config, self._team, self._beside)

    async def run(self) -> None:
        """Starts, supervises, drains."""
        beside, team = self._beside, self._team
        try:
            cipher = await beside.open_stores()
            tell_failing_expects(self._config, self._log)
            await beside.start_records()
            api_url = asyncio.ensure_future(beside.start_api())
            await team.start()
            await self._serve(await api_url, cipher)
        finally:
            await beside.let_records_go()
            await team.end()
            await beside.stop()
            await beside.stop_records()
            self._sockets.close()
            os.close(self._counts)

    async def _serve(self, api_part: str, cipher: NumberCipher) -> None:
        config, log, beside, team = self._config, self._log, self._beside, self._team
        reload = Reload(self._config_file, config, self._reload.take, log.info, log.warning)
        control = ControlServer(
            socket_path(config.data_dir), self._verbs(reload), self._asking(reload), self._streams(cipher)
        )
        stopping = Stopping()
        try:
            await start_control(control)
            stopping.install(reload.signalled)
            beside.start_daily()
            tell(f"veil700 ready sip={self._sockets.shown}{api_part}")
            await stopping.wait()
            beside.let_go()
            await stopping.unless_second(team.drain())
        finally:
            await reload.stop()
            await control.close()

    def _describe(self, place: int, descriptors: ExitStack) -> Description:
        """What a worker that is started now is to know."""
        config = self._reload.config
        return Description(
            config_path=str(config.path),
            data_dir=str(config.data_dir),
            config_text=config.text,
            is_draining=self._team.is_draining,
            counts_fd=self._counts,
            records_fd=self._beside.lobby.fileno(),
            secret=self._taps.secret,
            sockets=self._sockets.passed(place).told(),
        )

    # -- the control socket ------------------------------------------------------------------------------------------

    def _verbs(self, reload: Reload) -> dict[str, Verb]:
        team = self._team

        async def status() -> Answer:
            told = await team.status()
            return {**told, **reload.status(), **self._beside.status(), "supervisor_uss_kb": private_kb(os.getpid())}

        verbs: dict[str, Callable[[], Awaitable[Answer]]] = {
            "status": status, "calls": team.calls, "drain": team.take_no_more, "resume": team.take_again,
        }  # fmt: skip
        told: dict[str, Verb] = {name: _told(verb) for name, verb in verbs.items()}
        return told | {"reload": reload.reload, "rehearse_reload": reload.rehearse}

    def _asking(self, reload: Reload) -> dict[str, AskingVerb]:
        async def standing(request: Answer) -> Answer:
            return {**await self._team.standing(request), **reload.in_force()}

        return {"standing": _told(standing), "release": _told(self._team.release)}

    def _streams(self, cipher: NumberCipher) -> dict[str, StreamVerb]:
        captures = Captures(
            self._config.listeners, self._taps, lambda: [peer.name for peer in self._reload.config.peer],
            partial(audit_capture, self._config.data_dir / "bindings.db", cipher),
        )  # fmt: skip
        return {"capture": captures.run}


def _told(verb: Any) -> Any:
    """The verb, with what its workers cannot say as the answer."""

    async def answer(*request: Answer) -> Answer:
        try:
            told: Answer = await verb(*request)
        except WorkerGone as error:
            return {"error": str(error)}
        return told

    return answer
