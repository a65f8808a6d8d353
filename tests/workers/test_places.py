"""How many workers a node has."""

from __future__ import annotations

import os

from engine.workers.places import MAX_WORKERS, worker_count


def test_as_many_as_are_asked_for_and_for_0_one_for_each_core_that_may_be_used() -> None:
    allowed = os.sched_getaffinity(0)
    assert [worker_count(count) for count in (1, 2, 32)] == [1, 2, 32]
    assert worker_count(0) == min(len(allowed), MAX_WORKERS)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert worker_count(0) == 1
    finally:
        os.sched_setaffinity(0, allowed)
