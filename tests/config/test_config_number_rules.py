"""Number rules in a file: what they make of numbers, what may not stand there, and what `check` warns of."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from engine.config import ConfigError, load
from engine.config.warnings import warnings

NOW: Final = datetime.now(UTC)
PEER: Final = '[[peer]]\nname = "p"\nmatch = ["10.0.0.1"]\ntargets = ["sip:10.0.0.1"]\n'
IN: Final = PEER + 'number_rules_in = "r"\n'
OUT: Final = PEER + 'number_rules_out = "r"\n'


def rules(*entries: str, examples: str = "") -> str:
    """A set in which rule 1 stands in line 4, after whatever stands before it."""
    listed = "".join(f"  {{ {entry} }},\n" for entry in entries)
    return f'[[number_rules]]\nname = "r"\nrules = [\n{listed}]\n' + (f"examples = [{examples}]\n" if examples else "")


def faults(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


def warned(file: Path, text: str) -> list[str]:
    file.write_text(text)
    return [line.removeprefix(f"{file}:") for line in warnings(load(file), NOW)]


@pytest.mark.parametrize(
    ("entries", "number", "made"),
    [
        (('prefix = "10198", strip = 5',), "1019813800138000", "13800138000"),
        (('prefix = "0", strip = 1', 'prefix = "00", strip = 2'), "0086", "086"),
        (('prefix = "00"', 'prefix = "0", strip = 1'), "0086", "0086"),
        (("length = 8, add = '21'",), "88888888", "2188888888"),
        (("length = 8, add = '21'",), "888888888", None),
        (("prefix = '+86', length = 14, strip = 3, add = '0'",), "+8613800138000", "013800138000"),
        (("match = '^[2-8][0-9]{7}$', add = '21'",), "88888888", "2188888888"),
        (("prefix = '1', strip = 3",), "110", None),  # nothing would be left
        (("prefix = '1', strip = 3",), "1101", "1"),
        (("prefix = '1', strip = 3",), "1" * 33, None),
    ],
)
def test_the_first_rule_that_takes_a_number_makes_it(
    file: Path, entries: tuple[str, ...], number: str, made: str | None
) -> None:
    file.write_text(rules(*entries) + IN)
    (peer,) = load(file).core_settings().peers
    assert peer.rules_in is not None and peer.rules_out is None
    assert peer.rules_in.made_of(number) == made


EXAMPLE: Final = '{ in = "013800138000", out = "13800138000" }'
BAD: Final = [
    # a rule
    (rules('match = "(1[0-9]*)*$"'), '4: number_rules.rules.match: "(1[0-9]*)*$" can take too long'),
    (rules('match = "("'), '4: number_rules.rules.match: "(" is no regular expression'),
    (rules("strip = 1"), "4: number_rules.rules: says of no number that it takes it"),
    (rules('match = "1", prefix = "1"'), "4: number_rules.rules: match stands alone"),
    (rules('prefix = "123", length = 2'), "4: number_rules.rules: length 2 leaves nothing"),
    (rules("strip = 3, length = 3"), "4: number_rules.rules: length 3 leaves nothing"),
    (rules('prefix = "1a"'), '4: number_rules.rules.prefix: "1a" is not digits'),
    (rules('prefix = "1", add = "86+"'), '4: number_rules.rules.add: "86+" is not digits'),
    (rules('prefix = "86700"'), "4: number_rules.rules: 700 numbers come to no rule"),
    (rules('prefix = "1", stripp = 1'), "4: number_rules.rules.stripp: unknown key, did you mean strip?"),
    (rules('prefix = "1", strip = -1'), "4: number_rules.rules.strip: "),
    ('[[number_rules]]\nname = "r"\nrules = []', "3: number_rules.rules: List must have at least 1 item"),
    # examples, whose numbers are masked
    (rules("length = 3", examples=EXAMPLE),
     '6: number_rules.examples: "013****8000" comes out as "013****8000", not "138****8000": no rule takes it'),
    (rules('prefix = "0"', examples=EXAMPLE), ': by rule 1'),
    (rules('prefix = "0"', examples='{ in = "0" }'), "6: number_rules.examples: an example is a table"),
    (rules('prefix = "0"', examples='{ in = "0", out = "" }'), "6: number_rules.examples: in and out of an example"),
    (rules("length = 15", examples='{ in = "700123456780001", out = "1" }'), "700 numbers come to no rule"),
    # names, and what a peer can do with an example
    (rules('prefix = "1"') + rules('prefix = "1"'), '7: number_rules.name: there are two of the name "r"'),
    (rules('prefix = "1"') + PEER + 'number_rules_in = "rr"',
     '10: peer.number_rules_in: there are no number_rules "rr", did you mean r?'),
    (rules('prefix = "0"', examples='{ in = "02", out = "02" }') + IN,
     '11: peer.number_rules_in: example 1 of "r": "****" is no number with number_format "national"'),
    (rules('prefix = "0", strip = 1', examples=EXAMPLE) + OUT,
     '11: peer.number_rules_out: example 1 of "r": "013****8000" is no real number in canonical form'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_may_not_be_said(file: Path, text: str, reason: str) -> None:
    found = faults(file, text)
    assert any(reason in line for line in found), found


@pytest.mark.parametrize(
    ("entries", "line", "reason"),
    [
        (('prefix = "0", strip = 1', 'prefix = "010", strip = 3'), 5, "nothing comes here: rule 1 (line 4) takes"),
        (('match = "^0"', 'prefix = "010", strip = 3'), 5, "nothing comes here: rule 1 (line 4) takes"),
        (('match = "^[0-4]"', 'match = "^[5-9+]"', "length = 3"), 6, "nothing comes here: the rules above take"),
        (("length = 12, strip = 1", 'prefix = "010", strip = 3'), 5, 'rule 1 (line 4) takes some of the numbers of '
         'this one, such as "010000000000"'),
        (('match = "^[a-z]"',), 4, "takes no number"),
        (('match = "^[0-9]+[+]"',), 4, "takes no number"),
    ],
)  # fmt: skip
def test_rules_in_a_doubtful_order(file: Path, entries: tuple[str, ...], line: int, reason: str) -> None:
    [warning] = warned(file, rules(*entries) + IN)
    assert warning.startswith(f"{line}: number_rules.rules: warning: rule {len(entries)}: {reason}")


@pytest.mark.parametrize(
    "entries",
    [
        ('prefix = "010", strip = 3', 'prefix = "0", strip = 1'),  # the narrower one first
        ('prefix = "010", strip = 3', "length = 12, strip = 1"),
        ('prefix = "0", strip = 1', 'prefix = "1"'),
        ('prefix = "+86", strip = 3', 'match = "^[0-9]+$"'),
        ("length = 12, strip = 1", 'prefix = "0", strip = 1'),  # the same comes of both
        ('prefix = "13", length = 3, strip = 2', 'prefix = "13", length = 2, add = "0"'),
        ("match = '(?=1)'", 'prefix = "1"'),  # of which nothing is known
    ],
)
def test_rules_in_a_good_order(file: Path, entries: tuple[str, ...]) -> None:
    assert warned(file, rules(*entries) + IN) == []


def test_a_set_that_no_peer_uses(file: Path) -> None:
    assert warned(file, rules('prefix = "1"')) == ['2: number_rules.name: warning: no peer uses the rules "r"']


def test_what_goes_out_and_comes_back_as_another_number(file: Path) -> None:
    text = rules('prefix = "21", strip = 2', examples='{ in = "2188888888", out = "88888888" }') + OUT
    [warning] = warned(file, text)
    assert warning == '11: peer.number_rules_out: warning: example 1 of "r": "88****88" is no number when it comes back'
    text += 'number_rules_in = "back"\n' + rules('match = "^8", add = "21"').replace('"r"', '"back"')
    assert warned(file, text) == []


@pytest.mark.parametrize("rule", ['prefix = "0{}", strip = 1', 'match = "^0{}"', 'match = "{}[0-9]$"'])
def test_many_rules_are_checked_in_no_time(file: Path, rule: str) -> None:
    text = rules(*(rule.format(number) for number in range(100, 290)), "length = 12, strip = 2") + IN
    start = time.process_time()
    warned(file, text)
    assert time.process_time() - start < 10
