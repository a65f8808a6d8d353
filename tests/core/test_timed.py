"""The timers of one attempt behind one alarm in the wheel."""

from __future__ import annotations

import pytest

from engine.core.call import Call
from engine.core.call_table import HOOK_TIMER, MAX_CALL_TIMER, SESSION_TIMER
from engine.core.message_attempt import MessageAttempt
from tests.core.corenode import CoreNode
from tests.core.parties import send, talking


def call_of(node: CoreNode) -> Call:
    (call,) = node.context.attempts.values()
    assert isinstance(call, Call)
    return call


def test_a_timer_behind_the_alarm_waits_for_it_and_one_before_it_does_not() -> None:
    node = CoreNode()
    talking(node)
    call = call_of(node)
    call.set(SESSION_TIMER, 3.0, node.book.now)
    call.set(MAX_CALL_TIMER, 2.0, node.book.now)
    node.book.at(1.99)
    assert call.state_name == "Talking"
    node.book.at(2.0)
    assert call.record.release_cause == "MAX_DURATION"


def test_a_timer_that_was_stopped_or_put_off_does_not_fire_with_the_alarm_that_was_set_for_it() -> None:
    node = CoreNode()
    talking(node)
    call = call_of(node)
    call.set(SESSION_TIMER, 1.0, node.book.now)
    call.stop(SESSION_TIMER)
    call.set(MAX_CALL_TIMER, 1.0, node.book.now)
    call.set(MAX_CALL_TIMER, 2.0, node.book.now)
    node.book.at(1.99)
    assert call.state_name == "Talking" and call.is_set(MAX_CALL_TIMER)
    node.book.at(2.0)
    assert call.record.release_cause == "MAX_DURATION"


def test_of_two_that_are_due_together_the_one_of_an_earlier_time_is_first() -> None:
    node = CoreNode()
    talking(node)
    call = call_of(node)
    call.set(MAX_CALL_TIMER, 1.004, node.book.now)
    call.set(SESSION_TIMER, 1.002, node.book.now)
    node.book.at(1.01)
    assert call.record.release_cause == "SESSION_EXPIRED"


def test_a_fault_at_one_timer_costs_the_call_no_other() -> None:
    node = CoreNode()
    talking(node)
    call = call_of(node)
    call.set(HOOK_TIMER, 1.0, node.book.now)  # nobody has been asked
    call.set(MAX_CALL_TIMER, 2.0, node.book.now)
    with pytest.raises(AssertionError):
        node.book.at(1.0)
    node.book.at(2.0)
    assert call.record.release_cause == "MAX_DURATION"


def test_an_ended_call_is_woken_once_and_then_forgotten() -> None:
    node = CoreNode()
    talk = talking(node)
    call = call_of(node)
    talk.hang_up()
    wheel = node.context.wheel
    slots = [slot for slot, held in wheel._slots.items() for timer in held.timers if timer.owner is call]
    assert [round(slot * wheel.tick_s - node.book.now) for slot in slots] == [37]


def test_of_many_timers_the_wheel_holds_few() -> None:
    node = CoreNode()
    talk = talking(node)
    call = call_of(node)
    before = node.context.wheel.entries
    for code in (SESSION_TIMER, MAX_CALL_TIMER):
        for _ in range(10):
            call.set(code, 1_000.0, node.book.now)
    assert node.context.wheel.entries == before
    call.stop(SESSION_TIMER)
    talk.hang_up()


def message_of(node: CoreNode) -> MessageAttempt:
    (attempt,) = node.context.attempts.values()
    assert isinstance(attempt, MessageAttempt)
    return attempt


def test_the_one_timer_of_a_message_waits_behind_an_alarm_that_was_set_for_an_earlier_time() -> None:
    node = CoreNode()
    send(node)
    attempt = message_of(node)  # its alarm is that of the store, 5 s; it waits for the delivery, 20 s
    attempt.set_timer(7.0, node.book.now)
    node.book.at(6.99)
    assert attempt.state_name == "Sending"
    node.book.at(7.0)
    assert attempt.record.decided_by == "message_timer"


def test_the_one_timer_of_a_message_may_be_set_for_an_earlier_time_than_its_alarm() -> None:
    node = CoreNode()
    send(node)
    attempt = message_of(node)
    attempt.set_timer(1.0, node.book.now)
    node.book.at(1.0)
    assert attempt.record.decided_by == "message_timer"


def test_the_one_timer_of_a_message_that_was_stopped_does_not_fire_and_may_be_set_again() -> None:
    node = CoreNode()
    send(node)
    attempt = message_of(node)
    attempt.stop_timer()
    node.book.at(6.0)
    assert attempt.state_name == "Sending"
    attempt.set_timer(1.0, node.book.now)
    node.book.at(7.0)
    assert attempt.record.decided_by == "message_timer"
