"""What one of several workers hands to its supervisor while somebody captures: its messages as they are.

The supervisor masks them before they leave the node. What they go by is a socket that others of the same user can open,
so that they are for whoever shows the secret alone, which the supervisor has drawn and told its workers at their start.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple, final

from engine.capture.backlog import Backlog, Captured
from engine.capture.tapped import Tapped
from sipstack.events import Flow

# Verbs of a worker's control socket.
FEED: Final = "feed"
PARTIES: Final = "parties"

# How often what has come is handed over.
LOOK_S: Final = 0.05

_REFUSED: Final[dict[str, object]] = {"error": "for the supervisor alone"}


class Told(NamedTuple):
    """A line of it. What came and went up to `until_s` has been told with it; `lost` counts from the first line on."""

    until_s: float
    lost: int
    messages: list[Captured]


@final
class Feed:
    """Of one worker."""

    def __init__(self, tapped: Tapped, secret: str) -> None:
        self._tapped = tapped
        self._secret = secret

    async def parties(self, request: dict[str, object]) -> dict[str, object]:
        """The numbers of its calls in progress."""
        return {"parties": await self._tapped.parties()} if self._is_known(request) else _REFUSED

    async def run(self, request: dict[str, object]) -> AsyncGenerator[bytes, None]:
        """Lines of JSON, also while there is nothing to tell. The tap ends with the iterator."""
        if not self._is_known(request):
            yield json.dumps(_REFUSED).encode() + b"\n"
            return
        backlog = Backlog()
        try:
            await self._tapped.open(backlog)
            while True:
                now_s = time.time()
                batch = backlog.take()
                yield _line(Told(now_s if backlog.is_empty else batch[-1].at_s, backlog.lost, batch))
                await asyncio.sleep(LOOK_S if backlog.is_empty else 0)  # calls have their turns between two batches
        finally:
            self._tapped.close(backlog)

    def _is_known(self, request: dict[str, object]) -> bool:
        shown = request.get("secret")
        return isinstance(shown, str) and hmac.compare_digest(shown.encode(), self._secret.encode())


def read_told(answer: dict[str, Any]) -> Told:
    """What `Feed` has written: between processes of one node there is nothing else."""
    messages = [
        Captured(at_s, is_sent, b64decode(data), Flow(transport, host, port, local), peer)
        for at_s, is_sent, data, transport, host, port, local, peer in answer["messages"]
    ]
    return Told(answer["until"], answer["lost"], messages)


def _line(told: Told) -> bytes:
    rows = [
        (at_s, is_sent, b64encode(data).decode("ascii"), flow.transport, flow.host, flow.port, flow.local, peer)
        for at_s, is_sent, data, flow, peer in told.messages
    ]
    return json.dumps({"until": told.until_s, "lost": told.lost, "messages": rows}).encode() + b"\n"
