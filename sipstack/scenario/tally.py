"""What is counted while calls are played: each element's messages, why calls have failed, response times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, final

MAX_FAILURES: Final = 100  # a run of a million failed calls explains the first ones
# A time is kept as the class it falls into: neighbours differ by 2 %, and an hour is in class 760.
_CLASS_RATIO: Final = math.log(1.02)
_SHORTEST_MS: Final = 0.001


class Failure(Enum):
    """Why a call has failed, by the names that SIPp's statistics have for it."""

    CANNOT_SEND = "CannotSendMessage"
    MAX_RETRANS = "MaxUDPRetrans"
    TCP_CONNECT = "TcpConnect"
    TCP_CLOSED = "TcpClosed"
    UNEXPECTED = "UnexpectedMessage"
    REJECTED = "CallRejected"
    CMD_NOT_SENT = "CmdNotSent"
    REGEXP_MISSING = "RegexpDoesntMatch"
    REGEXP_FOUND = "RegexpShouldntMatch"
    NO_HEADER = "RegexpHdrNotFound"
    CONGESTION = "OutboundCongestion"
    RECV_TIMEOUT = "TimeoutOnRecv"
    SEND_TIMEOUT = "TimeoutOnSend"
    TEST_MISSING = "TestDoesntMatch"
    TEST_FOUND = "TestShouldntMatch"
    STRCMP_MISSING = "StrcmpDoesntMatch"
    STRCMP_FOUND = "StrcmpShouldntMatch"


@final
@dataclass(slots=True)
class Counts:
    """Of one element: messages sent or taken (sessions of a pause), and what went otherwise."""

    messages: int = 0
    retransmissions: int = 0  # sent again by us, or come again
    timeouts: int = 0
    unexpected: int = 0  # while a call stood here
    lost: int = 0  # thrown away on purpose


@final
class Times:
    """Many times in little memory: number, mean, deviation, percentiles to 2 %, and how many fell below each bound."""

    __slots__ = ("_bounds", "_classes", "_squares_ms2", "_sum_ms", "below", "count")

    def __init__(self, bounds_ms: Sequence[int] = ()) -> None:
        """`bounds_ms`: those of ResponseTimeRepartition, growing."""
        self._bounds = tuple(bounds_ms)
        self._classes: dict[int, int] = {}
        self._sum_ms = 0.0
        self._squares_ms2 = 0.0
        self.count = 0
        self.below = [0] * (len(self._bounds) + 1)  # by bound; the last one holds what is above them all

    def add(self, seconds: float) -> None:
        """One more."""
        ms = max(seconds * 1000, _SHORTEST_MS)
        self.count += 1
        self._sum_ms += ms
        self._squares_ms2 += ms * ms
        at = round(math.log(ms) / _CLASS_RATIO)
        self._classes[at] = self._classes.get(at, 0) + 1
        for index, bound in enumerate(self._bounds):
            if ms < bound:
                self.below[index] += 1
                return
        self.below[-1] += 1

    @property
    def bounds_ms(self) -> tuple[int, ...]:
        """As given."""
        return self._bounds

    @property
    def mean_ms(self) -> float:
        """0.0 when there is none."""
        return self._sum_ms / self.count if self.count else 0.0

    @property
    def deviation_ms(self) -> float:
        """Standard deviation; 0.0 when there is none."""
        if not self.count:
            return 0.0
        return math.sqrt(max(0.0, self._squares_ms2 / self.count - self.mean_ms**2))

    def percentile_ms(self, percent: float) -> float:
        """So many per cent are not longer, to 2 %; 0.0 when there is none."""
        wanted = math.ceil(self.count * percent / 100)
        for at in sorted(self._classes):
            wanted -= self._classes[at]
            if wanted <= 0:
                return math.exp(at * _CLASS_RATIO)
        return 0.0


@dataclass(slots=True)
class Tally:
    """Counts while a run goes on. `elements` has one entry for each element of the scenario, in its order.

    `response_times` are by the name that `rtd=` gives them; `counters` by that of `counter=`.
    """

    elements: list[Counts] = field(default_factory=list)
    response_bounds_ms: Sequence[int] = ()
    call_lengths: Times = field(default_factory=Times)
    response_times: dict[str, Times] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    reasons: dict[Failure, int] = field(default_factory=dict)
    incoming: int = 0  # calls that the other side has begun
    outgoing: int = 0
    successful: int = 0
    failed: int = 0
    retransmissions: int = 0
    unexpected: int = 0
    out_of_call: int = 0
    dead_call: int = 0  # messages of calls that have ended
    auto_answered: int = 0
    warnings: int = 0
    refusals: dict[int, int] = field(default_factory=dict)  # statuses that were not expected
    on_response: Callable[[str, float], None] | None = None  # is told of each response time: its name, seconds
    failures: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, elements: int, response_bounds_ms: Sequence[int] = (), length_bounds_ms: Sequence[int] = ()) -> Tally:
        """For a scenario of so many elements."""
        return cls([Counts() for _ in range(elements)], response_bounds_ms, Times(length_bounds_ms))

    def fail(self, reason: str, kind: Failure = Failure.UNEXPECTED) -> None:
        """One call has failed."""
        self.failed += 1
        self.reasons[kind] = self.reasons.get(kind, 0) + 1
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(reason)

    def responded(self, name: str, seconds: float) -> None:
        """From `start_rtd` to `rtd` so long."""
        if self.on_response is not None:
            self.on_response(name, seconds)
        times = self.response_times.get(name)
        if times is None:
            times = self.response_times[name] = Times(self.response_bounds_ms)
        times.add(seconds)

    def refused(self, status: int) -> None:
        """A response that was not expected; 0 for a request."""
        self.unexpected += 1
        if status:
            self.refusals[status] = self.refusals.get(status, 0) + 1

    def counted(self, name: str) -> None:
        """`counter=` has been passed."""
        self.counters[name] = self.counters.get(name, 0) + 1
