"""The composition root: the one place that builds a node and knows who needs whom."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path
from typing import Any, Final, final

from engine.beside import Beside
from engine.config import Config, ConfigError, load
from engine.control.protocol import socket_path
from engine.control.server import ControlServer
from engine.core.settings import CoreSettings
from engine.keeper import NotStarted
from engine.listening import BoundSockets, ListenError
from engine.logging import set_up_logging
from engine.recording.frames import Hello
from engine.reload import Reload
from engine.sip_part import SipPart
from engine.starting import StartError, start_control, tell, tell_failing_expects
from engine.stopping import Stopping
from engine.store.errors import StoreError
from engine.workers.places import worker_count
from sipstack.aio.loop import NodeLoop

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2


def run_node(config_file: Path | None) -> int:
    """Runs a node in the foreground until SIGTERM or SIGINT; the exit status of `veil700 run`."""
    try:
        config = load(config_file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    log = set_up_logging(config.log.level, config.log.format)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the numbers of all calls in clear
    try:
        with asyncio.Runner(loop_factory=NodeLoop) as runner:
            runner.run(_run(config_file, config, log))
    except ConfigError as error:  # of what is in the files that it names
        print(error, file=sys.stderr)
        return USAGE
    except (ListenError, NotStarted, StartError, StoreError) as error:
        print("\n".join(f"veil700: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return FAILED
    return DONE


async def _run(config_file: Path | None, config: Config, log: Any) -> None:
    workers = worker_count(config.node.workers)
    if workers == 1:
        await _Node(config_file, config, log).run()
    else:
        from engine.workers.supervisor import Supervisor  # of which a node that serves its calls itself loads nothing

        await Supervisor(config_file, config, workers, log).run()


@final
class _Node:
    """One `veil700 run` that serves its calls itself, from its sockets to its last record."""

    def __init__(self, config_file: Path | None, config: Config, log: Any) -> None:
        self._config_file = config_file
        self._config = config
        self._log = log

    async def run(self) -> None:
        """Starts, serves, drains."""
        config, log = self._config, self._log
        part = SipPart(config, BoundSockets(config), log)
        beside = Beside(self._config_file, config, log)
        try:
            cipher = await beside.open_stores()
            tell_failing_expects(config, log)
            api_url = asyncio.ensure_future(beside.start_api())  # it begins while the journal is read
            await asyncio.sleep(0)
            await beside.start_records()
            await part.open(cipher, beside.lobby, Hello(worker=0, workers=1, begins=True))
        except BaseException:
            await beside.stop()
            await part.stop()
            await beside.stop_records()
            raise
        await self._serve(part, beside, api_url)

    async def _serve(self, part: SipPart, beside: Beside, api_url: asyncio.Future[str]) -> None:
        config, log = self._config, self._log

        async def take(changed: Config, settings: CoreSettings) -> None:
            try:
                prepared = await part.prepare(changed, settings)
                await beside.take(changed)
                part.take(prepared)
            except BaseException:
                part.abandon()
                raise
            beside.follow(changed)

        reload = Reload(self._config_file, config, take, log.info, log.warning)
        verbs = part.verbs | {
            "status": lambda: {**part.status(), **reload.status(), **beside.status()},
            "reload": reload.reload, "rehearse_reload": reload.rehearse,
        }  # fmt: skip
        asking = part.asking | {"standing": lambda asked: {**part.runner.standing(asked), **reload.in_force()}}
        control = ControlServer(socket_path(config.data_dir), verbs, asking, part.streams)
        stopping = Stopping()
        try:
            await start_control(control)
            api_part = await api_url
            part.serve()
            stopping.install(reload.signalled)
            beside.start_daily()
            tell(f"veil700 ready sip={part.shown}{api_part}")
            await stopping.wait()
            beside.let_go()
            await stopping.unless_second(part.drain())
            part.tell_left()
        finally:
            await reload.stop()
            await beside.stop()
            await control.close()
            await beside.let_records_go()
            await part.stop()
            await beside.stop_records()
