"""What the core asks of its shell, besides sending messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from engine.core.records import Step
from sipstack.events import Output

if TYPE_CHECKING:
    from engine.core.attempt import AttemptBase


@final
class LookUpBinding(Output):
    """Look up (x, caller) and tell `CallService.binding_looked_up`."""

    __slots__ = ("attempt", "caller", "x")

    def __init__(self, attempt: AttemptBase, x: str, caller: str) -> None:
        self.attempt = attempt
        self.x = x
        self.caller = caller


@final
class CommitRecord(Output):
    """Make a step durable and tell `CallService.record_committed`.

    `values` are in the order of `records.RECORD_COLUMNS`; `extra` is what an answered call needs to be served on after
    a restart, None otherwise.
    """

    __slots__ = ("attempt", "extra", "step", "values")

    def __init__(self, attempt: AttemptBase, step: Step, values: tuple[object, ...], extra: object = None) -> None:
        self.attempt = attempt
        self.step = step
        self.values = values
        self.extra = extra


@final
class LeakFound(Output):
    """Say in the log that a message has not been sent since it held the other party's number.

    `message` is its method, or its status and method; `peer` the trunk that it was for. Neither holds a number.
    """

    __slots__ = ("message", "peer", "record_id")

    def __init__(self, record_id: str, message: str, peer: str) -> None:
        self.record_id = record_id
        self.message = message
        self.peer = peer
