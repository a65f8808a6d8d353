"""How much an expression can be made to try: one that tries without end on some number would stop the node.

Python's `re` walks one alternative after the other. Counted is in how many ways at most an expression can go along a
number: every choice of a repetition and every alternative that begins with the same digit multiplies or adds to them.
A repetition of something that is itself variable grows as a power, and is over the bound at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _parser as parser  # type: ignore[attr-defined]  # the only reader of expressions that agrees with `re`
from typing import Any, Final

LONGEST: Final = 20  # digits of a number
MAX_WAYS: Final = 10_000  # three repetitions without a bound behind one another are 9,261

_REPEATS: Final = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_DIGITS: Final = frozenset("0123456789")


def backtracks(expression: str) -> bool:
    """True when an expression that `re` compiles may try more than MAX_WAYS on a number."""
    return _ways(parser.parse(expression, re.ASCII)) > MAX_WAYS


def _ways(items: Iterable[Any]) -> int:
    """Of a sequence; whatever is beyond the bound is not counted to the end."""
    found = 1
    for operation, argument in items:
        found = min(found * _ways_of(str(operation), argument), MAX_WAYS + 1)
    return found


def _ways_of(operation: str, argument: Any) -> int:
    if operation in _REPEATS:
        least, most, body = argument
        return _repeated(_ways(body), min(int(least), LONGEST), min(int(most), LONGEST))
    if operation == "BRANCH":
        ways = [_ways(branch) for branch in argument[1]]
        return max(ways) if _are_apart(argument[1]) else sum(ways)
    if operation == "SUBPATTERN":
        return _ways(argument[3])
    if operation == "ATOMIC_GROUP":
        return _ways(argument)
    if operation in ("ASSERT", "ASSERT_NOT"):
        return _ways(argument[1])
    if operation == "GROUPREF_EXISTS":
        return _ways(argument[1]) + _ways(argument[2] or ())
    return 1


def _repeated(ways: int, least: int, most: int) -> int:
    """Of `least` to `most` repetitions of something with so many ways."""
    found = 0
    for count in range(least, most + 1):
        found += ways**count
        if found > MAX_WAYS:
            break
    return found


def _are_apart(branches: list[Any]) -> bool:
    """True when the first digit says which branch it is."""
    seen: set[str] = set()
    for branch in branches:
        first = _first(branch)
        if first is None or not seen.isdisjoint(first):
            return False
        seen |= first
    return True


def _first(items: Iterable[Any]) -> frozenset[str] | None:
    """The digits that a sequence can begin with; None when that is not plain."""
    for operation, argument in items:
        kind = str(operation)
        if kind == "LITERAL":
            return frozenset(chr(argument))
        if kind == "IN":
            return _of_class(argument)
        return _first(argument[3]) if kind == "SUBPATTERN" else None
    return None


def _of_class(items: Iterable[Any]) -> frozenset[str] | None:
    found: set[str] = set()
    for operation, argument in items:
        kind = str(operation)
        if kind == "LITERAL":
            found.add(chr(argument))
        elif kind == "RANGE":
            found |= {digit for digit in _DIGITS if argument[0] <= ord(digit) <= argument[1]}
        else:
            return None
    return frozenset(found)
