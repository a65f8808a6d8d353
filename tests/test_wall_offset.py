"""The two clocks of a node are set beside each other as they stand, whatever else the machine does meanwhile."""

from __future__ import annotations

import itertools

import pytest

from engine import runner


class Clocks:
    """A wall clock an hour ahead of the monotonic one. Each look takes a microsecond, and what `stands_still` says."""

    def __init__(self, stands_still: list[float]) -> None:
        self._looks = itertools.chain(stands_still, itertools.repeat(0.0))
        self._now_s = 1000.0

    def monotonic(self) -> float:
        self._now_s += next(self._looks) + 1e-6
        return self._now_s

    def time(self) -> float:
        return self.monotonic() + 3600.0


@pytest.mark.pure
@pytest.mark.parametrize("stands_still", [[], [0, 0.3], [0, 0, 0.3], [0, 0.3, 0.3, 0, 0.3, 0.3]])
def test_who_waits_for_a_processor_between_two_looks_is_not_misled(
    monkeypatch: pytest.MonkeyPatch, stands_still: list[float]
) -> None:
    monkeypatch.setattr(runner, "time", Clocks(stands_still))
    assert runner.wall_offset_s() == pytest.approx(3600.0, abs=1e-5)
