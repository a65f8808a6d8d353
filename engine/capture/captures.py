"""The captures of a running node: who reads gets what comes and goes, until one of them ends it.

While nobody captures, no message costs anything but the question whether somebody does (`sipstack.aio.endpoint`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Final, final

from engine.capture.backlog import Backlog
from engine.capture.capture import Batch, Capture
from engine.capture.tapped import Parties, Source
from engine.capture.wanted import Wanted, WantedFault, read_wanted
from engine.config.values import ALIKE, shown, suggestion
from engine.core.numbers import is_privacy_number, mask
from engine.core.settings import ListenerSettings
from engine.store.audit import Asker, audit_row, write_audit
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError

MAX_CAPTURES: Final = 4

# How often what has come is handed on, and for each second of CPU that it took so many are left to the calls.
_LOOK_S: Final = 0.05
_REST: Final = 3.0

# A line comes at least as often: who reads knows that the node lives.
HEARTBEAT_S: Final = 2.0

# The numbers of all calls are not gathered more often.
_ASK_S: Final = 1.0

# Behind the last answer of the last call come its ACK and the end of its other dialog.
_GRACE_S: Final = 1.0


@final
class Captures:
    """Of one node. All but the work on messages happens in the loop's thread."""

    def __init__(
        self, listeners: Sequence[ListenerSettings], source: Source, peers: Callable[[], list[str]],
        audit: Callable[[Asker, str], None],
    ) -> None:  # fmt: skip
        """`audit` writes what somebody has asked to see; it blocks, and raises StoreError."""
        self._listeners: Final = listeners
        self._source = source
        self._peers = peers
        self._audit = audit
        self._at_work = 0

    async def run(self, request: dict[str, object]) -> AsyncGenerator[bytes, None]:
        """The answer to `veil700 capture`: lines of JSON. The tap ends with the iterator."""
        try:
            wanted = self._read(request)
        except WantedFault as fault:
            yield _line({"error": str(fault)})
            return
        backlog = Backlog()
        self._at_work += 1
        try:
            await self._source.open(backlog)  # it counts from now on, while the audit is written
            if wanted.asker is not None:
                try:
                    await asyncio.to_thread(self._audit, wanted.asker, _detail(wanted))
                except StoreError as fault:
                    yield _line({"error": str(fault)})
                    return
            yield _line({"capturing": True})
            async for line in self._lines(wanted, Capture(wanted, self._listeners), backlog):
                yield line
        finally:
            self._at_work -= 1
            self._source.close(backlog)

    def _read(self, request: dict[str, object]) -> Wanted:
        wanted = read_wanted(request)
        if wanted.peer and wanted.peer not in self._peers():
            known = suggestion(wanted.peer, self._peers(), ALIKE)
            raise WantedFault(f"--peer: there is no peer {shown(wanted.peer)}{known}")
        if self._at_work >= MAX_CAPTURES:
            raise WantedFault(f"{MAX_CAPTURES} captures are at work already")
        return wanted

    async def _lines(self, wanted: Wanted, capture: Capture, backlog: Backlog) -> AsyncGenerator[bytes, None]:
        loop, source = asyncio.get_running_loop(), self._source
        ends_at = loop.time() + wanted.for_s + source.behind_s
        why = "time"
        told_at, told_gaps = loop.time(), 0
        # The calls in progress are asked for at the start, and when something is missed.
        known_lost, known_turns, asked_at = -1, 0, 0.0
        while True:
            now = loop.time()
            if now >= ends_at:
                source.close(backlog)  # what waits is shown, and no more comes
            batch = backlog.take()
            parties: list[Parties] = []
            if backlog.turns != known_turns or (backlog.lost != known_lost and now - asked_at >= _ASK_S):
                known_lost, known_turns, asked_at = backlog.lost, backlog.turns, now
                parties = await source.parties()
            line = await asyncio.to_thread(capture.work, Batch(batch, parties))
            if line or backlog.gaps != told_gaps or now - told_at >= HEARTBEAT_S:
                told_at, told_gaps = now, backlog.gaps
                yield line + _counts(capture, backlog)
            if capture.has_all and why != "calls":
                why, ends_at = "calls", min(ends_at, now + _GRACE_S + source.behind_s)
            if now >= ends_at and not batch:
                break
            await asyncio.sleep(max(_LOOK_S, capture.worked_s * _REST))
        yield _counts(capture, backlog) + _line({"end": why})


def audit_capture(path: Path, cipher: NumberCipher, asker: Asker, detail: str) -> None:
    """Writes what somebody has asked to see to the store at `path`. Raises StoreError."""
    write_audit(path, cipher, audit_row(time.time(), asker, "capture", detail))


def _detail(wanted: Wanted) -> str:
    """What somebody has asked to see, for the audit."""
    number = wanted.number if is_privacy_number(wanted.number) else mask(wanted.number)
    parts = [f"for {wanted.for_s:.0f} s"]
    parts += [f"{wanted.calls} calls"] * bool(wanted.calls)
    parts += [f"number {number}"] * bool(number)
    parts += [f"peer {wanted.peer}"] * bool(wanted.peer)
    return "reveal messages, " + ", ".join(parts)


def _counts(capture: Capture, backlog: Backlog) -> bytes:
    return _line({
        "seen": backlog.seen, "lost": backlog.lost, "withheld": capture.withheld, "shown": capture.shown,
        "gaps": backlog.gaps,
    })  # fmt: skip


def _line(answer: dict[str, object]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
