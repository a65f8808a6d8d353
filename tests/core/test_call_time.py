"""Durations are right whatever the wall clock does: a step in the middle of a call, or while no node runs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.corenode import CALLEE, CALLER, WALL_AT_START, A, B, CoreNode
from tests.core.parties import Talk, answer, ring, start, talking
from tests.core.restart import restarted

HOUR_S = 3600.0


def step_clock(node: CoreNode, by_s: float) -> None:
    """The wall clock is set; the shell notices."""
    node.service.set_wall_clock(node.context.wall_offset_s + by_s)


def hung_up(talk: Talk) -> None:
    """The caller hangs up; whatever else was on its way is gone first."""
    talk.node.book.sent.clear()
    talk.from_caller("BYE")
    talk.node.book.wire_in(answer(talk.node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    talk.node.book.wire_out("SIP/2.0 200", CALLER)


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S])
def test_step_in_the_middle_of_a_call(step_s: float) -> None:
    talk = talking(CoreNode())
    talk.node.wait(30)
    step_clock(talk.node, step_s)
    talk.node.wait(12.5)
    hung_up(talk)
    record = talk.node.record
    assert (record["duration_ms"], record["bill_seconds"], record["duration_source"]) == (42_500, 43, "monotonic")
    assert record["release_time"] == pytest.approx(WALL_AT_START + 42.5 + step_s)  # the stamp is the clock's


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S])
def test_step_while_it_rings(step_s: float) -> None:
    node = CoreNode()
    sent = start(node)
    ring(node, sent)
    step_clock(node, step_s)
    node.wait(7)
    node.book.wire_in(answer(sent, 486), CALLEE)
    assert (node.record["ring_ms"], node.record["duration_ms"]) == (7_000, 0)


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S])
def test_step_over_a_restart(step_s: float) -> None:
    talk = talking(CoreNode())
    talk.node = restarted(talk.node, after_s=60.0, clock_step_s=step_s)
    talk.node.wait(2)
    hung_up(talk)
    record = talk.node.record
    assert (record["duration_ms"], record["duration_source"]) == (62_000, "monotonic")
    assert record["answer_time"] == WALL_AT_START


@pytest.mark.parametrize(("step_s", "talked_ms"), [(0.0, 62_000), (-HOUR_S, 2_000), (HOUR_S, 3_662_000)])
def test_machine_that_is_started_anew_leaves_the_wall_clock(step_s: float, talked_ms: int) -> None:
    """It cannot be told from a longer pause, but nothing is negative, and what follows is by the monotonic clock."""
    talk = talking(CoreNode())
    talk.node = restarted(talk.node, after_s=60.0, boot_id="another boot", clock_step_s=step_s)
    talk.node.wait(1)
    step_clock(talk.node, -HOUR_S)
    talk.node.wait(1)
    hung_up(talk)
    assert (talk.node.record["duration_ms"], talk.node.record["duration_source"]) == (talked_ms, "wall")


def test_what_the_wall_clock_has_told_is_told_so_by_later_runs() -> None:
    """Also when the call changes in between, and is written anew."""
    talk = talking(CoreNode())
    talk.node = restarted(talk.node, after_s=60.0, boot_id="another boot")
    talk.from_callee("UPDATE", f"Contact: <sip:{B}@127.0.0.13:5064>")
    update = talk.node.book.wire_out("UPDATE ", CALLER)
    talk.node.book.wire_in(answer(update, 200, contact=f"<sip:{A}@127.0.0.12:5060>"), CALLER)
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.node = restarted(talk.node, after_s=3.0)
    talk.node.book.sent.clear()
    talk.from_callee("BYE")
    talk.node.book.wire_in(answer(talk.node.book.wire_out("BYE ", CALLER), 200), CALLER)
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)
    assert (talk.node.record["duration_ms"], talk.node.record["duration_source"]) == (63_000, "wall")


PERIODS = st.lists(
    st.tuples(
        st.sampled_from(("talks", "dies", "clock")),
        st.floats(0.01, 50.0),
        st.sampled_from((-HOUR_S, -1.0, 2.0, HOUR_S)),
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(periods=PERIODS)
def test_duration_is_the_sum_of_its_parts(periods: list[tuple[str, float, float]]) -> None:
    """Of talk and of pauses without a node, in any order, the clock being set in between."""
    CoreNode.made.clear()
    talk = talking(CoreNode())
    total_s = 0.0
    for what, seconds, step_s in periods:
        if what == "clock":
            step_clock(talk.node, step_s)
            continue
        total_s += seconds
        if what == "talks":
            talk.node.wait(seconds)
            talk.from_caller("ACK")  # to a 2xx that was sent again
        else:
            talk.node = restarted(talk.node, after_s=seconds, clock_step_s=step_s)
            talk.from_caller("ACK")
    hung_up(talk)
    record = talk.node.record
    assert record["duration_ms"] == pytest.approx(total_s * 1000.0, abs=1.0)
    assert record["duration_source"] == "monotonic"
    talk.node.assert_rests()
    CoreNode.made.clear()
