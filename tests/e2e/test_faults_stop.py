"""SIGTERM under load: who talks talks on, who is new is sent away, and nothing that was said is missing on disk."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.e2e.loaded import BYE_S, UNDISTURBED, Load
from tests.e2e.waiting import wait_for

SENT_AWAY_S = 0.5  # so long callers go on trying
BEHIND_S = 1.0  # so far a machine that is busy with other things may lag behind its callers


@pytest.mark.paced
@pytest.mark.parametrize("rate", [100, pytest.param(300, marks=pytest.mark.long)])
def test_sigterm_under_load(make_node: Any, sipp: Any, rate: int) -> None:
    load = Load(make_node(), sipp, rate, 12.0)
    load.start()
    assert load.node.process is not None
    assert load.caller.process is not None
    time.sleep(2.0)
    load.node.process.send_signal(signal.SIGTERM)
    told_s = time.time()
    wait_for(lambda: load.node.status()["state"] == "draining")
    heard_s = time.time()
    time.sleep(SENT_AWAY_S)
    load.caller.process.send_signal(signal.SIGUSR1)  # no new calls
    assert load.node.wait(within_s=20.0) == 0
    drained_s = time.time() - told_s
    load.wait()
    assert load.said == ""
    load.check_records()

    print(f"drained in {drained_s:.2f} s")
    assert {account.status for account in load.asked(before_s=told_s - BEHIND_S)} == UNDISTURBED
    sent_away = load.asked(heard_s)
    assert {account.status for account in sent_away} == {503}
    finals = [next(m for m in account.messages if m.status == 503) for account in sent_away]
    assert {(final.value("Retry-After"), final.value("Reason")) for final in finals} == {("5", "Q.850;cause=42")}
    assert {account.record["release_cause"] for account in sent_away if account.record is not None} == {"OVERLOAD"}
    assert load.hung_up(told_s) < BYE_S
