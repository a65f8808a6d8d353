"""Requests that are too long for a datagram: they go by TCP where the node speaks it (RFC 3261 §18.1.1).

Whoever refuses the connection gets the same request over UDP, as peers of RFC 2543 need it. It keeps its branch: it has
not arrived by TCP, and if it has after all, the far end takes what comes by UDP for a copy and not for a second call.
"""

from __future__ import annotations

from typing import Final, final

from engine.core.listeners import Listeners
from sipstack.client_transaction import CALLING, ClientTransaction
from sipstack.events import Flow
from sipstack.message import ENCODING
from sipstack.timers import SECONDS

# RFC 3261 §18.1.1, where the MTU of the way is not known. Answers may be longer: they go where they were asked for.
MOST_UDP_BYTES: Final = 1300

# How long a host that has refused TCP is not asked again: where a firewall swallows the question, each costs a wait.
REMEMBERED_S: Final = 600 * SECONDS
_MOST_REMEMBERED: Final = 4096


@final
class LargeRequests:
    """Which way such a request takes, and where TCP is known to be of no use."""

    __slots__ = ("_listeners", "_refused")

    def __init__(self, listeners: Listeners) -> None:
        self._listeners: Final = listeners
        self._refused: dict[tuple[str, int], float] = {}  # host and port -> until when, in monotonic seconds

    def turn_to_tcp(self, transaction: ClientTransaction, now: float) -> None:
        """A request that is about to leave by UDP leaves by TCP, with the Via of that, if it can."""
        flow = transaction.flow
        local = self._listeners.index_for("TCP", flow.host)
        if local < 0 or now < self._refused.get((flow.host, flow.port), now):
            return
        ours = self._listeners.all
        there = Flow("TCP", flow.host, flow.port, local)
        data = transaction.last_sent.replace(_start(ours[flow.local].via_start), _start(ours[local].via_start), 1)
        transaction.otherwise = transaction.last_sent, flow
        transaction.last_sent, transaction.flow = data, there

    def turn_back(self, transaction: ClientTransaction, now: float) -> bool:
        """Prepares a request that TCP did not take for UDP; False when it has not come from there."""
        if transaction.otherwise is None:
            return False
        transaction.last_sent, transaction.flow = transaction.otherwise
        transaction.otherwise = None
        transaction.state = CALLING
        if len(self._refused) >= _MOST_REMEMBERED:
            self._refused.clear()
        self._refused[transaction.flow.host, transaction.flow.port] = now + REMEMBERED_S
        return True


def _start(via_start: str) -> bytes:
    """The Via row of ours is the first that can look so: in front of it stands the Request-Line alone."""
    return f"\r\n{via_start}".encode(ENCODING)
