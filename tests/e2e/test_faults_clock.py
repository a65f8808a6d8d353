"""The wall clock steps under load: no timer and no duration follows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.accounts import Account
from tests.e2e.loaded import BYE_S, UNDISTURBED, Load, at_s
from tests.e2e.misbehave import Misbehaviour, built

RATE = 40  # calls per second
EACH_S = 1.5  # how long each time lasts: the node looks at the clock once a second
HOUR_S = 3600
STEPS = (HOUR_S, -HOUR_S, 0)
LONG_STEPS = (*STEPS, 25 * HOUR_S, -25 * HOUR_S, 1, -1, 0)
TOLD_WITHIN_S = 1.0


@pytest.mark.paced
@pytest.mark.parametrize("steps", [STEPS, pytest.param(LONG_STEPS, marks=pytest.mark.long)], ids=["hours", "days"])
def test_clock_steps(make_node: Any, sipp: Any, tmp_path: Path, steps: tuple[int, ...]) -> None:
    load = Load(make_node(), sipp, RATE, EACH_S * (len(steps) + 1))
    clock = Misbehaviour(built(tmp_path), load.node)
    load.start()
    for offset_s in steps:
        time.sleep(EACH_S)
        clock.step_clock(offset_s)
    figures = load.wait()
    assert load.asks_once(figures)
    load.check_node()
    load.check_records()
    assert load.said == ""
    assert {account.status for account in load.accounts} == UNDISTURBED
    assert load.hung_up() < BYE_S
    wrong = {
        account.messages[0].call_id: account.record
        for account in load.accounts
        if account.status == 200 and not is_true(account)
    }
    assert wrong == {}
    hours = {round((called_s(account) - account.asked_at_s) / HOUR_S) for account in load.accounts}
    assert hours == {0, *(round(offset_s / HOUR_S) for offset_s in steps)}, "calls began at each of these times"


def called_s(account: Account) -> float:
    """What the node's clock said when the call began."""
    assert account.record is not None
    return at_s(account.record["call_time"])


def is_true(account: Account) -> bool:
    """The duration is the one that the caller knows: from the answer to its BYE."""
    record = account.record
    assert record is not None
    assert account.bye_at_s is not None
    talked_s = account.bye_at_s - account.asked_at_s - account.wait_s
    return (
        record["duration_source"] == "monotonic"
        and abs(record["duration_ms"] / 1000 - talked_s) < TOLD_WITHIN_S
        and 0 <= record["ring_ms"] < 1000  # 0: a busy machine had the node read 180 and 200 at once
        and record["bill_seconds"] == -(-record["duration_ms"] // 1000)
        and (record["release_cause"], record["release_direction"]) == ("NORMAL", "caller")
    )
