"""Draws what two parties sent and saw as one picture: the caller on the left, the node in the middle, the callee right.

Only what each side really sent and received is drawn; the node itself is asked nothing. Real numbers and X have a
colour each, so that the eye sees where one of them stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from scenarios.rig.seen import Seen

CALLER: Final = 0
CALLEE: Final = 1

X_STYLE: Final = "bold green"
NUMBER_STYLES: Final = ("bold yellow", "bold magenta")  # of the caller's, of the callee's real number
LINE_STYLE: Final = "dim"

NARROWEST: Final = 80  # columns
WIDEST: Final = 116

_TIME_WIDTH: Final = 9
_RAILS: Final = 3  # the three vertical lines
# What tells who is who, in requests that begin something and in the answer that makes a call.
_SHOWN: Final = ("From", "To", "P-Asserted-Identity", "Contact", "Call-ID")
_SHORT: Final = {"P-Asserted-Identity": "P-A-Id"}
_ADDRESS: Final = re.compile(r"<([^>]*)>")


@dataclass(frozen=True)
class Party:
    """One end: how it is called here, its real number, and the address of its socket."""

    name: str
    number: str
    address: str


@dataclass(frozen=True)
class Moment:
    """One datagram, and the side that saw it."""

    side: int
    seen: Seen


class Ladder:
    """The picture of one story, `width` columns wide."""

    def __init__(self, parties: Sequence[Party], x: str, node: str, width: int) -> None:
        """`node` is the address of the node's socket."""
        self._parties = parties
        self._x = x
        self._node = node
        usable = min(max(width, NARROWEST), WIDEST) - _TIME_WIDTH - _RAILS
        self._span = usable // 2

    def lines(self, moments: Iterable[Moment]) -> list[Text]:
        """The heads of the three rails, then every message in the order in which it was seen."""
        ordered = sorted(moments, key=lambda moment: moment.seen.at_s)
        drawn = self._heads()
        for moment in ordered:
            drawn += self._message(moment, (moment.seen.at_s - ordered[0].seen.at_s) * 1000)
        return drawn

    def _heads(self) -> list[Text]:
        caller, callee = self._parties
        rows = (
            (f"{caller.name} {caller.number}", "veil700", f"{callee.name} {callee.number}"),
            (caller.address, self._node, callee.address),
        )
        return [self._head(*row) for row in rows] + [self._row(None, [" " * self._span] * 2)]

    def _head(self, left: str, middle: str, right: str) -> Text:
        row = " " * _TIME_WIDTH + left
        row = row.ljust(_TIME_WIDTH + 1 + self._span - len(middle) // 2) + middle
        return self._coloured(row.ljust(_TIME_WIDTH + _RAILS + 2 * self._span - len(right)) + right)

    def _message(self, moment: Moment, at_ms: float) -> list[Text]:
        """What the message says, then its arrow, which carries the time."""
        texts = [self._cut(text) for text in told(moment.seen)]
        goes_right = moment.seen.is_sent == (moment.side == CALLER)
        shaft = "─" * (self._span - 1)
        rows = [*texts, f"{shaft}▶" if goes_right else f"◀{shaft}"]
        blank = " " * self._span
        drawn = []
        for number, row in enumerate(rows, 1):
            cells = [row, blank] if moment.side == CALLER else [blank, row]
            drawn.append(self._row(at_ms if number == len(rows) else None, cells))
        return drawn

    def _cut(self, text: str) -> str:
        """One cell: a blank at each end, cut off where it is too long."""
        cell = Text(text)
        cell.truncate(self._span - 2, overflow="ellipsis", pad=True)
        return f" {cell.plain} "

    def _row(self, at_ms: float | None, cells: list[str]) -> Text:
        clock = " " * _TIME_WIDTH if at_ms is None else f"{at_ms:6.1f}ms".ljust(_TIME_WIDTH)
        return self._coloured(f"{clock}│{cells[0]}│{cells[1]}│")

    def _coloured(self, row: str) -> Text:
        text = Text(row, no_wrap=True, overflow="crop")
        text.highlight_regex(r"[│─▶◀]+|^ *[0-9.]+ms", LINE_STYLE)
        return coloured(text, self._x, self._parties)


def coloured(text: Text, x: str, parties: Sequence[Party]) -> Text:
    """`text` with X and the real numbers in their colours."""
    text.highlight_words([x], X_STYLE)
    for party, style in zip(parties, NUMBER_STYLES, strict=True):
        text.highlight_words([party.number], style)
    return text


def told(seen: Seen) -> list[str]:
    """The start line of a message and, where a conversation begins or is answered, who it says is who."""
    method = seen.method
    wanted: tuple[str, ...] = ()
    if seen.status:
        shown = seen.start_line.removeprefix("SIP/2.0 ")
        texts = [shown if method == "INVITE" else f"{shown} ({method})"]
        if seen.status == 200 and method == "INVITE":
            wanted = ("P-Asserted-Identity", "Contact")
    else:
        texts = [seen.start_line.removesuffix(" SIP/2.0").partition(";")[0]]
        if ";tag=" not in seen.value("To") and method not in ("ACK", "CANCEL"):
            wanted = _SHOWN
    texts += [f"  {_SHORT.get(name, name)}: {_address(value)}" for name in wanted if (value := seen.value(name))]
    if method == "MESSAGE" and not seen.status:
        texts += [f"  {line}" for line in seen.body.decode("utf-8", "replace").splitlines()]
    return texts


def _address(value: str) -> str:
    """The URI of an address without its parameters: what else stands there is noise in a picture."""
    found = _ADDRESS.search(value)
    return (found[1] if found else value).partition(";")[0]
