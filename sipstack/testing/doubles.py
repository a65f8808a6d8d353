"""Stand-ins that a compiled stack takes: a class of a test cannot have one of its classes as base."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from sipstack.events import Output
from sipstack.timers import TimerOwner


@final
class Later(TimerOwner):
    """Calls `do` with the code and the time, in monotonic seconds, whenever a timer of it fires."""

    __slots__ = ("_do",)

    def __init__(self, do: Callable[[int, float], None]) -> None:
        self._do = do

    def timer_fired(self, code: int, now: float) -> None:
        """What the test wants to be done."""
        self._do(code, now)


@final
class Note(Output):
    """An output that is for the shell."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text
