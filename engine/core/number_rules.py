"""Number rules: how a trunk spells numbers otherwise than its `number_format` says, as ordered rules; the first wins.

A number on a trunk ("wire form") is digits, after a `+` where one stands before them; escapes, visual separators and
parameters are gone. Rules towards the node make of it what is then read as a number (`engine.core.numbers`); rules
towards the trunk make the wire form of a canonical number. 700 numbers never come to rules: they are 15 digits on every
trunk (contract §5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, final

MAX_WIRE: Final = 32  # characters of a number that rules look at; no trunk has longer ones


@final
@dataclass(frozen=True, slots=True)
class NumberRule:
    """Takes numbers by what they begin with and by their length, or by an expression; of what it takes it removes the
    first `strip` characters and puts `add` in their place. What is not longer than `strip` it does not take."""

    prefix: str = ""
    length: int = 0  # characters, a "+" too; 0: any
    expression: re.Pattern[str] | None = None  # searched
    strip: int = 0
    add: str = ""

    def takes(self, number: str) -> bool:
        """True when this rule is about a number."""
        length = len(number)
        if length <= self.strip or (self.length and length != self.length) or not number.startswith(self.prefix):
            return False
        return self.expression is None or self.expression.search(number) is not None

    def made_of(self, number: str) -> str:
        """What it makes of a number that it takes."""
        return self.add + number[self.strip :]


@final
@dataclass(frozen=True, slots=True)
class NumberRules:
    """A set of rules in their order."""

    name: str
    rules: tuple[NumberRule, ...]

    def position_of(self, number: str) -> int:
        """Which rule takes a number; -1 for none."""
        if len(number) <= MAX_WIRE:
            for position, rule in enumerate(self.rules):
                if number.startswith(rule.prefix) and rule.takes(number):  # without a call for nearly all of them
                    return position
        return -1

    def made_of(self, number: str) -> str | None:
        """What the first rule that takes a number makes of it; None where none does."""
        position = self.position_of(number)
        return None if position < 0 else self.rules[position].made_of(number)
