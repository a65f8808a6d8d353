"""Warnings of number rules: one that nothing comes to, one that takes numbers of another, a set without use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, final

from engine.config.checks import Fault
from engine.config.languages import (
    Node,
    UnknownExpression,
    either,
    language,
    wire_number_in,
    wire_number_in_both,
)
from engine.config.models import Config
from engine.config.number_rules import NumberRule, NumberRules
from engine.config.peers import Peer
from engine.config.values import shown
from engine.core.numbers import mask, read_number
from engine.core.settings import NumberFormat

MOST_TOGETHER: Final = 20
MAX_PAIRS: Final = 1_000  # of rules in a set that are held against each other: all of 45 expressions, some seconds


class _Known(NamedTuple):
    """A rule above; `shown` says which of the set it is, and where it stands."""

    rule: NumberRule
    shown: str
    numbers: Node


def rule_warnings(config: Config, lines: dict[tuple[str | int, ...], int]) -> Iterator[Fault]:
    """What of the sets hardly does what was meant; `lines` are those of the file."""
    used = {name for peer in config.peer for name in (peer.number_rules_in, peer.number_rules_out)}
    for index, entry in enumerate(config.number_rules):
        if entry.name not in used:
            yield Fault(("number_rules", index, "name"), f"no peer uses the rules {shown(entry.name)}")
        yield from _order_warnings(index, entry, lines)
    sets = {entry.name: entry for entry in config.number_rules}
    for index, peer in enumerate(config.peer):
        yield from _return_warnings(index, peer, sets)


def _order_warnings(index: int, entry: NumberRules, lines: dict[tuple[str | int, ...], int]) -> Iterator[Fault]:
    order = _Order()
    for place, rule in enumerate(entry.rules):
        key = ("number_rules", index, "rules", place)
        try:
            reason = order.reason(rule, f"rule {place + 1} (line {lines.get(key, 0)})")
        except UnknownExpression:
            continue
        if reason:
            yield Fault(key, f"rule {place + 1}: {reason}")


@final
class _Order:
    """The rules of a set one after the other: only the first that takes a number counts, so that what stands above
    leaves another with less."""

    def __init__(self) -> None:
        self._above: list[_Known] = []
        self._left = MAX_PAIRS

    def reason(self, rule: NumberRule, place: str) -> str:
        """What is odd about the next rule, called `place` from now on; "" for nothing. UnknownExpression."""
        numbers = language(_expression(rule))
        reason = self._reason(rule, numbers)
        self._above.append(_Known(rule, place, numbers))
        return reason

    def _reason(self, rule: NumberRule, numbers: Node) -> str:
        if wire_number_in(numbers) is None:
            return "takes no number: they are digits, a + before them at the most"
        shared = [(one, number) for one in self._above if (number := self._shared(rule, numbers, one)) is not None]
        for one, _ in shared:
            if wire_number_in(numbers, one.numbers) is None:
                return f"nothing comes here: {one.shown} takes every number of this one"
        together = either(*(one.numbers for one, _ in shared))
        if 1 < len(shared) <= MOST_TOGETHER and wire_number_in(numbers, together) is None:
            return "nothing comes here: the rules above take every number of this one together"
        for one, number in shared:
            if (one.rule.strip, one.rule.add) == (rule.strip, rule.add) or _is_narrower(one.rule, rule):
                continue  # the same comes of both, or they stand as they should
            if wire_number_in(one.numbers, numbers) is not None:
                return f"{one.shown} takes some of the numbers of this one, such as {shown(number)}"
        return ""

    def _shared(self, rule: NumberRule, numbers: Node, one: _Known) -> str | None:
        """A number that both rules are about; None when there is none, or too much has been looked at already."""
        begins = (rule.prefix, one.rule.prefix)
        if not begins[0].startswith(begins[1]) and not begins[1].startswith(begins[0]):
            return None
        self._left -= 1
        return wire_number_in_both(numbers, one.numbers) if self._left >= 0 else None


def _is_narrower(one: NumberRule, other: NumberRule) -> bool:
    """True when one is about the numbers behind a longer prefix."""
    return one.match is None and other.match is None and len(one.prefix) > len(other.prefix)


def _expression(rule: NumberRule) -> str:
    """The numbers of a rule, but for those that are too short for its `strip`, as one expression."""
    if rule.match is not None:
        return rule.match
    least = max(rule.strip + 1 - len(rule.prefix), 0)
    if not rule.length:
        return f"^{re.escape(rule.prefix)}{_times(least)}[0-9]*$"
    left = rule.length - len(rule.prefix)
    return f"^{re.escape(rule.prefix)}{_times(left)}$" if rule.prefix else f"^[+0-9]{_times(left - 1)}$"


def _times(digits: int) -> str:
    return f"[0-9]{{{digits}}}" if digits else ""


def _return_warnings(index: int, peer: Peer, sets: dict[str, NumberRules]) -> Iterator[Fault]:
    """Examples of what goes to a peer that would be read as another number when it came back from there."""
    if peer.number_rules_out is None or not (peer.match or peer.tls_names):
        return
    rules = sets[peer.number_rules_in].core_rules() if peer.number_rules_in is not None else None
    for place, example in enumerate(sets[peer.number_rules_out].examples, 1):
        sent = example["out"]
        read = read_number(sent if rules is None else rules.made_of(sent) or sent, NumberFormat(peer.number_format))
        if read.number != example["in"]:
            what = f"read as {shown(mask(read.number))}" if read.number else "no number"
            whose = f"example {place} of {shown(peer.number_rules_out)}"
            reason = f"{whose}: {shown(mask(sent))} is {what} when it comes back"
            yield Fault(("peer", index, "number_rules_out"), reason)
