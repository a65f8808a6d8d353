"""The process that writes records: it comes with the node, comes back when it dies, and is left to end behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final, final

from engine.keeper import Habits, Keeper, Log, NotStarted, Words, launch

STOP_S: Final = 12.0  # so long it may take to load what is left; longer, and it goes on without the node

# It says nothing: who needs it waits at the lobby.
HABITS: Final = Habits(ready_s=None, first_pause_s=0.1, longest_pause_s=5.0, steady_s=30.0)
WORDS: Final = Words(
    has_ended="the process that writes records has ended, new calls are refused",
    is_absent="the process that writes records cannot be started",
    is_back="",
    cannot_start="",
    fails="",
    it="",
)


@final
class RecordsChild:
    """For one node. `lobby` is where its processes ask for streams (`engine.recording.frames`)."""

    def __init__(self, data_dir: Path, node: str, boot_id: str, window_ms: float, announces: bool, log: Log) -> None:
        self._words = (str(data_dir), node, boot_id, str(window_ms), "1" if announces else "0")
        # Who waits at the lobby waits there for the next process, too: both ends are kept.
        self.lobby, self._others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lobby.setblocking(False)
        self._keeper = Keeper(HABITS, WORDS, self._launch, log)
        self._is_watched = False

    async def start(self) -> None:
        """It is there, or will be: from now on it is started again when it dies. Raises NotStarted."""
        await self._keeper.start()
        self._is_watched = True

    async def let_go(self) -> None:
        """From now on it is not started again; where it is not there, it is started once more, for what is kept."""
        if not self._is_watched:
            return
        self._is_watched = False
        await self._keeper.wait_let_go()
        if not self._keeper.pid:
            with contextlib.suppress(NotStarted):
                await self._keeper.begin()

    async def stop(self) -> None:
        """Nobody has anything to write any more: waits for its end, STOP_S at the longest."""
        await self.let_go()
        self.lobby.close()
        self._others.close()
        if self._keeper.child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._keeper.child.wait()

    def status(self) -> dict[str, object]:
        """For `veil700 status`."""
        pid = self._keeper.pid
        return {"pid": pid, "restarts": self._keeper.restarts, "uss_kb": private_kb(pid) if pid else 0}

    async def _launch(self) -> Process:
        number = self._others.fileno()
        return await launch("engine.recording", str(number), *self._words, stderr=PIPE, pass_fds=(number,))


def private_kb(pid: int) -> int:
    """Memory that only this process holds, in KiB; 0 where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    except (OSError, ValueError, IndexError):
        return 0
