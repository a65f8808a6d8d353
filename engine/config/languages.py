"""Which numbers an expression takes, so that one can be said to take all that another takes, or some of it.

An expression is made into a tree, and walked by its derivatives: what is left of it after a digit. Only what decides by
the digits alone is known: looking ahead, back references, possessive quantifiers and flags are not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, final

from engine.core.number_rules import MAX_WIRE

MAX_DIGITS: Final = 20  # no number is as long
_MAX_COUNT: Final = 32  # of a {m,n}
_MAX_STEPS: Final = 4_000  # of one walk

_DIGITS: Final = "0123456789"
_SYMBOLS: Final = frozenset(_DIGITS + "+")  # the plus only in front of what stands on a trunk, in no canonical number
_BEGIN, _END = "^", "$"  # a number is walked with these around it
_OUTSIDE: Final = "\\*+?{}()[]|^$."


class UnknownExpression(Exception):
    """The expression, or what comes of it, is more than is known here."""


@final
@dataclass(frozen=True, slots=True)
class _One:
    """One symbol out of a set."""

    symbols: frozenset[str]


@final
@dataclass(frozen=True, slots=True)
class _Chain:
    first: Node
    rest: Node


@final
@dataclass(frozen=True, slots=True)
class _Either:
    parts: frozenset[Node]


@final
@dataclass(frozen=True, slots=True)
class _Many:
    """Any number of times, none too."""

    of: Node


Node = _One | _Chain | _Either | _Many

NEVER: Final[Node] = _One(frozenset())
_NOTHING: Final[Node] = _Many(NEVER)
_ANYTHING: Final[Node] = _Many(_One(_SYMBOLS | {_BEGIN, _END}))


def language(expression: str) -> Node:
    """The numbers in which an expression is found. UnknownExpression."""
    found = _chain(_Reader(expression).read(), _ANYTHING)
    return found if _is_anchored(found) else _chain(_ANYTHING, found)


def either(*nodes: Node) -> Node:
    """The numbers of all of them."""
    return _either(*nodes)


def number_in(one: Node, other: Node = NEVER) -> str | None:
    """A shortest number that `one` takes and `other` does not; None when there is none. UnknownExpression."""
    return _shortest(one, other, False, _DIGITS, MAX_DIGITS)


def wire_number_in(one: Node, other: Node = NEVER) -> str | None:
    """The same of numbers as they stand on a trunk."""
    return _shortest(one, other, False, f"{_DIGITS}+", MAX_WIRE)


def wire_number_in_both(one: Node, other: Node) -> str | None:
    """A shortest number on a trunk that both take; None when there is none. UnknownExpression."""
    return _shortest(one, other, True, f"{_DIGITS}+", MAX_WIRE)


def _shortest(one: Node, other: Node, in_other: bool, first: str, most: int) -> str | None:
    """A number that `one` takes, and `other` too or not; begins with one of `first`, has `most` digits at most."""
    start = (_after(one, _BEGIN), _after(other, _BEGIN))
    seen = {start}
    waiting = deque([(start, "")])
    while waiting:
        (left, right), number = waiting.popleft()
        for digit in first if number == "" else _DIGITS if len(number) < most else "":
            further = (_after(left, digit), _after(right, digit))
            if _may_end(_after(further[0], _END)) and _may_end(_after(further[1], _END)) is in_other:
                return number + digit
            if further[0] == NEVER or (in_other and further[1] == NEVER) or further in seen:
                continue
            seen.add(further)
            waiting.append((further, number + digit))
        if len(seen) > _MAX_STEPS:
            raise UnknownExpression
    return None


def _is_anchored(node: Node) -> bool:
    """True when it can be found at the beginning only: then a walk ends where the first digits do not fit."""
    if isinstance(node, _Either):
        return all(map(_is_anchored, node.parts))
    return isinstance(node, _Chain) and (node.first == _One(frozenset(_BEGIN)) or _is_anchored(node.first))


def _chain(first: Node, rest: Node) -> Node:
    if NEVER in (first, rest):
        return NEVER
    if first == _NOTHING:
        return rest
    if rest == _NOTHING:
        return first
    if isinstance(first, _Chain):  # always to the right, so that what is the same looks the same
        return _Chain(first.first, _chain(first.rest, rest))
    return _Chain(first, rest)


def _either(*nodes: Node) -> Node:
    parts: set[Node] = set()
    for node in nodes:
        parts |= node.parts if isinstance(node, _Either) else {node}
    parts.discard(NEVER)
    if _ANYTHING in parts:
        return _ANYTHING
    if len(parts) <= 1:
        return parts.pop() if parts else NEVER
    return _Either(frozenset(parts))


def _may_end(node: Node) -> bool:
    """True when nothing more is needed."""
    if isinstance(node, _Chain):
        return _may_end(node.first) and _may_end(node.rest)
    if isinstance(node, _Either):
        return any(map(_may_end, node.parts))
    return isinstance(node, _Many)


def _after(node: Node, symbol: str) -> Node:
    """What must follow once `symbol` has been read."""
    if isinstance(node, _One):
        return _NOTHING if symbol in node.symbols else NEVER
    if isinstance(node, _Chain):
        left = _chain(_after(node.first, symbol), node.rest)
        return _either(left, _after(node.rest, symbol)) if _may_end(node.first) else left
    if isinstance(node, _Either):
        return _either(*(_after(part, symbol) for part in node.parts))
    return _chain(_after(node.of, symbol), node)


@final
class _Reader:
    """Reads an expression that `re` has compiled."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> Node:
        """The whole of it."""
        node, _ = self._alternatives()
        if self._at < len(self._text):
            raise UnknownExpression
        return node

    def _alternatives(self) -> tuple[Node, str]:
        """Up to the end or a bracket, and which anchors are in it."""
        node, anchors = self._sequence()
        while self._next("|"):
            other, more = self._sequence()
            node, anchors = _either(node, other), anchors + more
        return node, anchors

    def _sequence(self) -> tuple[Node, str]:
        parts, anchors = [], ""
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            atom, held = self._atom()
            node = self._repeated(atom)
            if (held and node is not atom) or set(held) & set(anchors):
                raise UnknownExpression  # an anchor takes no room, and here it stands for a symbol that is there once
            parts.append(node)
            anchors += held
        node = _NOTHING
        for part in reversed(parts):
            node = _chain(part, node)
        return node, anchors

    def _atom(self) -> tuple[Node, str]:
        char = self._text[self._at]
        self._at += 1
        if char in (_BEGIN, _END):
            return _One(frozenset(char)), char
        if char == "(":
            if self._next("?") and not self._next(":"):
                raise UnknownExpression
            found = self._alternatives()
            self._at += 1
            return found
        if char == "[":
            return self._class(), ""
        return _One(self._symbols(char)), ""

    def _symbols(self, char: str) -> frozenset[str]:
        """What one character takes; only digits are in numbers, and a plus."""
        if char == ".":
            return _SYMBOLS
        if char == "\\":
            char = self._text[self._at]
            self._at += 1
            if char == "d":
                return frozenset(_DIGITS)
            if char.isalnum():
                raise UnknownExpression
        elif char in _OUTSIDE:
            raise UnknownExpression
        return frozenset(char) & _SYMBOLS

    def _class(self) -> Node:
        is_negated = self._next("^")
        symbols: set[str] = set()
        is_first = True
        while is_first or not self._next("]"):
            is_first = False
            low = self._in_class()
            if self._text[self._at] == "-" and self._text[self._at + 1] != "]":
                self._at += 1
                high = self._in_class()
                if not (isinstance(low, str) and isinstance(high, str)):
                    raise UnknownExpression
                symbols |= {symbol for symbol in _SYMBOLS if low <= symbol <= high}
            else:
                symbols |= set(low)
        return _One(_SYMBOLS - symbols if is_negated else _SYMBOLS & symbols)

    def _in_class(self) -> str | frozenset[str]:
        """One character, or what a class in a class takes."""
        char = self._text[self._at]
        self._at += 1
        return char if char != "\\" else self._escaped()

    def _escaped(self) -> str | frozenset[str]:
        char = self._text[self._at]
        if char.isalnum():
            return self._symbols("\\")
        self._at += 1
        return char

    def _repeated(self, node: Node) -> Node:
        """`node` as often as what follows it says."""
        least, most = self._count()
        if (least, most) == (1, 1):
            return node
        if self._next("+"):
            raise UnknownExpression
        self._next("?")  # what is found first does not matter
        found: Node = _Many(node) if most is None else _NOTHING
        for _ in range((most or least) - least):
            found = _either(_NOTHING, _chain(node, found))
        for _ in range(least):
            found = _chain(node, found)
        return found

    def _count(self) -> tuple[int, int | None]:
        for sign, count in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._next(sign):
                return count
        if not self._next("{"):
            return 1, 1
        inside, bracket, _ = self._text[self._at :].partition("}")
        low, comma, high = inside.partition(",")
        least = int(low) if low.isdecimal() else 0
        most = int(high) if high.isdecimal() else None if comma else least
        is_count = bracket and all(part == "" or part.isdecimal() for part in (low, high)) and inside not in ("", ",")
        if not is_count or max(least, most or 0) > _MAX_COUNT or most == 0:
            raise UnknownExpression
        self._at += len(inside) + 1
        return least, most

    def _next(self, char: str) -> bool:
        """Past `char`, when it is what follows."""
        is_next = self._text.startswith(char, self._at)
        self._at += is_next
        return is_next
