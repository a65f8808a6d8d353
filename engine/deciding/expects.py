"""Runs the `[[expect]]` tables of a configuration: each is decided, and held against what it says.

There is no store: each expect brings the one binding that it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Final, final

from engine.config import Config
from engine.config.checks import Fault
from engine.config.expects import Expect, ExpectBinding
from engine.config.lines import Key
from engine.config.loader import fault_lines
from engine.config.values import shown
from engine.config.written import veiled_uri
from engine.core.binding import Binding, Conditions, Miss
from engine.deciding.arrival import Question, QuestionFault
from engine.deciding.assumed import assumed
from engine.deciding.decider import Decider
from engine.deciding.verdict import Verdict
from engine.domain.gates import Scenario
from engine.domain.targets import NOBODY_BLOCKED, Parties, Target, Wiring, targets_of

_ANY_SCENARIO: Final = Scenario("", "active", (), 0, False, True, "off", "off", 0, 0)


def failing_expects(config: Config, wall_s: float) -> list[str]:
    """One line for each value that comes out otherwise, `file:line: expect.key: expected ..., got ...`, in the order of
    the file. `wall_s`: now, for those that do not say when. Real numbers are masked."""
    if not config.expect:
        return []
    settings = config.core_settings()
    decider = Decider(settings, assumed(settings))
    found = [fault for index, one in enumerate(config.expect) for fault in _faults(index, one, decider, wall_s)]
    return fault_lines(config.path, config.text, found)


def _faults(index: int, expect: Expect, decider: Decider, wall_s: float) -> Iterator[Fault]:
    at_s = wall_s if expect.at is None else datetime.fromisoformat(expect.at.upper()).timestamp()
    question = Question(expect.caller, expect.called, expect.method, expect.peer)
    try:
        verdict = decider.decide(question, _OneBinding(expect.binding), at_s)
    except QuestionFault as fault:
        key, _, reason = str(fault).partition(": ")
        yield Fault(("expect", index, key), f"cannot be decided: {reason}")
        return
    came = _came(verdict)
    for key, got in came.items():
        wanted = getattr(expect, key)
        if wanted is not None and wanted != got:
            place: Key = ("expect", index, key)
            yield Fault(place, f"expected {_told(key, wanted)}, got {_told(key, got)}{_why(key, verdict)}")


def _came(verdict: Verdict) -> dict[str, object]:
    """What became of it, by the keys of an expect."""
    targets = [place.target for place in verdict.places]
    return {
        "outcome": verdict.outcome.value,
        "route": verdict.route,
        "target": targets[0] if targets else "",
        "targets": targets,
        "request_uri": verdict.request_uri,
        "presented": verdict.presented_number,
        "cause": verdict.cause,
        "decided_by": verdict.decided_by,
        "status": verdict.seen_status,
    }


def _told(key: str, value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_told(key, one) for one in value)}]"
    return shown(veiled_uri(value) if key == "request_uri" and isinstance(value, str) else value)


def _why(key: str, verdict: Verdict) -> str:
    """What a wrong outcome is best understood by."""
    if key != "outcome" or not verdict.seen_status:
        return ""
    return f" ({verdict.cause}, decided by {verdict.decided_by})" if verdict.cause else f" ({verdict.seen_status})"


@final
class _OneBinding:
    """A store with one binding in it, or none."""

    def __init__(self, binding: ExpectBinding | None) -> None:
        self._binding = binding
        self._targets = () if binding is None else tuple(_targets(binding))

    def find(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
        """The target of (X, caller), or why there is none."""
        binding = self._binding
        is_bound = False
        for target in self._targets:
            if target.x == x and target.caller == caller and binding is not None:
                return Binding(
                    "expect", 1, binding.mode, binding.tel_x, binding.tel_y or "", caller, target.callee,
                    target.presented, "", "", "", "", math.inf, Conditions(target.flags),
                )  # fmt: skip
            is_bound = is_bound or target.x == x
        return Miss.NOT_A_PARTY if is_bound else Miss.UNBOUND


def _targets(binding: ExpectBinding) -> Iterator[Target]:
    side_a = tuple(binding.group) or (binding.tel_a or "",)
    wiring = Wiring(
        binding.mode, binding.tel_x, binding.tel_y or "", "", NOBODY_BLOCKED, "default_a", binding.sms, "", ""
    )
    return targets_of(wiring, Parties(side_a, binding.tel_b), _ANY_SCENARIO)
