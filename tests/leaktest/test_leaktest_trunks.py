"""A party of the leak test writes its number so that its trunk's rules read it."""

from __future__ import annotations

from engine.core.number_rules import NumberRule, NumberRules
from engine.core.settings import NumberFormat
from engine.leaktest.pair import Trunk

NUMBER = "15430000000"


def test_a_number_is_written_as_the_rules_of_its_trunk_read_it() -> None:
    rules = NumberRules("nine", (NumberRule("9", 0, None, 1), NumberRule("", 11, None, 0, "99")))
    plain = Trunk("left", ("127.0.0.2", 5060), NUMBER)
    assert plain.uri(NUMBER, "h") == f"sip:{NUMBER}@h"
    assert Trunk("left", ("127.0.0.2", 5060), NUMBER, rules=rules).uri(NUMBER, "h") == f"sip:9{NUMBER}@h"
    tel = Trunk("left", ("127.0.0.2", 5060), NUMBER, NumberFormat.TEL)
    assert tel.uri(NUMBER, "h") == f"tel:+86{NUMBER}"
