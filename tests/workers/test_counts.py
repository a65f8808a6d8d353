"""Limits of one node among several workers: what one has in use counts in the others, and outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.core.limits import Limits
from engine.core.records import CallRecord
from engine.core.settings import PeerSettings, PolicySettings
from engine.workers.counts import BUCKETS, WAYS, SharedCounts, make_page

WORKERS = 3


@pytest.fixture
def page() -> Iterator[int]:
    descriptor = make_page(WORKERS)
    yield descriptor
    os.close(descriptor)


def limits(page: int, worker: int) -> Limits:
    made = Limits({})
    made.share(SharedCounts(page, worker, WORKERS))
    made.count()
    return made


def call(number: int, caller: str = "13800138000") -> CallRecord:
    record = CallRecord(f"r{number}", "n", "voice")
    record.ingress_peer, record.caller = "core", caller
    return record


def test_calls_of_all_workers_count_against_a_limit(page: int) -> None:
    peer = PeerSettings("core", (), (), max_calls=3)
    workers = [limits(page, one) for one in range(WORKERS)]
    for number, one in enumerate(workers):
        assert one.admits(peer, "voice", 0.0)
        one.began(call(number))
    assert [one.admits(peer, "voice", 0.0) for one in workers] == [False] * WORKERS
    workers[1].ended("r1")
    assert [one.admits(peer, "voice", 0.0) for one in workers] == [True] * WORKERS


def test_calls_of_one_caller_count_in_all_workers(page: int) -> None:
    policy = PolicySettings(caller_max_calls=1)
    first, second, _ = (limits(page, one) for one in range(WORKERS))
    first.began(call(1))
    assert first.admits_caller(policy, call(1), 0.0), "the attempt itself is counted"
    second.began(call(2))
    assert not second.admits_caller(policy, call(2), 0.0)
    second.began(call(3, "13900139000"))
    assert second.admits_caller(policy, call(3, "13900139000"), 0.0)


def test_a_rate_is_one_for_all_workers(page: int) -> None:
    peer = PeerSettings("core", (), (), max_rate=6)
    workers = [limits(page, one) for one in range(WORKERS)]
    now, admitted = 100.0, 0
    for _ in range(40):  # four seconds, thirty asked for in each
        for one in workers:
            admitted += one.admits(peer, "voice", now)
        now += 0.1
    assert 24 <= admitted <= 30  # six a second, and what a bucket holds


def test_what_was_used_up_is_known_to_the_next_process(page: int) -> None:
    peer = PeerSettings("core", (), (), max_rate=2)
    assert [limits(page, 0).admits(peer, "voice", 7.0) for _ in range(3)] == [True, True, False]


def test_calls_count_until_the_next_process_has_counted_them(page: int) -> None:
    peer = PeerSettings("core", (), (), max_calls=2)
    gone, other = limits(page, 0), limits(page, 1)
    gone.began(call(1))
    gone.began(call(2))
    assert not other.admits(peer, "voice", 0.0)
    shared = SharedCounts(page, 0, WORKERS)
    shared.forget_calls()
    again = Limits({})
    again.share(shared)
    again.count()
    again.began(call(2))  # adopted
    assert other.admits(peer, "voice", 0.0)
    other.began(call(3))
    assert not again.admits(peer, "voice", 0.0)


def test_another_process_sees_it(page: int) -> None:
    limits(page, 0).began(call(1))
    program = (
        f"from engine.workers.counts import SharedCounts as S; print(S({page}, 1, {WORKERS}).calls_elsewhere('core'))"
    )
    done = subprocess.run([sys.executable, "-c", program], pass_fds=[page], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_more_keys_than_there_is_room_for_are_not_shared_and_harm_none(page: int) -> None:
    shared, other = SharedCounts(page, 0, WORKERS), SharedCounts(page, 1, WORKERS)
    keys = [f"core {number}" for number in range(2 * BUCKETS * WAYS)]
    for key in keys:
        shared.set_calls(key, 1)
    found = [other.calls_elsewhere(key) for key in keys]
    assert set(found) == {0, 1}
    assert sum(found) > BUCKETS * WAYS * 0.9
    for key in keys:
        shared.set_calls(key, 0)
    assert not any(other.calls_elsewhere(key) for key in keys)


def test_times_that_are_over_make_room(page: int) -> None:
    shared = SharedCounts(page, 0, WORKERS)
    keys = [f"core {number}" for number in range(2 * BUCKETS * WAYS)]
    for key in keys:
        shared.set_until(key, 10.0, 5.0)
    for key in keys[:100]:
        shared.set_until(key, 30.0, 20.0)
    assert [shared.until(key) for key in keys[:100]] == [30.0] * 100
