"""How long a call waits, and what it measures meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from sipstack.scenario.model import Element, Index, Optional, Pause, Recv
from sipstack.scenario.rules import Rules
from sipstack.scenario.tally import Tally
from sipstack.scenario.values import Values
from sipstack.scenario.variables import as_number, to_number

_SHORTEST_S = 0.001  # what is shorter, or negative, is no pause


def pause_s(element: Pause, rules: Rules, values: Values) -> float:
    """The length of a pause in seconds, drawn where it is one of chance."""
    if element.variable is not None:
        length_s = as_number(values.variable(element.variable)) / 1000
    elif element.length is not None:
        length_s = element.length.sample(values.shared.random) / 1000
    else:
        length_s = rules.pause_s
    return length_s if length_s >= _SHORTEST_S else 0.0


def longest_wait(
    elements: Sequence[Element], at: Index, rules: Rules, values: Values
) -> tuple[float, Index | None] | None:
    """Of the elements that wait together from `at` on, the shortest time in seconds, and the label of its `ontimeout`.

    None: as long as it takes.
    """
    shortest: tuple[float, Index | None] | None = None
    for element in elements[at:]:
        if not isinstance(element, Recv):
            break
        timeout_s = element.timeout_s if element.timeout_s is not None else rules.recv_timeout_s
        if element.timeout_variable is not None:
            timeout_s = (to_number(values.variable(element.timeout_variable)) or 0.0) / 1000
        if timeout_s and timeout_s > 0 and (shortest is None or timeout_s < shortest[0]):
            shortest = timeout_s, element.on_timeout
        if element.optional is Optional.NO:
            break
    return shortest


@final
class Stopwatch:
    """The response times of a call. One that was not begun by `start_rtd` begins with the call."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._begun: dict[str, float] = {}
        self._done: set[str] = set()

    def start(self, now: float) -> None:
        """The call begins."""
        self._began_s = now

    def passes(self, element: Element, tally: Tally, now: float) -> None:
        """An element is played: counts its counter, and begins and ends what it says."""
        if element.counter is not None:
            tally.counted(element.counter)
        if element.start_rtd is not None:
            self._begun[element.start_rtd] = now
        if element.rtd is not None and element.rtd not in self._done:
            tally.responded(element.rtd, now - self._begun.get(element.rtd, self._began_s))
            if not element.repeat_rtd:
                self._done.add(element.rtd)
