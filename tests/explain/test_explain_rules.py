"""The rule that has made a number what it is stands behind it, and no spelling of the callee's in clear."""

from __future__ import annotations

import pytest

from engine.deciding.arrival import Question
from tests.core.corenode import X, axb
from tests.explain.explained import AT, office

SHANGHAI = "2188888888"
GUANGZHOU = "2066666666"
RULES = """
[[route]]
name = "landlines"
called = "^20"
peers = ["b-side"]

[[number_rules]]
name = "local"
rules = [
    { prefix = "9", strip = 1 },
    { length = 8, add = "21" },
]

[[number_rules]]
name = "dialled"
rules = [{ prefix = "20", strip = 2 }]

[[number_rules]]
name = "far"
rules = [{ length = 10, add = "0" }]
"""


def told(rules_out: str) -> tuple[dict[str, tuple[str, str]], str]:
    with office() as here:
        here.configure(a='number_rules_in = "local"', b=f'number_rules_out = "{rules_out}"', rest=RULES)
        here.bind([axb(SHANGHAI, GUANGZHOU, expires_at=AT + 100)])
        found = here.ask(Question("88888888", X, peer="a-side"))
        assert found.sent
        return {f"{line.stage} {line.name}": (line.result, line.made_by) for line in found.lines}, str(found)


def place(lines: dict[str, tuple[str, str]], what: str) -> str:
    return lines[what][1].rpartition("; ")[2]


def test_each_number_names_its_rule() -> None:
    lines, _ = told("dialled")
    assert lines["number caller"][0].endswith(f"is the real number {SHANGHAI}")
    assert place(lines, "number caller") == 'veil.toml:40 number_rules.rules (rule 2 of "local")'
    assert "number_rules" not in lines["number called"][1]  # a 700 number comes to no rule
    for name in ("Request-URI", "To"):
        assert place(lines, f"translation {name}") == 'veil.toml:45 number_rules.rules (rule 1 of "dialled")'


@pytest.mark.parametrize(("rules_out", "masked"), [("dialled", "66****66"), ("far", "020****6666")])
def test_the_callee_is_masked_as_his_trunk_spells_him(rules_out: str, masked: str) -> None:
    lines, whole = told(rules_out)
    assert lines["translation Request-URI"][0] == f"sip:{masked}@127.0.0.13:5060"
    assert "66666666" not in whole
