"""Which element of a scenario waits for a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sipstack.scenario.model import Element, HearTwin, Index, Optional, Pause, Recv
from sipstack.scenario.received import Received

# By name: the branches of the requests that began them.
Transactions = Mapping[str, str]


def expected_at(
    elements: Sequence[Element], at: Index, message: Received, transactions: Transactions
) -> tuple[Index, Recv] | None:
    """The element that waits for this message, as SIPp looks for it.

    From where the call stands over optional elements to the first that is not; then backwards over optional ones,
    and over all to those that are optional everywhere.
    """
    for index in range(at, len(elements)):
        element = elements[index]
        if isinstance(element, Recv) and fits(element, index, message, transactions):
            return index, element
        if not isinstance(element, Recv | HearTwin) or element.optional is Optional.NO:
            break
    is_unbroken = True
    for index in range(min(at, len(elements)) - 1, -1, -1):
        element = elements[index]
        optional = element.optional if isinstance(element, Recv) else Optional.NO
        is_unbroken = is_unbroken and optional is not Optional.NO
        if not isinstance(element, Recv) or not (is_unbroken or optional is Optional.GLOBAL):
            continue
        if fits(element, index, message, transactions):
            return index, element
    return None


def fits(element: Recv, index: Index, message: Received, transactions: Transactions) -> bool:
    """True when the element, at its place, waits for such a message."""
    if element.status:
        if element.status != message.status:
            return False
        if element.response_txn is not None:
            branch = transactions.get(element.response_txn)
            return branch is not None and branch == message.branch
        return index == 0 or message.cseq[1] in element.methods
    if element.pattern is not None:
        return bool(message.method) and element.pattern.search(message.method) is not None
    return element.request == message.method


def passed(elements: Sequence[Element], at: Index, message: Received, transactions: Transactions) -> Iterator[Recv]:
    """The elements before `at` that a late response would have been for, the last one first."""
    for index in range(min(at, len(elements)) - 1, -1, -1):
        element = elements[index]
        if message.status and isinstance(element, Recv) and fits(element, index, message, transactions):
            yield element


def hearing_at(elements: Sequence[Element], at: Index) -> tuple[Index, HearTwin] | None:
    """The element that waits for a text of the twin: over what is optional."""
    for index in range(at, len(elements)):
        element = elements[index]
        if isinstance(element, HearTwin):
            return index, element
        if not isinstance(element, Recv) or element.optional is Optional.NO:
            return None
    return None


def doing_at(element: Element | None) -> str:
    """For a person: what a call is at that stands there."""
    if isinstance(element, Recv):
        return f" while waiting for {element.shown}"
    if isinstance(element, HearTwin):
        return " while waiting for the twin"
    return " in a pause" if isinstance(element, Pause) else " before a message could be sent"
