"""What the core asks of its shell, besides sending messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from engine.core.records import CallRecord, Step
from sipstack.events import Output
from sipstack.timers import TimerOwner

if TYPE_CHECKING:
    from engine.core.attempt import AttemptBase


class InProgress(TimerOwner):
    """Whatever has an open record: an attempt, or what awaits the report on a short message.

    A base and no protocol: what is compiled finds the members of a protocol by a search for their names.
    """

    __slots__ = ("record",)

    record: CallRecord

    @property
    def state_name(self) -> str:
        """The state of its table, in words."""
        raise NotImplementedError

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """A step is durable, or could not be made so."""
        raise NotImplementedError


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

    `values` are in the order of `records.RECORD_COLUMNS`; `extra` is what an answered call, or a short message whose
    report is awaited, needs to be served on after a restart, None otherwise.
    """

    __slots__ = ("attempt", "extra", "step", "values")

    def __init__(self, attempt: InProgress, step: Step, values: tuple[object, ...], extra: object = None) -> None:
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


@final
class TargetChanged(Output):
    """Say in the log that the health of an address where requests are sent has changed.

    `address` is "udp:127.0.0.13:5060", `state` one of `health.STATES`.
    """

    __slots__ = ("address", "state")

    def __init__(self, address: str, state: str) -> None:
        self.address = address
        self.state = state


@final
class FaultFound(Output):
    """Say in the log where a bug of ours was caught that costs nothing but one attempt of the last run."""

    __slots__ = ("fault",)

    def __init__(self, fault: Exception) -> None:
        self.fault = fault
