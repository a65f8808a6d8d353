"""The core on its own: no sockets, no store, no disk; it is given datagrams and time, as an endpoint gives them.

Lookups and commits are answered at once. Every identifier that the core makes comes from a seed, so that answers which
were recorded once fit again.
"""

from __future__ import annotations

from random import Random
from typing import Final

from engine.core.binding import Binding, Miss
from engine.core.outputs import CommitRecord, LookUpBinding
from engine.core.service import CallService
from engine.core.settings import (
    CoreSettings,
    ListenerSettings,
    PeerSettings,
    PolicySettings,
    RouteSettings,
    TargetSettings,
)
from engine.core.tokens import TokenSource
from sipstack.events import Flow, Output, SendMessage
from sipstack.timers import Timing
from sipstack.transactions import Transactions

CALLER: Final = Flow("UDP", "127.0.0.12", 5060)
CALLEE: Final = Flow("UDP", "127.0.0.13", 5060)
A: Final = "13800138000"
B: Final = "13900139000"
X: Final = "700123456780001"
UNBOUND_X: Final = "700123456780002"
FAR_FUTURE: Final = 1e12  # seconds since the epoch


def settings() -> CoreSettings:
    """Two trunks and one route."""
    caller = PeerSettings("caller-side", (CALLER.host,), (TargetSettings("sip:127.0.0.12:5060", CALLER.host, 5060),))
    callee = PeerSettings("callee-side", (CALLEE.host,), (TargetSettings("sip:127.0.0.13:5060", CALLEE.host, 5060),))
    route = RouteSettings("mobiles", "^1[3-9][0-9]{9}$", ("callee-side",))
    listeners = (ListenerSettings("UDP", "127.0.0.11", 5060, "127.0.0.11:5060"),)
    return CoreSettings("bench", "veil.example", listeners, (caller, callee), (route,), PolicySettings())


class BareCore:
    """The core with a store of one binding."""

    def __init__(self) -> None:
        self._service = CallService(settings(), Transactions(Timing()), TokenSource(Random(700).randbytes))
        self._binding = Binding("s", 1, "AXB", X, "", A, B, X, "ap", "bu", "o", "express", FAR_FUTURE)
        self.commits = 0

    def feed(self, data: bytes, flow: Flow, now: float) -> list[bytes]:
        """One datagram at `now`, in monotonic seconds; the datagrams that the core sends for it.

        Timers that are due come first. What they send is not returned.
        """
        self._keep_time(now, [])
        sent: list[bytes] = []
        self._perform(self._service.receive(data, flow, now), now, sent)
        return sent

    def note_commit(self, output: CommitRecord) -> None:
        """A step is to be made durable: it is counted, and believed."""
        self.commits += 1

    def rest(self) -> None:
        """Lets time pass until no timer waits: what has ended is forgotten."""
        self._keep_time(float("inf"), [])

    def _keep_time(self, until: float, sent: list[bytes]) -> None:
        while (deadline := self._service.next_deadline()) is not None and deadline <= until:
            self._perform(self._service.handle_timer(deadline), deadline, sent)

    def _perform(self, outputs: list[Output], now: float, sent: list[bytes]) -> None:
        for output in outputs:
            if isinstance(output, SendMessage):
                sent.append(output.data)
            elif isinstance(output, LookUpBinding):
                found = self._binding if (output.x, output.caller) == (X, A) else Miss.UNBOUND
                self._perform(self._service.binding_looked_up(output, found, now), now, sent)
            elif isinstance(output, CommitRecord):
                self.note_commit(output)
                self._perform(self._service.record_committed(output.attempt, output.step, True, now), now, sent)
