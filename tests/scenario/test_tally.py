"""What is counted of each element, why calls have failed, and times in little memory."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import pytest

from sipstack.scenario.tally import MAX_FAILURES, Counts, Failure, Tally, Times
from tests.scenario.scenes import Clocked, recv, request, response, scenario, send


def test_each_element_counts_its_messages(tmp_path: Path) -> None:
    call = Clocked(
        scenario(tmp_path, send("INVITE", retrans="500"), recv("180", optional="true"), recv("200"), "<pause/>")
    )
    call.waits(0.6)
    ringing = response(180)
    call.hears(ringing, ringing, response(200))
    assert call.tally.elements == [
        Counts(messages=1, retransmissions=1),
        Counts(messages=1, retransmissions=1),
        Counts(messages=1),
        Counts(messages=1),
    ]


@pytest.mark.parametrize(
    ("seconds", "message", "kind", "counts"),
    [
        (9, None, Failure.RECV_TIMEOUT, Counts(timeouts=1)),
        (0, request("INFO"), Failure.UNEXPECTED, Counts(unexpected=1)),
    ],
)
def test_a_failure_has_its_kind_and_its_place(
    tmp_path: Path, seconds: float, message: object, kind: Failure, counts: Counts
) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("200", timeout="500")))
    call.waits(seconds)
    if message is not None:
        call.hears(message)  # type: ignore[arg-type]
    assert (call.tally.reasons, call.tally.elements[1]) == ({kind: 1}, counts)


def test_no_answer_at_all_has_its_own_kind(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE", retrans="500"), recv("200")), max_invite_retrans=2)
    call.waits(60)
    assert call.tally.reasons == {Failure.MAX_RETRANS: 1}
    assert call.tally.elements[0] == Counts(messages=1, retransmissions=2, timeouts=1)


def test_only_the_first_failures_are_kept() -> None:
    tally = Tally.of(1)
    for number in range(MAX_FAILURES + 5):
        tally.fail(f"{number}")
    assert (tally.failed, tally.failures[-1]) == (MAX_FAILURES + 5, f"{MAX_FAILURES - 1}")


def test_times_are_known_to_two_per_cent() -> None:
    draw = random.Random(7)
    seconds = [draw.expovariate(20) for _ in range(5000)]
    times = Times([10, 50, 200])
    for one in seconds:
        times.add(one)
    ms = sorted(one * 1000 for one in seconds)
    assert times.mean_ms == pytest.approx(statistics.mean(ms))
    assert times.deviation_ms == pytest.approx(statistics.pstdev(ms))
    for percent in (50, 95, 99):
        assert times.percentile_ms(percent) == pytest.approx(ms[len(ms) * percent // 100], rel=0.03)
    assert times.below == [
        sum(one < 10 for one in ms),
        sum(10 <= one < 50 for one in ms),
        sum(50 <= one < 200 for one in ms),
        sum(one >= 200 for one in ms),
    ]
    assert len(times._classes) < 760


def test_nothing_measured_is_zero() -> None:
    times = Times()
    assert (times.mean_ms, times.deviation_ms, times.percentile_ms(99)) == (0.0, 0.0, 0.0)
    times.add(0.0)
    assert times.percentile_ms(50) == pytest.approx(0.001, rel=0.02)


def test_response_times_and_counters_by_name() -> None:
    tally = Tally.of(1, [10], [100])
    tally.responded("2", 0.02)
    tally.counted("a")
    tally.counted("a")
    assert (tally.response_times["2"].below, tally.call_lengths.bounds_ms, tally.counters) == ([0, 1], (100,), {"a": 2})
