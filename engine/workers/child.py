"""The process of one worker: `python -m engine.workers.child DESCRIPTOR PARENT`, started by its supervisor alone.

It is told to end by a word on its stdin, not by a signal: whoever ends a node may send its signal to all of its
processes, and these go in the order that the supervisor knows.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from typing import Any, Final, final

from engine.capture.feed import FEED, PARTIES, Feed
from engine.config import Config, ConfigError
from engine.control.server import ControlServer
from engine.keeper import FAILED, READY
from engine.listening import BoundSockets, ListenError
from engine.logging import set_up_logging
from engine.recording.frames import Hello
from engine.sip_part import SipPart
from engine.starting import StartError
from engine.steering.passed import read_passed
from engine.store.crypto import open_key
from engine.store.errors import StoreError
from engine.workers.counts import SharedCounts
from engine.workers.description import Description, read_description
from engine.workers.lifeline import die_with
from engine.workers.places import worker_socket
from engine.workers.taking import Taking
from engine.workers.worker import DRAIN
from sipstack.aio.loop import NodeLoop

DONE: Final = 0
FAILURE: Final = 1


def main(arguments: list[str]) -> int:
    """Serves until it is told to end; the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    descriptor, parent = (int(word) for word in arguments)
    die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the numbers of all calls in clear
    description = read_description(descriptor)
    try:
        config = description.config()
        log = set_up_logging(config.log.level, config.log.format).bind(worker=read_passed(description.sockets).worker)
        with asyncio.Runner(loop_factory=NodeLoop) as runner:
            runner.run(_Child(description, config, log).run())
    except (ConfigError, ListenError, StartError, StoreError) as error:
        _say(f"{FAILED}{'; '.join(str(error).splitlines())}")
        return FAILURE
    return DONE


@final
class _Child:
    def __init__(self, description: Description, config: Config, log: Any) -> None:
        self._description = description
        self._config = config
        self._log = log

    async def run(self) -> None:
        """Takes over, serves, drains."""
        config, description = self._config, self._description
        words = await _words()
        passed = read_passed(description.sockets)
        part = SipPart(config, BoundSockets(config, passed), self._log)
        part.share_limits(SharedCounts(description.counts_fd, passed.worker, passed.workers))
        lobby = socket.socket(fileno=description.records_fd)
        taking = Taking(config, part)
        try:
            hello = Hello(passed.worker, passed.workers, begins=True)
            await part.open(open_key(config.data_dir), lobby, hello)
            if description.is_draining:
                part.runner.take_no_more()
            feed = Feed(part.tapped, description.secret)
            control = ControlServer(
                worker_socket(config.data_dir, passed.worker),
                part.verbs | taking.verbs | {"status": part.status},
                part.asking | taking.asking | {"standing": part.runner.standing, PARTIES: feed.parties},
                {FEED: feed.run},
            )
            try:
                await control.start()
                part.serve()
                _say(READY)
                await self._until_told(words, part)
            finally:
                await control.close()
        finally:
            await part.stop()

    async def _until_told(self, words: asyncio.StreamReader, part: SipPart) -> None:
        if await words.readline() == DRAIN:
            draining, told = asyncio.ensure_future(part.drain()), asyncio.ensure_future(words.readline())
            await asyncio.wait({draining, told}, return_when=asyncio.FIRST_COMPLETED)
            for task in (draining, told):
                task.cancel()
            await asyncio.gather(draining, told, return_exceptions=True)
            part.tell_left()


async def _words() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
