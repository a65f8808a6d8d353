"""The controller over a node that is a queue and a clock: what it turns away, how fast, and when it lets go."""

from __future__ import annotations

import heapq
import random
from collections import deque

import pytest

from engine.core.overload import MOST, TARGET_S, TICK_S, LoadControl

CALL_S = 0.001  # of work: nearly half for the INVITE, the rest when the callee answers and when it ends
PIECES = (0.45, 0.30, 0.25)
LATER_S = (0.0, 0.02, 1.0)
TURNED_AWAY_S = 0.2 * CALL_S
T1_S = 0.5


class Queue:
    """A node that does one thing after the other, each message in the order in which it came."""

    def __init__(self, control: LoadControl) -> None:
        self.control = control
        self.now = 0.0
        self.accepted = self.turned_away = 0
        self.waits: list[float] = []
        self._random = random.Random(700)
        self._waiting: deque[tuple[float, float]] = deque()  # arrived at, seconds of work; 0: a new call
        self._later: list[tuple[float, float]] = []
        self._tick_s = TICK_S
        self._next_s = 0.0

    def run(self, load: float, until: float) -> None:
        """`load` is a multiple of what it can do."""
        self._next_s = self.now
        while self.now < until:
            self._arrive(load)
            if self.now >= self._tick_s:
                self._look()
            if self._waiting:
                self._serve()
            else:
                self.now = min([self._next_s, self._tick_s, *(at for at, _ in self._later[:1])])

    def _arrive(self, load: float) -> None:
        while self._next_s <= self.now:
            self._waiting.append((self._next_s, 0.0))
            self._next_s += self._random.expovariate(load / CALL_S)
        while self._later and self._later[0][0] <= self.now:
            self._waiting.append(heapq.heappop(self._later))

    def _look(self) -> None:
        self.waits.append(self.now - self._waiting[0][0] if self._waiting else 0.0)
        self.control.observe(self.waits[-1])
        self._tick_s += TICK_S

    def _serve(self) -> None:
        _, work_s = self._waiting.popleft()
        if work_s:
            self.now += work_s
        elif self.control.share and self.control.turns_away():
            self.turned_away += 1
            self.now += TURNED_AWAY_S
        else:
            self.accepted += 1
            self.now += PIECES[0] * CALL_S
            for piece, later_s in zip(PIECES[1:], LATER_S[1:], strict=True):
                heapq.heappush(self._later, (self.now + later_s, piece * CALL_S))


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_nothing_is_turned_away_while_the_node_keeps_up(load: float) -> None:
    queue = Queue(LoadControl())
    queue.run(load, 20.0)
    assert queue.turned_away == 0


@pytest.mark.parametrize("load", [1.2, 1.5, 2.0, 3.0])
def test_beyond_capacity_as_much_as_can_be_is_served_and_nothing_waits_long(load: float) -> None:
    queue = Queue(LoadControl())
    queue.run(load, 10.0)
    first = queue.accepted
    settled = len(queue.waits) // 2
    queue.run(load, 20.0)
    possible = (1 - load * TURNED_AWAY_S / CALL_S) / (1 - TURNED_AWAY_S / CALL_S)
    assert (queue.accepted - first) * CALL_S / 10.0 == pytest.approx(possible, rel=0.03)
    assert max(queue.waits) < T1_S * (1.1 if load > 2 else 1.0)
    assert max(queue.waits[settled:]) < 2 * TARGET_S


def test_it_lets_go_within_seconds_once_the_load_is_gone() -> None:
    queue = Queue(LoadControl())
    queue.run(2.0, 10.0)
    assert queue.control.share > 0.3
    queue.run(0.5, 13.0)
    assert queue.control.share == 0.0
    before = queue.turned_away
    queue.run(0.5, 20.0)
    assert queue.turned_away == before


def test_some_are_always_let_in() -> None:
    control = LoadControl()
    for _ in range(1000):
        control.observe(10.0)
    assert control.share == MOST
    assert sum(control.turns_away() for _ in range(1000)) == pytest.approx(1000 * MOST, abs=1)


@pytest.mark.parametrize("waits", [[3.0, 0.0, 0.0, 0.0], [3.0, 3.0, 0.0, 3.0, 3.0, 0.0], [TARGET_S] * 100])
def test_a_process_that_once_did_not_run_is_not_overloaded(waits: list[float]) -> None:
    """A pause shows in one or two looks in a row; and what waits no longer than it may is no overload at all."""
    control = LoadControl()
    for wait_s in waits:
        control.observe(wait_s)
        assert control.share == 0.0


def test_the_share_is_spread_evenly() -> None:
    control = LoadControl()
    control.share = 0.25
    assert [control.turns_away() for _ in range(8)] == [False, False, False, True] * 2
