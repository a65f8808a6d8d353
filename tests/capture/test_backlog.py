"""What waits for a reader is bounded in number and in octets, and what is lost is counted."""

from __future__ import annotations

import pytest

from engine.capture.backlog import MAX_BYTES, MAX_MESSAGES, Backlog, Captured
from sipstack.events import Flow

FLOW = Flow("UDP", "192.0.2.1", 5060)


def of(size: int) -> Captured:
    return Captured(0.0, False, b"x" * size, FLOW, "")


@pytest.mark.parametrize(("size", "room"), [(1, MAX_MESSAGES), (64 * 1024, MAX_BYTES // (64 * 1024))])
def test_what_finds_no_room_is_lost(size: int, room: int) -> None:
    backlog = Backlog()
    for _ in range(room + 3):
        backlog.add(of(size))
    assert (backlog.seen, backlog.lost) == (room + 3, 3)
    taken = backlog.take()
    for _ in taken:
        backlog.add(of(size))  # there is room again for as many
    assert backlog.lost == 3
    left = len(taken)
    while batch := backlog.take():
        left += len(batch)
    assert left == room + len(taken)


def test_a_batch_is_bounded_and_in_order() -> None:
    backlog = Backlog()
    for size in (300_000, 1, 2, 3):
        backlog.add(of(size))
    assert [len(one.data) for one in backlog.take()] == [300_000]
    assert [len(one.data) for one in backlog.take()] == [1, 2, 3]
    assert backlog.take() == []
