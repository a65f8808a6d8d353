"""The disk misbehaves under load: who cannot be recorded is refused at once, who talks can hang up, nothing is lost."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.loaded import BYE_S, UNDISTURBED, Load, at_s, sleep_until
from tests.e2e.misbehave import Misbehaviour, built
from tests.e2e.prober import answers_all_the_while

RATE = 40  # calls per second
BEFORE_S = 1.5  # of undisturbed traffic, longer than the longest call
AFTER_S = 4.0  # traffic after the fault

NOTICED_S = 0.3  # by then the node knows that its store is down
BACK_S = 1.7  # by then it knows that it is back: it looks once a second, and makes a new file first
AT_ONCE_S = 0.3  # a refusal by a node that knows; SIPp and this test want the processors, too
SLOW_S = 1.5  # three steps, each of which may have to wait for the one before it
STUCK_S = 2.2  # by then a node knows that its disk is stuck: a write has taken a second, and it looks once a second
GIVES_UP_S = 5.0 + 0.3  # so long an attempt waits for a store of which the node does not know yet

FAILURES = {
    "full": {"write_errno": errno.ENOSPC},
    "read-only": {"write_errno": errno.EROFS},
    "broken": {"write_errno": errno.EIO},
    "sync-fails": {"sync_errno": errno.EIO},
}
LONG = pytest.mark.long


class Run(Load):
    """Load during which the disk misbehaves for some time."""

    def __init__(self, make_node: Any, sipp: Any, folder: Path, fault_s: float) -> None:
        super().__init__(make_node(), sipp, RATE, BEFORE_S + fault_s + AFTER_S)
        self.fault_s = fault_s
        self.disk = Misbehaviour(built(folder), self.node)
        self.began_s = self.over_s = 0.0  # of the fault, seconds since the epoch

    @contextmanager
    def with_fault(self, **faults: int) -> Iterator[None]:
        """Load from start to end, and the fault at the block's time; a block that does nothing waits for it."""
        self.start()
        with answers_all_the_while(self.node):
            time.sleep(BEFORE_S)
            with self.disk.on(**faults):
                self.began_s = time.time()
                yield
                sleep_until(self.began_s + self.fault_s)
            self.over_s = time.time()
            self.wait()
        self.check_node()
        self.check_records()

    def check_hanging_up(self) -> None:
        """BYEs are answered within 500 ms, those in the time of the fault as well."""
        assert max(self.hung_up(self.began_s, self.over_s), self.hung_up()) < BYE_S

    def check_spool_first(self) -> None:
        """What ended while the store was down stands before all that ended when it was back."""
        records = [account.record for account in self.accounts if account.record is not None]
        ended = {record["seq"]: at_s(record["release_time"]) for record in records}
        during = [seq for seq, at in ended.items() if self.began_s + NOTICED_S + self.late_s < at < self.over_s - 0.1]
        later = [seq for seq, at in ended.items() if at > self.over_s + BACK_S + self.late_s]
        assert max(during) < min(later)


@pytest.fixture
def make_run(make_node: Any, sipp: Any, tmp_path: Path) -> Any:
    return lambda fault_s: Run(make_node, sipp, tmp_path, fault_s)


@pytest.mark.paced
@pytest.mark.parametrize("failure", [pytest.param(name, marks=() if name == "full" else LONG) for name in FAILURES])
def test_disk_that_fails(make_run: Any, failure: str) -> None:
    run: Run = make_run(2.0)
    with run.with_fault(**FAILURES[failure]):
        time.sleep(run.fault_s * 0.8)
        status = run.node.status()
    print("status during the fault:", status)
    assert (status["state"], status["store_fault"] != "", status["spooled"] > RATE) == ("running", True, True)
    refused = run.asked(run.began_s + NOTICED_S + run.late_s, run.over_s - 0.1)
    assert {account.status for account in refused} <= {500, 503}
    print(f"refused: {len(refused)}, the longest waited {max(account.wait_s for account in refused):.3f} s")
    assert max(account.wait_s for account in refused) < AT_ONCE_S + run.late_s
    assert {account.status for account in run.asked(run.over_s + BACK_S + run.late_s)} == UNDISTURBED
    assert {account.status for account in run.asked(before_s=run.began_s - 0.3 - run.late_s)} == UNDISTURBED
    run.check_hanging_up()
    run.check_spool_first()


@pytest.mark.alone
@pytest.mark.long
def test_slow_disk(make_run: Any) -> None:
    """Each sync takes a tenth of a second: calls take longer, and go through."""
    run: Run = make_run(5.0)
    with run.with_fault(sync_delay_ms=100):
        pass
    assert {account.status for account in run.accounts} == UNDISTURBED
    waits = [account.wait_s for account in run.asked(run.began_s, run.over_s)]
    print(f"set up during the fault in {min(waits):.3f} to {max(waits):.3f} s")
    assert 0.2 < max(waits) < SLOW_S
    run.check_hanging_up()


@pytest.mark.alone
@pytest.mark.long
def test_stuck_disk(make_run: Any) -> None:
    """A sync that does not return: who comes then is sent away, who waits for it hears so in the end."""
    run: Run = make_run(9.0)
    with run.with_fault(sync_delay_ms=60_000):
        time.sleep(run.fault_s * 0.9)
        status = run.node.status()
    print("status during the fault:", status)
    sent_away = run.asked(run.began_s + STUCK_S, run.over_s - 0.1)
    assert {account.status for account in sent_away} == {503}
    print(f"sent away: {len(sent_away)}, the longest waited {max(account.wait_s for account in sent_away):.3f} s")
    assert max(account.wait_s for account in sent_away) < AT_ONCE_S + run.late_s
    assert max(account.wait_s for account in run.accounts) < GIVES_UP_S
    assert {account.status for account in run.asked(run.over_s + BACK_S + run.late_s)} == UNDISTURBED
    assert status["spooled"] > RATE
    run.check_hanging_up()


@pytest.mark.paced
@pytest.mark.parametrize("locked_s", [3.0, pytest.param(30.0, marks=LONG)])
def test_locked_records(make_node: Any, sipp: Any, locked_s: float) -> None:
    """Who holds up the tables holds up no call: the journal takes the records, and they are loaded once it is free."""
    load = Load(make_node(), sipp, RATE, locked_s + 2.0)
    load.start()
    with answers_all_the_while(load.node):
        time.sleep(1.0)
        with closing(sqlite3.connect(load.node.data_dir / "records.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(locked_s)
            status = load.node.status()
            other.execute("ROLLBACK")
        assert load.asks_once(load.wait())
    print("status while it was locked:", status)
    assert ("busy" in status["load_fault"], status["store_fault"], status["spooled"]) == (True, "", 0)
    assert status["unloaded_bytes"] > 1000 * RATE
    load.check_node()
    load.check_records()
    assert {account.status for account in load.accounts} == UNDISTURBED
    assert load.hung_up() < BYE_S
