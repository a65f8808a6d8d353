"""What came of calls of which a worker was killed: what both ends logged, held against the records."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from engine.core.ownership import owner_of_record

CLOSE_S: Final = 0.5  # so close a duration must come to what both ends logged
CHANCE: Final = 2  # calls that may be repeated though none was before

_LOG_FIELDS: Final = 7  # day, time, seconds since the epoch, S or R, Call-ID, CSeq, first line


@dataclass(frozen=True, slots=True)
class Logged:
    """One message as an end has sent or received it. `at_s` is in seconds since the epoch, `status` 0 in a request."""

    at_s: float
    is_sent: bool
    method: str  # of the request, or of the one that is answered
    status: int
    line: str


@dataclass(frozen=True, slots=True)
class Record:
    """Of one attempt, what is looked at."""

    record_id: str
    caller_call_id: str
    callee_call_id: str
    duration_ms: int
    release_direction: str
    release_cause: str
    sip_status: int


class Phase(StrEnum):
    """What a call was at when the worker was killed."""

    OVER = "over"
    ANSWERED = "answered"
    SETUP = "in setup"
    LATER = "not begun"


@dataclass(frozen=True)
class Call:
    """One call as its two ends logged it; `callee` is empty when the callee never heard of it."""

    caller: Sequence[Logged]
    callee: Sequence[Logged]

    @property
    def told(self) -> int:
        """The final status that the caller had to its INVITE; 0 when it had none."""
        return next((m.status for m in self.caller if _is_answer(m, "INVITE")), 0)

    @property
    def number(self) -> str:
        """That was called."""
        return self.caller[0].line.partition(":")[2].partition("@")[0]

    @property
    def rings_after_s(self) -> float | None:
        """From the first INVITE to the 180; None for a call that was not heard to ring."""
        rang_s = next((m.at_s for m in self.caller if m.status == 180), None)
        return None if rang_s is None else rang_s - self.caller[0].at_s

    @property
    def is_repeated(self) -> bool:
        """True when an end had to send anything twice."""
        asked = [m.method for m in self.caller if m.is_sent and not m.status and m.method != "ACK"]
        answered = [m for m in self.callee if _is_answer(m, "INVITE", 200)]
        return len(asked) > len(set(asked)) or len(answered) > 1

    def phase(self, killed_s: float) -> Phase:
        """At that moment. A call that is being ended is an answered one."""
        if self.caller[0].at_s > killed_s:
            return Phase.LATER
        known = [m for m in self.caller if not m.is_sent and m.at_s <= killed_s]
        if any(_is_answer(m, "BYE") or (_is_answer(m, "INVITE") and m.status != 200) for m in known):
            return Phase.OVER
        return Phase.ANSWERED if any(_is_answer(m, "INVITE", 200) for m in known) else Phase.SETUP

    def misfit(self, record: Record) -> str:
        """What is wrong with an answered call or with its record; "" where both ends and the record agree."""
        if (record.release_cause, record.sip_status) != ("NORMAL", 200):
            return f"answered, recorded as {record.release_cause} {record.sip_status}"
        if record.release_direction != "caller":
            return f"the caller hung up, recorded is {record.release_direction}"
        hung_up = _first(m.at_s for m in self.caller if m.is_sent and m.method == "BYE")
        confirmed = _first(m.at_s for m in self.caller if _is_answer(m, "BYE", 200))
        if hung_up is None or confirmed is None:
            return "hanging up was not confirmed"
        if not any(m.method == "BYE" and not m.status for m in self.callee):
            return "the callee was not hung up on"
        answered = _first(m.at_s for m in self.callee if _is_answer(m, "INVITE", 200))
        heard = _first(m.at_s for m in self.caller if _is_answer(m, "INVITE", 200))
        if answered is None or heard is None:
            return "the callee has not answered"
        lasted_s, shortest_s, longest_s = record.duration_ms / 1000, hung_up - heard, confirmed - answered
        if not shortest_s - CLOSE_S <= lasted_s <= longest_s + CLOSE_S:
            return f"recorded are {lasted_s:.3f} s, seen were {shortest_s:.3f}..{longest_s:.3f}"
        return ""


class Outcome(StrEnum):
    """What came of a call."""

    NORMAL = "normal"  # answered, hung up at both ends, and recorded so
    RESTARTED = "NODE_RESTART"  # recorded so; the caller was told 500, or has given up
    REFUSED = "refused"  # with another cause, which is recorded and was told
    UNRECORDED = "no record"
    DOUBLED = "two records"
    WRONG = "wrong"


def judged(call: Call, records: Sequence[Record]) -> tuple[Outcome, str]:
    """What came of a call, by its records; and what is wrong, if that is what it is."""
    if len(records) != 1:
        return (Outcome.DOUBLED if records else Outcome.UNRECORDED), ""
    record, told = records[0], call.told
    if told == 200:
        misfit = call.misfit(record)
        return (Outcome.WRONG if misfit else Outcome.NORMAL), misfit
    is_restart = record.release_cause == "NODE_RESTART"
    if record.sip_status == told or (is_restart and record.sip_status == 500 and not told):
        return (Outcome.RESTARTED if is_restart else Outcome.REFUSED), ""
    return Outcome.WRONG, f"told {told}, recorded as {record.release_cause} {record.sip_status}"


KILLED: Final = "killed worker"
OTHERS: Final = "others"

# What may become of a call. A worker that is back may have more to catch up with than it can take.
_MAY: Final = {
    (KILLED, Phase.SETUP): {Outcome.NORMAL, Outcome.RESTARTED},
    (KILLED, Phase.LATER): {Outcome.NORMAL, Outcome.REFUSED},
}


@dataclass
class Group:
    """Calls of the killed worker, or of all others, by what they were at when it was killed."""

    whose: str
    phase: Phase
    calls: int = 0
    repeated: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    rings_after_s: list[float] = field(default_factory=list)
    example: str = ""  # of what is wrong

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.whose}, {self.phase}"

    @property
    def faults(self) -> list[str]:
        """One line for each outcome that must not be."""
        may = _MAY.get((self.whose, self.phase), {Outcome.NORMAL})
        found = [
            f"{self.name}: {self.outcomes[outcome]} of {self.calls} {outcome}"
            + (f": {self.example}" if outcome is Outcome.WRONG else "")
            for outcome in Outcome
            if self.outcomes[outcome] and outcome not in may
        ]
        return found or ([] if self.calls else [f"{self.name}: no call, which proves nothing"])

    def add(self, call: Call, records: Sequence[Record]) -> None:
        """Counts one call, with its records."""
        outcome, example = judged(call, records)
        self.calls += 1
        self.repeated += call.is_repeated
        self.outcomes[outcome] += 1
        self.example = self.example or example
        if (after_s := call.rings_after_s) is not None:
            self.rings_after_s.append(after_s)


@dataclass(frozen=True)
class Books:
    """All calls of a run, and what is wrong with them."""

    groups: list[Group]  # the killed worker's in the order of Phase, then those of all others
    strangers: int  # records of calls that nobody has placed

    @property
    def repeats_allowed(self) -> int:
        """Of the others' calls that were not over: as many as of those that were, and what is chance."""
        before = [one for one in self.groups if one.phase is Phase.OVER]
        usual = sum(one.repeated for one in before) / max(1, sum(one.calls for one in before))
        expected = usual * sum(one.calls for one in self._others_since)
        return math.ceil(expected + 3 * math.sqrt(expected)) + CHANCE

    @property
    def _others_since(self) -> list[Group]:
        return [one for one in self.groups if one.whose == OTHERS and one.phase is not Phase.OVER]

    @property
    def faults(self) -> list[str]:
        """One line for each reason why the node does not pass."""
        found = [fault for one in self.groups for fault in one.faults]
        if self.strangers:
            found.append(f"{self.strangers} records of no call")
        repeated = sum(one.repeated for one in self._others_since)
        if repeated > self.repeats_allowed:
            found.append(f"{OTHERS}: {repeated} repeated since the kill, at most {self.repeats_allowed} is usual")
        return found


def books(
    caller: Mapping[str, Sequence[Logged]],
    callee: Mapping[str, Sequence[Logged]],
    records: Iterable[Record],
    killed: tuple[int, float],
    workers: int,
) -> Books:
    """Logs of both ends by Call-ID; `killed` is a worker, and when, in seconds since the epoch."""
    worker, killed_s = killed
    by_call: dict[str, list[Record]] = {}
    for record in records:
        by_call.setdefault(record.caller_call_id, []).append(record)
    groups = {(whose, phase): Group(whose, phase) for whose in (KILLED, OTHERS) for phase in Phase}
    for call_id, seen in caller.items():
        own = by_call.get(call_id, [])
        call = Call(seen, callee.get(own[0].callee_call_id, ()) if own else ())
        whose = KILLED if owner_of_record("", call.number, workers) == worker else OTHERS
        groups[whose, call.phase(killed_s)].add(call, own)
    return Books(list(groups.values()), sum(len(own) for call_id, own in by_call.items() if call_id not in caller))


def read_log(file: Path) -> dict[str, list[Logged]]:
    """What SIPp's `-trace_shortmsg` has written, by Call-ID. A last row that is cut short is left out."""
    calls: dict[str, list[Logged]] = {}
    with file.open(newline="", errors="replace") as rows:
        for row in csv.reader(rows, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) == _LOG_FIELDS:
                _, _, at_s, arrow, call_id, cseq, line = row
                status = int(line[8:11]) if line.startswith("SIP/2.0 ") else 0
                logged = Logged(float(at_s), arrow == "S", cseq.split()[-1], status, line)
                calls.setdefault(call_id, []).append(logged)
    return calls


def _is_answer(message: Logged, method: str, status: int = 0) -> bool:
    """True for a final response to such a request; with a status, for that one alone."""
    return message.method == method and (message.status == status if status else message.status >= 200)


def _first(times: Iterable[float]) -> float | None:
    return min(times, default=None)
