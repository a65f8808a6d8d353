"""What calls ask of their player beside sending messages: the shell, media, texts for twins, other destinations."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field
from typing import Final, final

from sipstack.scenario.call import Call
from sipstack.scenario.commands import (
    CloseConnection,
    Command,
    Media,
    PlayDtmf,
    PlayPcap,
    RtpEcho,
    RtpStream,
    RunCommand,
    SendCmd,
    SetDestination,
)
from sipstack.scenario.ends import Ends
from sipstack.scenario.inbox import End, Inbox
from sipstack.scenario.model import Begins, Scenario, SettingsError
from sipstack.scenario.report import Exchanged
from sipstack.scenario.rtp import Rtp
from sipstack.scenario.settings import Address, PlayerSettings
from sipstack.scenario.tally import Failure
from sipstack.scenario.twin import Twins

# Commands of the shell at once; more of them wait.
MAX_COMMANDS: Final = 32
_COMMAND_ENDS_S: Final = 5.0  # what runs at the end is given that long
# Ports for `[rtpstream_audio_port]`: SIPp's first one, and four a call.
_VIDEO_OFFSET: Final = 2


@final
@dataclass(slots=True, eq=False)
class Live:
    """A call in progress and its way to the other side; `began_s` is monotonic, `user` is 0 without users."""

    call: Call
    end: End
    peer: Address
    began_s: float
    user: int = 0
    circuit: int | None = None
    seen: list[Exchanged] = field(default_factory=list)


@final
class Errands:
    """Carries out commands. A command that cannot be carried out fails its call."""

    def __init__(self, scenario: Scenario, settings: PlayerSettings, ends: Ends, inbox: Inbox) -> None:
        self._settings = settings
        self._ends = ends
        self._twins = Twins(settings.twins, inbox, begins=scenario.begins is not Begins.HEAR_TWIN)
        self._rtp = Rtp(settings.media_ip or settings.local_ip, scenario.path.parent)
        self._stream_ports: dict[str, int] = {}
        self._next_stream_port = 0
        self._shells: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_COMMANDS)

    @property
    def media_packets(self) -> tuple[int, int]:
        """Sent and received."""
        return self._rtp.packets

    @property
    def has_lost_twin(self) -> bool:
        """Another player has gone."""
        return self._twins.is_lost

    async def open(self) -> None:
        """Connects to the twins, and begins the echo. OSError."""
        await self._twins.open()
        if self._settings.echoes:
            for offset in (0, _VIDEO_OFFSET):
                await self._rtp.echo(self._settings.media_port + offset)

    def stream_port(self, call_id: str, media: Media) -> int:
        """Where a call's stream leaves from."""
        port = self._stream_ports.get(call_id)
        if port is None:
            port = self._stream_ports[call_id] = self._settings.stream_ports[self._next_stream_port]
            self._next_stream_port = (self._next_stream_port + 4) % len(self._settings.stream_ports)
        return port + (_VIDEO_OFFSET if media is Media.VIDEO else 0)

    async def carry_out(self, command: Command, live: Live, now: float) -> None:
        """One command of a call."""
        try:
            await self._carry_out(command, live, now)
        except (OSError, SettingsError) as error:
            reason = str(error)
            if isinstance(error, OSError) and error.filename is not None:
                reason = f"{error.filename}: {error.strerror}"
            live.call.give_up(f"{type(command).__name__}: {reason}", now)

    async def _carry_out(self, command: Command, live: Live, now: float) -> None:
        call_id = live.call.call_id
        if isinstance(command, SendCmd):
            if not await self._twins.tell(command.text, command.dest):
                live.call.give_up("the twin is not to be reached", now, Failure.CMD_NOT_SENT)
        elif isinstance(command, RunCommand):
            self._begin_shell(command.line)
        elif isinstance(command, PlayPcap | PlayDtmf):
            await self._rtp.play(command, call_id, command.local_port)
        elif isinstance(command, RtpStream):
            await self._rtp.play(command, call_id, self.stream_port(call_id, command.media))
        elif isinstance(command, RtpEcho):
            offset = _VIDEO_OFFSET if command.media is Media.VIDEO else 0
            await self._rtp.echo(self._settings.media_port + offset, is_on=command.is_on)
        elif isinstance(command, CloseConnection):
            await self._ends.reopen(live.end)
        elif isinstance(command, SetDestination):
            await self._redirect(command, live)

    async def _redirect(self, command: SetDestination, live: Live) -> None:
        """A call's messages go elsewhere; by the same socket when that is possible."""
        live.peer = (command.host, command.port)
        if command.protocol == "udp" and self._ends.mode.transport == "UDP":
            return
        before, live.end = live.end, await self._ends.towards(command.protocol, live.peer)
        await self._ends.left(before)

    def _begin_shell(self, line: str) -> None:
        task = asyncio.ensure_future(self._shell(line))
        self._shells.add(task)
        task.add_done_callback(self._shells.discard)

    async def _shell(self, line: str) -> None:
        """Its output goes to stderr: what we print ourselves is for machines, too."""
        async with self._room:
            process = await asyncio.create_subprocess_shell(
                line, stdin=asyncio.subprocess.DEVNULL, stdout=2, start_new_session=True
            )
            try:
                await process.wait()
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()

    async def ended(self, live: Live) -> None:
        """A call is through: its media and its socket go."""
        call_id = live.call.call_id
        self._rtp.stop(call_id)
        self._stream_ports.pop(call_id, None)
        await self._ends.left(live.end)

    async def close(self) -> None:
        """Ends all of it; commands that run have some time left."""
        await self._twins.close()
        await self._rtp.close()
        if self._shells:
            _, late = await asyncio.wait(self._shells, timeout=_COMMAND_ENDS_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
