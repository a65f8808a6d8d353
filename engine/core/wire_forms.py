"""How a real number is spelled on trunks with number rules: what is read there as that number, and what is sent for it.

Where a rule takes digits of the canonical number away, as an area code, or puts another prefix before a short one, the
gate would not find that spelling by searching for the canonical number: so the spellings themselves are searched too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.core.number_rules import NumberRule, NumberRules
from engine.core.numbers import REAL, read_number, render_user
from engine.core.settings import NATIONAL, NumberFormat, PeerSettings
from engine.core.spelling import LONG_FROM, PARTED_FROM

# Digits of the shortest local number. What is shorter is an extension, and stands in ports and times by chance.
SHORTEST: Final = PARTED_FROM

# What may stand before a canonical number, and is read away (`engine.core.numbers`).
_BEFORE: Final = ("", "86", "+86", "0086")
_BEFORE_LONG: Final = (*_BEFORE, "0", "860", "+860", "00860")  # no service number has a trunk 0


def wire_user(number: str, peer: PeerSettings) -> str:
    """A canonical real number as this peer is sent it: the user part of a SIP URI, or the body of a tel URI."""
    rules = peer.rules_out
    if rules is not None:
        made = rules.made_of(number)
        if made is not None:
            return made
    elif peer.number_format is NATIONAL:  # nearly always
        return number
    return render_user(number, peer.number_format)


def arriving_user(number: str, number_format: NumberFormat, rules: NumberRules | None) -> str:
    """A canonical real number as it would come from a trunk: the first spelling that is read as that number there."""
    usual = render_user(number, number_format)
    if rules is None:
        return usual
    for user in (usual, *_read_as(number, rules)):
        dialled = read_number(user, number_format, rules)
        if dialled.kind is REAL and dialled.number == number:
            return user
    return usual


def wire_forms(number: str, writer: PeerSettings, reader: PeerSettings, wire: str = "") -> tuple[str, ...]:
    """The spellings of a real number that are searched besides it, digits each; () where neither peer has rules.

    `writer` is the trunk of whose number it is, `reader` that of the party that must not see it; `wire` is the number
    as it has come, where rules have made the canonical one of it.
    """
    if number == "" or writer.rules_in is writer.rules_out is reader.rules_in is reader.rules_out is None:
        return ()
    found = [wire]
    for peer in (writer, reader):
        found += spelled_by(number, peer)
    digits = dict.fromkeys([form.lstrip("+") for form in found])
    return tuple([form for form in digits if _is_another(form, number)])


def spelled_by(number: str, peer: PeerSettings) -> list[str]:
    """What the rules of a peer know a real number by: as it stands on its trunk, or as the digits that they keep."""
    found: list[str] = []
    if peer.rules_in is not None:
        found += _read_as(number, peer.rules_in, is_searched=True)
        found += [number[cut:] for cut in _cuts(number, peer.rules_in)]
    if peer.rules_out is not None:
        position = peer.rules_out.position_of(number)
        if position >= 0:
            rule = peer.rules_out.rules[position]
            found += [rule.made_of(number), number[rule.strip :]]
    return found


def _is_another(form: str, number: str) -> bool:
    """True for what a search for the number itself does not find, and that is not too short to be meant as one."""
    if len(form) < min(SHORTEST, len(number)) or not form.isdigit():
        return False
    return form != number and (len(number) < LONG_FROM or number not in form)


def _read_as(number: str, rules: NumberRules, *, is_searched: bool = False) -> list[str]:
    """The wire forms of which rules make a spelling of the number, where what they take off is known. `is_searched`:
    without those that hold a long number as it is, since a search for it finds them; there is one for nearly each of
    the rules of a set, and to ask all rules about each would take a second of a call."""
    found: list[str] = []
    is_found = number if is_searched and len(number) >= LONG_FROM else None
    for rule, rest in _undone(number, rules):
        if rule.strip <= len(rule.prefix) and (is_found is None or is_found not in rest):
            wire = rule.prefix[: rule.strip] + rest
            if rule.takes(wire) and read_number(wire, NumberFormat.PREFIX86, rules).number == number:
                found.append(wire)
    return found


def _cuts(number: str, rules: NumberRules) -> list[int]:
    """How many digits of the number rules put before what stands on the trunk."""
    rests = [len(rest) for _, rest in _undone(number, rules)]
    return [len(number) - length for length in rests if 0 < length < len(number)]


def _undone(number: str, rules: NumberRules) -> Iterator[tuple[NumberRule, str]]:
    """Each rule that may have made a spelling of the number, with what it has left of the wire form."""
    prefixes = _BEFORE if len(number) < LONG_FROM else _BEFORE_LONG
    for rule in rules.rules:
        for before in prefixes:
            spelled = before + number
            if spelled.startswith(rule.add):
                yield rule, spelled[len(rule.add) :]
