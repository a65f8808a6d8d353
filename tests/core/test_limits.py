"""Buckets and counts of peers and callers, by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import limits as limits_module
from engine.core.limits import CALLER_WINDOW_S, PEER_WINDOW_S, InUse, Limits
from engine.core.outputs import InProgress
from engine.core.records import Attempt, CallRecord
from engine.core.settings import PeerSettings, PolicySettings


def peer(max_calls: int = 0, max_rate: int = 0, name: str = "p") -> PeerSettings:
    return PeerSettings(name, (), (), max_calls=max_calls, max_rate=max_rate)


def call(number: int, ingress: str = "p", caller: str = "13800138000", kind: str = "voice") -> CallRecord:
    record = CallRecord(f"record-{number}", "n", kind)
    record.ingress_peer, record.caller = ingress, caller
    return record


def in_progress(*records: CallRecord) -> dict[str, InProgress]:
    attempts = {record.record_id: InProgress() for record in records}
    for record in records:
        attempts[record.record_id].record = record
    return attempts


@given(st.integers(1, 50), st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_a_bucket_admits_at_most_its_limit_and_what_has_filled(limit: int, times: list[float]) -> None:
    """In any stretch of time: what it holds, and what it fills with; and never less than its rate when asked often."""
    limits = Limits({})
    admitted = [at for at in sorted(times) if limits.admits(peer(max_rate=limit), "voice", 1000.0 + at)]
    for first, began in enumerate(admitted):
        for last, ended in enumerate(admitted[first:], 1):
            assert last <= limit + (ended - began) * limit / PEER_WINDOW_S + 1e-6
    assert len(admitted) >= min(len(times), limit)


@given(st.integers(1, 300))
def test_a_bucket_gives_its_rate_to_who_asks_evenly(limit: int) -> None:
    limits = Limits({})
    asked = [limits.admits(peer(max_rate=limit), "voice", 5.0 + number / limit) for number in range(3 * limit)]
    assert all(asked)


def test_a_full_bucket_is_a_second_of_a_peer() -> None:
    limits = Limits({})
    assert [limits.admits(peer(max_rate=3), "voice", 10.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [limits.admits(peer(max_rate=3), "message", 10.4) for _ in range(2)] == [True, False]
    assert [limits.admits(peer(max_rate=3), "voice", 20.0) for _ in range(5)] == [True] * 3 + [False] * 2


def test_a_limit_that_changes_applies_at_once_and_what_was_used_stays_used() -> None:
    limits = Limits({})
    assert all(limits.admits(peer(max_rate=4), "voice", 10.0) for _ in range(4))
    assert not limits.admits(peer(max_rate=2), "voice", 10.1)
    assert limits.admits(peer(max_rate=100), "voice", 10.1)


def test_the_first_limit_counts_what_is_in_progress() -> None:
    attempts = in_progress(call(1), call(2, ingress="q"), call(3, kind="message"))
    attempts["record-2"].record.egress_peer = "p"
    limits = Limits(attempts)
    assert limits.admits(peer(max_rate=1), "voice", 1.0)
    assert not limits.is_counting
    assert not limits.admits(peer(max_calls=2), "voice", 1.0)
    assert limits.is_counting
    assert limits.admits(peer(max_calls=2), "message", 1.0)
    limits.ended("record-1")
    limits.ended("record-1")  # once is enough
    assert limits.admits(peer(max_calls=2), "voice", 1.0)


def test_a_call_counts_for_the_peer_that_it_is_tried_at_and_for_no_other() -> None:
    limits = Limits({})
    one, two = peer(max_calls=1, name="one"), peer(max_calls=1, name="two")
    assert limits.admits(peer(max_calls=9, name="p"), "voice", 1.0)
    first, second = call(1), call(2)
    for record in (first, second):
        limits.began(record)
    assert limits.takes(one, first, 1.0)
    first.attempts.append(Attempt("one", "sip:1", "c", ""))
    assert limits.takes(one, first, 1.0), "another target of the same peer"
    assert not limits.takes(one, second, 1.0)
    assert limits.takes(two, first, 1.0)
    assert limits.takes(one, second, 1.0), "the first has moved on"
    limits.ended("record-1")
    limits.ended("record-2")
    assert (limits._calls, limits._held) == ({}, {})


def test_a_call_from_a_peer_to_itself_counts_once() -> None:
    limits = Limits({})
    both = peer(max_calls=1, max_rate=1)
    record = call(1)
    assert limits.admits(both, "voice", 1.0)
    limits.began(record)
    assert limits.takes(both, record, 1.0)
    record.egress_peer = "p"
    limits.ended("record-1")
    assert limits._calls == {}


def test_a_call_that_has_left_a_peer_is_on_its_account_no_more() -> None:
    """Neither where it goes on to a peer without limits, nor where it returns to the one that it came from."""
    limits = Limits({})
    one, free, ingress = peer(max_calls=1, name="one"), peer(name="free"), peer(max_calls=9)
    assert limits.admits(ingress, "voice", 1.0)
    for number, other in enumerate((free, ingress)):
        record = call(number)
        limits.began(record)
        assert limits.takes(one, record, 1.0)
        record.attempts.append(Attempt("one", "sip:1", "c", ""))
        assert limits.takes(other, record, 1.0)
        record.attempts.append(Attempt(other.name, "sip:2", "c", ""))
        assert "one" not in limits._calls
    assert limits._calls["p"] == 2, "it counts once for the peer that it has come from"
    for number in range(2):
        limits.ended(f"record-{number}")
    assert (limits._calls, limits._held) == ({}, {})


def test_a_caller_has_a_minute_and_each_trunk_its_own() -> None:
    limits = Limits({})
    policy = PolicySettings(caller_max_rate=2)
    assert [limits.admits_caller(policy, call(n), 100.0) for n in range(3)] == [True, True, False]
    assert limits.admits_caller(policy, call(4, ingress="q"), 100.0)
    assert limits.admits_caller(policy, call(5, caller="13900139000"), 100.0)
    assert not limits.admits_caller(policy, call(6), 100.0 + CALLER_WINDOW_S / 2 - 0.1)
    assert limits.admits_caller(policy, call(7), 100.0 + CALLER_WINDOW_S / 2 + 0.1)


def test_a_turn_of_the_window_gives_nobody_a_second_bucket() -> None:
    limits = Limits({})
    policy = PolicySettings(caller_max_rate=2)
    limits.admits_caller(policy, call(0, caller="13900139000"), 0.0)
    just_before = CALLER_WINDOW_S - 0.1
    assert [limits.admits_caller(policy, call(n), just_before) for n in range(3)] == [True, True, False]
    assert not limits.admits_caller(policy, call(4), CALLER_WINDOW_S + 0.1)


@pytest.mark.pure
def test_callers_are_remembered_for_two_windows_at_most(monkeypatch: Any) -> None:
    monkeypatch.setattr(limits_module, "MAX_CALLERS", 10)
    limits = Limits({})
    policy = PolicySettings(caller_max_rate=1)
    for number in range(100):
        assert limits.admits_caller(policy, call(number, caller=f"138{number:08}"), 1.0)
        assert len(limits._callers) + len(limits._callers_before) <= 20
    assert not limits.admits_caller(policy, call(100, caller="13800000099"), 1.0)
    assert limits.admits_caller(policy, call(101, caller="13800000000"), 1.0), "beyond the bound the oldest start anew"
    limits.admits_caller(policy, call(102), 1.0 + 3 * CALLER_WINDOW_S)
    assert (len(limits._callers), limits._callers_before) == (1, {})


def test_calls_of_a_caller_are_counted_with_the_one_that_asks() -> None:
    attempts = in_progress(call(1), call(2))
    limits = Limits(attempts)
    assert not limits.admits_caller(PolicySettings(caller_max_calls=1), call(2), 1.0)
    assert limits.admits_caller(PolicySettings(caller_max_calls=2), call(2), 1.0)
    assert limits.admits_caller(PolicySettings(caller_max_calls=1), call(3, kind="message"), 1.0)


def test_what_is_in_use_is_told_whether_it_is_counted_or_not() -> None:
    """And telling it changes nothing: nothing is counted for it from then on."""
    some = [call(1, "a", "1"), call(2, "a", "1"), call(3, "a", "2"), call(4, "a", "1", "message")]
    for record, egress in zip(some, ("b", "a", "", "b"), strict=True):
        record.egress_peer = egress
    limits = Limits(in_progress(*some))
    assert limits.in_use(["a", "b", "c"], "a", "1", 0.0) == InUse({"a": 3, "b": 1}, {}, 2, 0.0)
    assert not limits.is_counting
    assert not limits.admits(peer(max_calls=1, name="a"), "voice", 0.0)
    assert limits.is_counting
    assert limits.in_use(["a", "b", "c"], "a", "1", 0.0) == InUse({"a": 3, "b": 1}, {}, 2, 0.0)


def test_what_is_assumed_is_what_was_in_use() -> None:
    """Another table that assumes it admits what this one would."""
    policy = PolicySettings(caller_max_calls=2, caller_max_rate=2)
    told, other = Limits(in_progress(call(1, "a", "1"))), Limits({})
    assert told.admits(peer(max_calls=5, max_rate=1, name="a"), "voice", 100.0)
    assert told.admits_caller(policy, call(2, "a", "1"), 100.0)
    other.assume(told.in_use(["a"], "a", "1", 100.2), "a", "1", 7.0)
    for limits, now in ((told, 100.2), (other, 7.0)):
        assert not limits.admits(peer(max_rate=1, name="a"), "voice", now)
        assert limits.admits_caller(policy, call(3, "a", "1"), now)
        assert not limits.admits_caller(policy, call(4, "a", "1"), now)
