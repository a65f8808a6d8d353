"""The process that writes records: started, watched, started again when it dies, and left to end when the node does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

FIRST_PAUSE_S: Final = 0.1  # before it is started again, then doubled ...
LONGEST_PAUSE_S: Final = 5.0  # ... up to this
STEADY_S: Final = 30.0  # who has run so long has not died of its start: the next pause is the first one again
STOP_S: Final = 12.0  # so long it may take to load what is left; longer, and it goes on without the node
MAX_WORD: Final = 2000  # bytes of what it says of its end

Log = Callable[..., None]


@final
class RecordsChild:
    """For one node. `lobby` is where its processes ask for streams (`engine.recording.frames`)."""

    def __init__(self, data_dir: Path, node: str, boot_id: str, window_ms: float, announces: bool, log: Log) -> None:
        self._words = (str(data_dir), node, boot_id, str(window_ms), "1" if announces else "0")
        self._log = log
        # Who waits at the lobby waits there for the next process, too: both ends are kept.
        self.lobby, self._others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lobby.setblocking(False)
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._since_s = 0.0
        self._restarts = 0

    async def start(self) -> None:
        """It is there, or will be: from now on it is started again when it dies. Raises OSError."""
        await self._begin()
        self._task = asyncio.create_task(self._watch())

    async def let_go(self) -> None:
        """From now on it is not started again; where it is not there, it is started once more, for what is kept."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        self._task = None
        if self._child is not None and self._child.returncode is not None:
            with contextlib.suppress(OSError):
                await self._begin()

    async def stop(self) -> None:
        """Nobody has anything to write any more: waits for its end, STOP_S at the longest."""
        await self.let_go()
        self.lobby.close()
        self._others.close()
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._child.wait(), STOP_S)

    def status(self) -> dict[str, object]:
        """For `veil700 status`."""
        child = self._child
        pid = child.pid if child is not None and child.returncode is None else 0
        return {"pid": pid, "restarts": self._restarts, "uss_kb": private_kb(pid) if pid else 0}

    async def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            assert self._child is not None and self._child.stderr is not None
            words = await self._child.stderr.read(MAX_WORD)
            status = await self._child.wait()
            if time.monotonic() - self._since_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            reason = words.decode("utf-8", "replace").strip()
            self._log(
                "the process that writes records has ended, new calls are refused",
                status=status, reason=reason, next_start_s=pause_s,
            )  # fmt: skip
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._restarts += 1
            try:
                await self._begin()
            except OSError as error:
                self._log("the process that writes records cannot be started", reason=error.strerror)

    async def _begin(self) -> None:
        number = self._others.fileno()
        self._since_s = time.monotonic()
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "engine.recording", str(number), *self._words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            pass_fds=(number,), limit=MAX_WORD,
        )  # fmt: skip


def private_kb(pid: int) -> int:
    """Memory that only this process holds, in KiB; 0 where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    except (OSError, ValueError, IndexError):
        return 0
