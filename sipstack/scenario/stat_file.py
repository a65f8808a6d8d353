"""What `-trace_stat` and `-trace_counts` write: rows of figures, in SIPp's columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, final

from sipstack.scenario.model import Pause, Recv, Scenario, Send
from sipstack.scenario.report import name_of
from sipstack.scenario.tally import Counts, Failure, Tally, Times


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands. Times are seconds, `began_unix_s` and `now_unix_s` since 1970."""

    tally: Tally
    scenario: Scenario
    open_calls: int
    rate: float
    began_unix_s: float
    now_unix_s: float

    @property
    def elapsed_s(self) -> float:
        """Since the start."""
        return max(0.0, self.now_unix_s - self.began_unix_s)


def wall(unix_s: float) -> str:
    """Date, time and seconds since 1970, with tabs between them."""
    now = datetime.fromtimestamp(unix_s).astimezone()
    return f"{now:%Y-%m-%d}\t{now:%H:%M:%S.%f}\t{unix_s:.6f}"


def clock(seconds: float, *, fine: bool = True) -> str:
    """Hours, minutes, seconds, and millionths where they are wanted."""
    whole = int(seconds)
    text = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{text}:{int(seconds * 1e6) % 1_000_000:06}" if fine else text


# Counters with a value of the period and one of the whole run.
_COUNTERS: Final[tuple[tuple[str, Callable[[Tally], int]], ...]] = (
    ("SuccessfulCall", lambda tally: tally.successful),
    ("FailedCall", lambda tally: tally.failed),
    *((f"Failed{kind.value}", lambda tally, kind=kind: tally.reasons.get(kind, 0)) for kind in Failure),
    ("OutOfCallMsgs", lambda tally: tally.out_of_call),
    ("DeadCallMsgs", lambda tally: tally.dead_call),
    ("Retransmissions", lambda tally: tally.retransmissions),
    ("AutoAnswered", lambda tally: tally.auto_answered),
    ("Warnings", lambda tally: tally.warnings),
    ("FatalErrors", lambda _tally: 0),
    ("WatchdogMajor", lambda _tally: 0),
    ("WatchdogMinor", lambda _tally: 0),
)


@final
@dataclass(slots=True)
class StatRows:
    """The lines of a statistics file: `header`, then a `row` each period. Counters of users come last.

    Response times that the scenario measures are known by their first measurement; the columns of a file are those of
    `names`, which are read from the scenario.
    """

    names: tuple[str, ...]
    delimiter: str = ";"
    _before: list[int] = field(default_factory=lambda: [0] * (len(_COUNTERS) + 2))
    _reset_unix_s: float = 0.0

    def header(self, tally: Tally) -> str:
        """The names of the columns."""
        columns = ["StartTime", "LastResetTime", "CurrentTime", "ElapsedTime(P)", "ElapsedTime(C)", "TargetRate"]
        for name in ("CallRate", "IncomingCall", "OutgoingCall"):
            columns += [f"{name}(P)", f"{name}(C)"]
        columns += ["TotalCallCreated", "CurrentCall"]
        for name, _ in _COUNTERS:
            columns += [f"{name}(P)", f"{name}(C)"]
        for name in (*(f"ResponseTime{name}" for name in self.names), "CallLength"):
            columns += [f"{name}(P)", f"{name}(C)", f"{name}StDev(P)", f"{name}StDev(C)"]
        for name in self.names:
            columns += _partition_names(f"ResponseTimeRepartition{name}", tuple(tally.response_bounds_ms))
        columns += _partition_names("CallLengthRepartition", tally.call_lengths.bounds_ms)
        return self._line(columns)

    def row(self, at: Standing) -> str:
        """How it stands now, and what has been since the last row."""
        tally = at.tally
        since_unix_s = self._reset_unix_s or at.began_unix_s
        period_s = max(at.now_unix_s - since_unix_s, 1e-6)
        created = tally.incoming, tally.outgoing
        counts = [*created, *(count(tally) for _, count in _COUNTERS)]
        period = [now - before for now, before in zip(counts, self._before, strict=True)]
        columns = [wall(at.began_unix_s), wall(since_unix_s), wall(at.now_unix_s), clock(period_s, fine=False),
                   clock(at.elapsed_s, fine=False), f"{at.rate:g}"]  # fmt: skip
        columns += [f"{sum(period[:2]) / period_s:g}", f"{sum(created) / max(at.elapsed_s, 1e-6):g}"]
        for index in (0, 1):
            columns += [str(period[index]), str(counts[index])]
        columns += [str(sum(created)), str(at.open_calls)]
        for index in range(2, len(counts)):
            columns += [str(period[index]), str(counts[index])]
        empty = Times(tally.response_bounds_ms)
        measured = [tally.response_times.get(name, empty) for name in self.names]
        for times in (*measured, tally.call_lengths):
            mean, deviation = clock(times.mean_ms / 1000), clock(times.deviation_ms / 1000)
            columns += [mean, mean, deviation, deviation]
        for times in (*measured, tally.call_lengths):
            columns += ["", *map(str, times.below if times.bounds_ms else ())]
        self._before, self._reset_unix_s = counts, at.now_unix_s
        return self._line(columns)

    def _line(self, columns: list[str]) -> str:
        return "".join(f"{column}{self.delimiter}" for column in columns) + "\n"


def _partition_names(name: str, bounds_ms: tuple[int, ...]) -> list[str]:
    if not bounds_ms:
        return [name]
    return [name, *(f"{name}_<{bound}" for bound in bounds_ms), f"{name}_>={bounds_ms[-1]}"]


def counts_header(scenario: Scenario, delimiter: str = ";") -> str:
    """The columns of the file of counts: each element's number and name, and what is counted of it."""
    columns = ["CurrentTime", "ElapsedTime"]
    for index, element in enumerate(scenario.elements):
        columns += [f"{index}_{name_of(element)}_{title}" for title, _ in _counted(element)]
    return "".join(f"{column}{delimiter}" for column in columns) + "\n"


def counts_row(at: Standing, delimiter: str = ";") -> str:
    """The counts of each element so far."""
    columns = [wall(at.now_unix_s), clock(at.elapsed_s)]
    for element, counts in zip(at.scenario.elements, at.tally.elements, strict=True):
        columns += [str(count(counts)) for _, count in _counted(element)]
    return "".join(f"{column}{delimiter}" for column in columns) + "\n"


_Counted = tuple[tuple[str, Callable[[Counts], int]], ...]
_RETRANS: Final[_Counted] = (("Retrans", lambda counts: counts.retransmissions),)
_TIMEOUT: Final[_Counted] = (("Timeout", lambda counts: counts.timeouts),)
_UNEXPECTED: Final[_Counted] = (("Unexp", lambda counts: counts.unexpected),)


def _counted(element: object) -> _Counted:
    if isinstance(element, Send):
        sent: _Counted = (("Sent", lambda counts: counts.messages), *_RETRANS)
        return sent if element.retrans_s is None else (*sent, *_TIMEOUT)
    if isinstance(element, Recv):
        return ("Recv", lambda counts: counts.messages), *_RETRANS, *_TIMEOUT, *_UNEXPECTED
    if isinstance(element, Pause):
        return ("Sessions", lambda counts: counts.messages), *_UNEXPECTED
    return (("Played", lambda counts: counts.messages),)
