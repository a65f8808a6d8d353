"""How two verdicts on one call differ, without a number in it, and the same for all calls alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, final

from engine.deciding import Outcome, Question, Verdict
from engine.deciding.verdict import Place

_CALLEE: Final = "CALLEE"  # stands for the number in a Request-URI


class Change(NamedTuple):
    """`what` is outcome, cause, answer, route, target, request_uri, presented_number or callee."""

    what: str
    old: str
    new: str


@final
@dataclass(slots=True)
class Group:
    """Calls that change alike. `example` is the first of them."""

    example: Question
    distinct: int = 0
    calls: int = 0


@final
@dataclass(slots=True)
class Differences:
    """What came of a corpus. `left_out` says why something could not be decided, and of how many calls."""

    distinct: int = 0
    calls: int = 0
    groups: dict[tuple[Change, ...], Group] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def note(self, question: Question, count: int, old: Verdict, new: Verdict) -> None:
        """One question, that stands so often in the corpus."""
        if old.outcome is Outcome.UNASKED and new.outcome is Outcome.UNASKED:
            self.left_out[old.decided_by] += count
            return
        self.distinct += 1
        self.calls += count
        if old == new:
            return
        found = changes(old, new)
        if found:
            group = self.groups.setdefault(found, Group(question))
            group.distinct += 1
            group.calls += count

    def add(self, part: Differences) -> None:
        """What another part of the corpus has come to."""
        self.distinct += part.distinct
        self.calls += part.calls
        self.left_out.update(part.left_out)
        for found, one in part.groups.items():
            group = self.groups.setdefault(found, Group(one.example))
            group.distinct += one.distinct
            group.calls += one.calls

    @property
    def changed(self) -> int:
        """Questions that have another answer."""
        return sum(group.distinct for group in self.groups.values())

    def ordered(self) -> list[tuple[tuple[Change, ...], Group]]:
        """The groups, those with most calls first; the order is the same each time."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].calls, -item[1].distinct, item[0]))


def changes(old: Verdict, new: Verdict) -> tuple[Change, ...]:
    """What of two verdicts on one question is not the same; () when only ids are not."""
    if old.outcome is not new.outcome:
        return (Change("outcome", _told(old), _told(new)),)
    found: list[Change] = []
    if (old.cause, old.decided_by) != (new.cause, new.decided_by):
        found.append(Change("cause", _cause(old), _cause(new)))
    if (old.seen_status, old.seen_q850) != (new.seen_status, new.seen_q850):
        found.append(Change("answer", _answer(old), _answer(new)))
    if old.callee != new.callee:
        found.append(Change("callee", "", "another member of the group"))
    if old.route != new.route:
        found.append(Change("route", old.route, new.route))
    if old.places != new.places:
        found.append(Change("target", _targets(old.places), _targets(new.places)))
    if old.request_uri != new.request_uri and (form := _form(old)) != _form(new):
        found.append(Change("request_uri", form, _form(new)))
    if old.presented_number != new.presented_number:
        found.append(Change("presented_number", old.presented_number, new.presented_number))
    return tuple(found)


def _told(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.SENT:
        return f"sent by route {verdict.route} to {verdict.places[0].peer} {verdict.places[0].target}"
    if verdict.outcome is Outcome.REFUSED:
        return f"refused, {_cause(verdict)}; the caller sees {_answer(verdict)}"
    if verdict.outcome is Outcome.ANSWERED:
        return f"answered {verdict.seen_status} by a rule of SIP"
    return f"not asked, {verdict.decided_by}"


def _cause(verdict: Verdict) -> str:
    return f"{verdict.cause} decided by {verdict.decided_by}" if verdict.cause else verdict.decided_by


def _answer(verdict: Verdict) -> str:
    return f"{verdict.seen_status} / Q.850 {verdict.seen_q850}" if verdict.seen_status else ""


@lru_cache(maxsize=1024)
def _targets(places: tuple[Place, ...]) -> str:
    return ", then ".join(map(str, places))


def _form(verdict: Verdict) -> str:
    """The Request-URI without the number in it: number rules may have left no more than its last digits."""
    callee, uri = verdict.callee, verdict.request_uri
    user = uri.partition("@")[0].partition(";")[0]
    for cut in range(len(callee)):
        if user.endswith(callee[cut:]):
            told = f"{_CALLEE} without its first {cut}" if cut else _CALLEE
            return user[: len(user) - len(callee) + cut] + told + uri[len(user) :]
    return uri
