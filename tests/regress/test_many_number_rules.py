"""What a set of rules knows a number by is found in time with the set, not with its square, for each call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.number_rules import NumberRule, NumberRules
from engine.core.settings import PeerSettings
from engine.core.wire_forms import wire_forms

PREFIXES = tuple(NumberRule(str(10_000 + place), 0, None, 5) for place in range(200))


def test_spellings_that_hold_the_number_are_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    takes = NumberRule.takes
    monkeypatch.setattr(NumberRule, "takes", lambda rule, number: asked.append(number) or takes(rule, number))
    peer = replace(PeerSettings("many", (), ()), rules_in=NumberRules("n", PREFIXES))
    assert wire_forms("13800138000", peer, peer) == ()
    assert len(asked) < 1000
    forms = wire_forms("10086", peer, peer)
    assert f"{PREFIXES[-1].prefix}10086" in forms
    assert len(asked) < 10_000
