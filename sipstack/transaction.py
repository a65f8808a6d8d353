"""What client and server transactions share: state, timers, the registry they stand in."""

from __future__ import annotations

from typing import Final

from sipstack.events import Flow, Output, SendMessage
from sipstack.table import Table
from sipstack.timers import Timer, TimerOwner, TimerWheel, Timing

_NOWHERE: Final[dict[object, Transaction]] = {}  # the registry of those that have not entered one


class TransactionContext:
    """What the transactions of one stack have in common. `out` collects what they want done, in order."""

    __slots__ = ("clients", "merged", "out", "servers", "timing", "wheel")

    def __init__(self, timing: Timing, wheel: TimerWheel) -> None:
        self.timing = timing
        self.wheel = wheel
        self.out: list[Output] = []
        self.clients: dict[object, Transaction] = {}
        self.servers: dict[object, Transaction] = {}
        self.merged: dict[object, Transaction] = {}  # by what a request keeps on every path (§8.2.2.2)


class Transaction(TimerOwner):
    """A machine over a table. It repeats `last_sent` on `_repeat` and ends on `_deadline`."""

    __slots__ = (
        "_deadline",
        "_key",
        "_registry",
        "_repeat",
        "context",
        "flow",
        "last_sent",
        "method",
        "repeat_s",
        "state",
        "table",
    )

    context: TransactionContext

    def __init__(self, method: str, table: Table, flow: Flow) -> None:
        self.method = method
        self.table = table
        self.flow = flow
        self.state = 0
        self.last_sent = b""
        self.repeat_s = 0.0
        self._key: object = None
        self._registry = _NOWHERE
        self._repeat: Timer | None = None
        self._deadline: Timer | None = None

    def enter(self, context: TransactionContext, registry: dict[object, Transaction], key: object) -> None:
        """Takes its place in the registry: from now on messages find it."""
        self.context = context
        self._registry = registry
        self._key = key
        registry[key] = self

    def advance(self, event: int) -> int:
        """Makes the step that the table says and returns its action."""
        table = self.table
        place = self.state * table.width + event
        self.state = table.following[place]
        return table.doing[place]

    def send(self, data: bytes) -> None:
        """Puts bytes on this transaction's flow."""
        self.context.out.append(SendMessage(data, self.flow))

    def set_repeat(self, now: float, delay_s: float, code: int) -> None:
        """Sets the retransmission timer and remembers its gap."""
        self.repeat_s = delay_s
        self._repeat = self.context.wheel.set(now, delay_s, self, code)

    def stop_repeat(self) -> None:
        """No more retransmissions."""
        repeat = self._repeat
        if repeat is not None:
            repeat.owner = None
            self._repeat = None

    def set_deadline(self, now: float, delay_s: float, code: int) -> None:
        """Replaces the timer that ends the present state."""
        deadline = self._deadline
        if deadline is not None:
            deadline.owner = None
        self._deadline = self.context.wheel.set(now, delay_s, self, code)

    def leave(self) -> None:
        """Forgets everything about an ended transaction: registry, timers, bytes. Its key may be another's by now."""
        if self._repeat is not None:
            self.stop_repeat()
        if self._deadline is not None:
            self._deadline.owner = None
            self._deadline = None
        if self._registry.get(self._key) is self:
            del self._registry[self._key]
        self.last_sent = b""
