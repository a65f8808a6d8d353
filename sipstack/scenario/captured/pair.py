"""A captured call as a pair of scenarios, with the rows that both are played with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sipstack.scenario.captured.calls import CapturedCall
from sipstack.scenario.captured.numbers import MOST, Numbers
from sipstack.scenario.captured.side import Side


@dataclass(frozen=True, slots=True)
class Pair:
    """Texts in ASCII, line ends LF. `fields` are the numbers, in clear; `notes` say what is not as it was captured."""

    uac: str
    uas: str
    rows: str
    fields: tuple[str, ...]
    notes: tuple[str, ...]


MOST_MESSAGES: Final = 3000  # of both legs; making a pair takes time with the square of their number


def pair_of(call: CapturedCall) -> Pair | None:
    """Both sides of a call: the caller of its first leg, the callee of its last; None where it has too much in it."""
    if sum(len(leg.exchanges) for leg in call.legs) > MOST_MESSAGES:
        return None
    first = call.inward.first
    texts = [one.message.text for leg in (call.inward, call.outward) for one in leg.exchanges]
    numbers = Numbers(first.start_line, first.value("From"), texts)
    if len(numbers.fields) > MOST:
        return None
    caller, callee = Side(call.inward, numbers, is_caller=True), Side(call.outward, numbers, is_caller=False)
    rows = f"SEQUENTIAL\n{';'.join(numbers.fields) or ';'}\n"
    return Pair(
        _scenario("caller", caller, len(numbers.fields)), _scenario("callee", callee, len(numbers.fields)), rows,
        tuple(numbers.fields), tuple(_notes(call, caller)),
    )  # fmt: skip


def _scenario(name: str, side: Side, fields: int) -> str:
    said = (
        f"the {fields} numbers are fields of rows.csv: 0 was called, 1 called" if fields else "no number stands in it"
    )
    elements = "\n".join(side.elements)
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        f"<!-- The {name} of a captured call; {said}. -->\n"
        f'<scenario name="captured {name}">\n{elements}\n</scenario>\n'
    )


def _notes(call: CapturedCall, caller: Side) -> list[str]:
    notes = []
    if call.inward is call.outward:
        notes.append("the capture has one leg of the call: both files are of it")
    if not call.inward.status:
        notes.append("the capture ends before the call is answered")
    elif call.inward.method == "INVITE" and 200 <= call.inward.status < 300 and not _has_ended(call):
        notes.append("the capture ends before the call does")
    if call.inward.transport != "UDP" or call.outward.transport != "UDP":
        notes.append(
            f"the caller speaks {call.inward.transport}, the callee {call.outward.transport}: -t t1 is for TCP"
        )
    if caller.asks_password:
        notes.append("the caller shows a password: play it with -au and -ap")
    return notes


def _has_ended(call: CapturedCall) -> bool:
    return any(one.message.method == "BYE" for one in call.inward.exchanges)
