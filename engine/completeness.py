"""Does every attempt have its record? What the SIP side has counted is held against what the store has taken."""

from __future__ import annotations

from typing import Final, final

PATIENCE: Final = 2  # checks in a row that find records missing before it is told


@final
class Completeness:
    """One run of the node: attempts begun or adopted == records + those that wait in memory + those in progress.

    An attempt leaves those in progress when its end is durable or is kept in memory. For an instant it is counted
    twice: the writer has written its end and the loop has not heard of it. It is never counted less than once, so that
    what is missing is missing.
    """

    def __init__(self) -> None:
        self.waiting = 0  # ends that the writer has and has not answered
        self._found = 0  # checks in a row that found something missing
        self._is_told = False

    def difference(self, attempts: int, in_progress: int, spooled: int, written: int) -> int:
        """How many records there are too few; negative: what is counted twice just now.

        `spooled` must have been read before `written`: a record that goes over meanwhile is then counted twice.
        """
        return attempts - in_progress - spooled - written

    def is_complete(self, difference: int, is_settled: bool) -> bool:
        """True unless records are missing; when nothing is under way any more, none may be counted twice either."""
        return difference == 0 if is_settled else difference <= 0

    def must_tell(self, difference: int) -> bool:
        """Called once a second; True once in a run, when records have been missing for some of these checks."""
        self._found = self._found + 1 if difference > 0 else 0
        if self._is_told or self._found < PATIENCE:
            return False
        self._is_told = True
        return True
