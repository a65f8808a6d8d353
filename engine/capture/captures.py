"""The captures of a running node: who reads gets what comes and goes, until one of them ends it.

While nobody captures, no message costs anything but the question whether somebody does (`sipstack.aio.endpoint`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, final

from engine.capture.backlog import Backlog, Captured
from engine.capture.capture import Batch, Capture, Parties
from engine.capture.wanted import Wanted, WantedFault, read_wanted
from engine.config.values import ALIKE, shown, suggestion
from engine.core.numbers import is_privacy_number, mask
from engine.core.settings import ListenerSettings
from engine.store.audit import Asker
from engine.store.errors import StoreError
from sipstack.events import Flow

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

Tap = Callable[[bool, bytes, Flow], None]


@final
class Captures:
    """Of one node. All but the work on messages happens in the loop's thread."""

    def __init__(
        self, listeners: Sequence[ListenerSettings], attach: Callable[[Tap | None], None],
        peer_of: Callable[[Flow], str], peers: Callable[[], list[str]], parties: Callable[[], list[Parties]],
        audit: Callable[[Asker, str], None],
    ) -> None:  # fmt: skip
        """`attach` sets or takes away the tap. `peer_of`: whose an address is, "" for nobody's. `parties`: the numbers
        of all calls in progress. `audit` writes what somebody has asked to see; it blocks, and raises StoreError."""
        self._listeners: Final = listeners
        self._attach = attach
        self._peer_of = peer_of
        self._peers = peers
        self._parties = parties
        self._audit = audit
        self._backlogs: list[Backlog] = []

    async def run(self, request: dict[str, object]) -> AsyncGenerator[bytes, None]:
        """The answer to `veil700 capture`: lines of JSON. The tap ends with the iterator."""
        try:
            wanted = self._read(request)
        except WantedFault as fault:
            yield _line({"error": str(fault)})
            return
        backlog = Backlog()
        self._open(backlog)  # it counts from now on, while the audit is written
        try:
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
            self._close(backlog)

    def _read(self, request: dict[str, object]) -> Wanted:
        wanted = read_wanted(request)
        if wanted.peer and wanted.peer not in self._peers():
            known = suggestion(wanted.peer, self._peers(), ALIKE)
            raise WantedFault(f"--peer: there is no peer {shown(wanted.peer)}{known}")
        if len(self._backlogs) >= MAX_CAPTURES:
            raise WantedFault(f"{MAX_CAPTURES} captures are at work already")
        return wanted

    async def _lines(self, wanted: Wanted, capture: Capture, backlog: Backlog) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + wanted.for_s
        why = "time"
        told_at = loop.time()
        known_lost, asked_at = -1, 0.0  # the calls in progress are asked for at the start, and when something is missed
        while True:
            now = loop.time()
            batch = backlog.take()
            parties: list[Parties] = []
            if backlog.lost != known_lost and now - asked_at >= _ASK_S:
                parties, known_lost, asked_at = self._parties(), backlog.lost, now
            named = [(message, self._peer_of(message.flow)) for message in batch]
            line = await asyncio.to_thread(capture.work, Batch(named, parties))
            if line or now - told_at >= HEARTBEAT_S:
                told_at = now
                yield line + _counts(capture, backlog)
            if capture.has_all and why != "calls":
                why, ends_at = "calls", min(ends_at, now + _GRACE_S)
            if now >= ends_at and not batch:
                break
            await asyncio.sleep(max(_LOOK_S, capture.worked_s * _REST))
        yield _counts(capture, backlog) + _line({"end": why})

    def _open(self, backlog: Backlog) -> None:
        self._backlogs.append(backlog)
        self._attach(self._tap)

    def _close(self, backlog: Backlog) -> None:
        self._backlogs.remove(backlog)
        if not self._backlogs:
            self._attach(None)

    def _tap(self, is_sent: bool, data: bytes, flow: Flow) -> None:
        message = Captured(time.time(), is_sent, data, flow)
        for backlog in self._backlogs:
            backlog.add(message)


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
        "seen": backlog.seen, "lost": backlog.lost, "withheld": capture.withheld, "shown": capture.shown
    })  # fmt: skip


def _line(answer: dict[str, object]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
