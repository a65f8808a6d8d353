"""`[[number_rules]]`: how numbers look on a trunk that spells them in a way of its own, with examples that are run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, model_validator

from engine.config import values
from engine.config.checks import Fault, tables
from engine.config.lines import Key
from engine.config.table import STRICT, Name
from engine.core import number_rules as core
from engine.core.numbers import REAL, DialledKind, mask, read_number
from engine.core.settings import NumberFormat

if TYPE_CHECKING:
    from engine.config.models import Config
    from engine.config.peers import Peer

USES: Final = ("number_rules_in", "number_rules_out")  # keys of a peer


class NumberRule(BaseModel):
    """`[[number_rules.rules]]`: one rule of a set, as an entry of `rules = [{ prefix = "0", strip = 1 }, ...]` or as a
    table of its own. It says which numbers it takes by `prefix`, `length` or both, or by `match`. A `+` in front counts
    as a character of the number."""

    model_config = STRICT

    prefix: Annotated[str, AfterValidator(values.wire_number)] = ""
    """What the number begins with, as it stands: digits, or `+` and digits."""
    length: Annotated[int, Field(ge=0, le=core.MAX_WIRE)] = 0
    """How many characters it has; 0 is any number of them."""
    match: Annotated[str, AfterValidator(values.expression)] | None = None
    """Regular expression, searched in the number; instead of `prefix` and `length`. One that can take very long is
    refused, as in a [route](#route)."""
    strip: Annotated[int, Field(ge=0, le=core.MAX_WIRE)] = 0
    """So many characters go from the front. A number that has no more than these is not taken."""
    add: Annotated[str, AfterValidator(values.wire_number)] = ""
    """What is put in front then: digits, or `+` and digits."""

    @model_validator(mode="after")
    def _fits(self) -> NumberRule:
        if self.match is not None and (self.prefix or self.length):
            raise ValueError("match stands alone: without prefix and length")
        if self.match is None and not (self.prefix or self.length):
            raise ValueError("says of no number that it takes it: prefix, length or match is missing")
        if self.length and self.length < max(len(self.prefix), self.strip + 1):
            raise ValueError(f"length {self.length} leaves nothing behind prefix and strip")
        if self.prefix.startswith(values.PRIVACY_BEGINS):
            raise ValueError("700 numbers come to no rule: they are 15 digits on every trunk")
        return self

    def core_rule(self) -> core.NumberRule:
        """The same for the core."""
        expression = None if self.match is None else re.compile(self.match, re.ASCII)
        return core.NumberRule(self.prefix, self.length, expression, self.strip, self.add)


class NumberRules(BaseModel):
    """`[[number_rules]]`: a set of rules by which numbers are spelled on a trunk beyond its `number_format`; a
    [peer](#peer) names it. The first rule that takes a number changes it, and no other; what none takes stays. See
    [numbers.md](numbers.md)."""

    model_config = STRICT

    name: Name
    """Name of the set, for `number_rules_in` and `number_rules_out`."""
    rules: Annotated[list[NumberRule], Field(min_length=1, max_length=200)]
    """The rules in their order: [below](#number_rulesrules)."""
    examples: list[Annotated[dict[str, str], AfterValidator(values.rules_example)]] = []
    """What the set makes of numbers: `[{ in = "013800138000", out = "13800138000" }]`. Each is run whenever the file is
    read, and one that comes out otherwise is an error."""

    def core_rules(self) -> core.NumberRules:
        """The same for the core."""
        return core.NumberRules(self.name, tuple([rule.core_rule() for rule in self.rules]))


def rule_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Names of sets that stand twice, and those that a peer names and nothing has. Of the file as it came."""
    seen: set[str] = set()
    for index, entry in enumerate(tables(data, "number_rules")):
        name = entry.get("name")
        if isinstance(name, str):
            if name in seen:
                yield Fault(("number_rules", index, "name"), f"there are two of the name {values.shown(name)}")
            seen.add(name)
    for index, peer in enumerate(tables(data, "peer")):
        for key in USES:
            name = peer.get(key)
            if isinstance(name, str) and name not in seen:
                near = values.suggestion(name, sorted(seen), values.ALIKE)
                yield Fault(("peer", index, key), f"there are no number_rules {values.shown(name)}{near}")


def example_faults(config: Config) -> Iterator[Fault]:
    """Examples that come out otherwise than they say, and those that a peer which uses their set could do nothing with.

    Numbers are told masked, since they may be somebody's.
    """
    for index, entry in enumerate(config.number_rules):
        rules = entry.core_rules()
        for place, example in enumerate(entry.examples):
            number, wanted = example["in"], example["out"]
            position = rules.position_of(number)
            got = number if position < 0 else rules.rules[position].made_of(number)
            if got != wanted:
                by = "no rule takes it" if position < 0 else f"by rule {position + 1}"
                reason = f"{_masked(number)} comes out as {_masked(got)}, not {_masked(wanted)}: {by}"
                yield Fault(("number_rules", index, "examples", place), reason)
    for index, peer in enumerate(config.peer):
        yield from _use_faults(index, peer, config.number_rules)


def _use_faults(index: int, peer: Peer, sets: list[NumberRules]) -> Iterator[Fault]:
    form = NumberFormat(peer.number_format)
    for entry in sets:
        for place, example in enumerate(entry.examples, 1):
            key: Key = ("peer", index, "number_rules_in")
            where = f"example {place} of {values.shown(entry.name)}"
            if entry.name == peer.number_rules_in and read_number(example["out"], form).kind is DialledKind.UNKNOWN:
                yield Fault(key, f'{where}: {_masked(example["out"])} is no number with number_format "{form}"')
            key = ("peer", index, "number_rules_out")
            if entry.name == peer.number_rules_out and not _is_canonical(example["in"]):
                reason = "is no real number in canonical form, and what goes out is"
                yield Fault(key, f"{where}: {_masked(example['in'])} {reason}")


def _is_canonical(number: str) -> bool:
    dialled = read_number(number, NumberFormat.NATIONAL)
    return dialled.kind is REAL and dialled.number == number


def _masked(number: str) -> str:
    return values.shown(mask(number))
