"""How two verdicts on one call differ, without a number in it, and the same for all calls alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from engine.deciding import Outcome, Question, Verdict

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
    pairs = (
        ("cause", _cause(old), _cause(new)),
        ("answer", _answer(old), _answer(new)),
        ("callee", "", "" if old.callee == new.callee else "another member of the group"),
        ("route", old.route, new.route),
        ("target", _targets(old), _targets(new)),
        ("request_uri", _form(old), _form(new)),
        ("presented_number", old.presented_number, new.presented_number),
    )
    return tuple([Change(what, before, after) for what, before, after in pairs if before != after])


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


def _targets(verdict: Verdict) -> str:
    return ", then ".join(map(str, verdict.places))


def _form(verdict: Verdict) -> str:
    return verdict.request_uri.replace(verdict.callee, _CALLEE) if verdict.callee else verdict.request_uri
