"""What a run has come to, and what went over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sipstack.scenario.model import Element, Recv, Scenario, Send
from sipstack.scenario.tally import Counts, Tally, Times

# SIPp's own exit codes.
ALL_WELL: Final = 0
A_CALL_FAILED: Final = 1
INTERNAL: Final = 97  # told to by the scenario, or the time was up before the first call was through
NO_CALLS: Final = 99
FATAL: Final = 255
CANNOT_BIND: Final = 254


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One datagram. `at_s` are monotonic seconds."""

    at_s: float
    is_sent: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is through; `failure` is "" where it went well. `seen` are its first messages."""

    call_id: str
    failure: str
    seen: Sequence[Exchanged]


@dataclass(frozen=True, slots=True)
class ElementReport:
    """What one element of the scenario has seen; `name` is what it sends or waits for."""

    line: int
    kind: str
    name: str
    messages: int
    retransmissions: int
    timeouts: int
    unexpected: int
    lost: int


@dataclass(frozen=True, slots=True)
class TimesReport:
    """Many times: their number, and milliseconds. `partitions` are how many fell below each bound, and above them."""

    count: int
    mean_ms: float
    deviation_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    partitions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """How a run has ended. `exit_code` is what SIPp would exit with.

    `retransmissions` were sent by us; `unexpected` messages failed their call; `out_of_call` ones belong to no call;
    `shed` datagrams came faster than they could be played. `reasons` are by SIPp's names for why calls fail,
    `response_times` by what `rtd=` calls them. `ladder` tells of the first call that has failed.
    """

    exit_code: int
    successful: int
    failed: int
    retransmissions: int
    unexpected: int
    failures: list[str] = field(default_factory=list)
    out_of_call: int = 0
    shed: int = 0
    duration_s: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    elements: list[ElementReport] = field(default_factory=list)
    response_times: dict[str, TimesReport] = field(default_factory=dict)
    call_length: TimesReport | None = None
    counters: dict[str, int] = field(default_factory=dict)
    ladder: list[str] = field(default_factory=list)


def report_of(
    tally: Tally, scenario: Scenario, duration_s: float, *, shed: int, fatal: bool, stopped_by_scenario: bool,
    timed_out: bool, ladder: list[str],
) -> Report:  # fmt: skip
    """The figures at the end of a run."""
    if fatal:
        code = FATAL
    elif stopped_by_scenario:
        code = INTERNAL
    elif tally.failed:
        code = A_CALL_FAILED
    elif tally.successful:
        code = ALL_WELL
    else:
        code = INTERNAL if timed_out else NO_CALLS
    return Report(
        code, tally.successful, tally.failed, tally.retransmissions, tally.unexpected, list(tally.failures),
        tally.out_of_call, shed, round(duration_s, 3), {kind.value: count for kind, count in tally.reasons.items()},
        list(map(_element, scenario.elements, tally.elements)),
        {name: _times(times) for name, times in sorted(tally.response_times.items())},
        _times(tally.call_lengths) if tally.call_lengths.count else None, dict(tally.counters), ladder,
    )  # fmt: skip


def name_of(element: Element) -> str:
    """What an element sends or waits for, as SIPp's screens have it."""
    if isinstance(element, Send):
        return element.method or str(element.status)
    if isinstance(element, Recv):
        return element.request or str(element.status)
    return element.display or type(element).__name__


def _element(element: Element, counts: Counts) -> ElementReport:
    kind = type(element).__name__.lower()
    return ElementReport(element.line, kind, name_of(element), counts.messages, counts.retransmissions, counts.timeouts,
                         counts.unexpected, counts.lost)  # fmt: skip


def _times(times: Times) -> TimesReport:
    names = [*(f"<{bound}" for bound in times.bounds_ms), *(f">={bound}" for bound in times.bounds_ms[-1:])]
    p50, p95, p99 = (round(times.percentile_ms(percent), 3) for percent in (50, 95, 99))
    return TimesReport(times.count, round(times.mean_ms, 3), round(times.deviation_ms, 3), p50, p95, p99,
                       dict(zip(names, times.below, strict=False)))  # fmt: skip
