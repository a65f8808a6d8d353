"""The disk misbehaves under load: who cannot be recorded is refused at once, who talks can hang up, nothing is lost."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.node import Node, unsound
from scenarios.rig.sipp import Sipp
from tests.e2e.accounts import Account, accounts_of, check_numbers, told_otherwise, unrecorded
from tests.e2e.misbehave import Misbehaviour, built
from tests.e2e.prober import answers_all_the_while
from tests.e2e.stories import many

RATE = 40  # calls per second
BEFORE_S = 1.5  # of undisturbed traffic, longer than the longest call
AFTER_S = 2.2  # traffic after the fault

NOTICED_S = 0.3  # by then the node knows that its store is down
BACK_S = 1.3  # by then it knows that it is back: it looks once a second
AT_ONCE_S = 0.3  # a refusal by a node that knows; SIPp and this test want the processors, too
BYE_S = 0.5 + 0.3
SLOW_S = 1.5  # three steps, each of which may have to wait for the one before it

FAILURES = {
    "full": {"write_errno": errno.ENOSPC},
    "read-only": {"write_errno": errno.EROFS},
    "broken": {"write_errno": errno.EIO},
    "sync-fails": {"sync_errno": errno.EIO},
}


class Run:
    """A node under load whose disk misbehaves in the middle, and what became of each call."""

    def __init__(self, node: Node, sipp: Any, folder: Path, fault_s: float) -> None:
        self.node = node
        self.fault_s = fault_s
        self.disk = Misbehaviour(built(folder), node)
        self._sipp = sipp
        self._count = int(RATE * (BEFORE_S + fault_s + AFTER_S))
        self.bound = many(0, self._count, "139")
        self.began_s = self.over_s = 0.0  # of the fault, seconds since the epoch
        self.accounts: list[Account] = []

    def start(self) -> tuple[Sipp, Sipp]:
        """Bindings, node, load."""
        place = self.node.place
        self.node.import_bindings(self.bound)
        self.node.start()
        seconds = int(self.fault_s + 40)
        callee: Sipp = self._sipp(
            "uas_through_faults", place.callee, calls=None, timeout_s=seconds, options=("-key", "contact", place.callee)
        )
        caller: Sipp = self._sipp(
            "uac_through_faults", place.caller, target=place.node, rows=[(b.x, b.a) for b in self.bound],
            calls=self._count, rate=RATE, timeout_s=seconds, options=("-key", "contact", place.caller),
        )  # fmt: skip
        return caller, callee

    @contextmanager
    def with_fault(self, **faults: int) -> Iterator[None]:
        """Load from start to end, and the fault in the block's time; a block that does nothing waits for it."""
        caller, callee = self.start()
        with answers_all_the_while(self.node):
            time.sleep(BEFORE_S)
            with self.disk.on(**faults):
                self.began_s = time.time()
                yield
                time.sleep(max(0.0, self.began_s + self.fault_s - time.time()))
            self.over_s = time.time()
            figures = caller.wait()
        print(f"{figures.successful} through, {figures.failed} failed, {figures.retransmissions} sent again")
        assert figures.failed == 0, figures.errors
        callee.end()
        status = self.node.status()
        print("status at the end:", status)
        assert (unsound(status["counters"]), status["calls"]) == ({}, 0)
        assert (status["store_fault"], status["spooled"]) == ("", 0)
        assert self.node.stop() == 0
        self.accounts = accounts_of(self.node, caller.messages)
        assert len(self.accounts) == self._count
        assert unrecorded(self.accounts) == []
        assert told_otherwise(self.accounts) == {}
        assert [account for account in self.accounts if account.record is None or not account.status] == []
        check_numbers(caller, callee, self.bound)

    def asked(self, after_s: float, before_s: float) -> list[Account]:
        """Those that called within these times."""
        found = [account for account in self.accounts if after_s < account.asked_at_s < before_s]
        assert len(found) > RATE / 2
        return found

    def check_hanging_up(self) -> None:
        """BYEs are answered within 500 ms, those in the time of the fault as well."""
        waits = {account.bye_at_s: account.bye_wait_s for account in self.accounts if account.bye_at_s is not None}
        during = [wait for at, wait in waits.items() if self.began_s < at < self.over_s]
        print(f"{len(during)} hung up during the fault, the longest waited {max(during):.3f} s")
        assert len(during) > RATE / 8
        assert max(waits.values()) < BYE_S

    def check_spool_first(self) -> None:
        """What ended while the store was down stands before all that ended when it was back."""
        records = [account.record for account in self.accounts]
        ended = {record["seq"]: seconds(record["release_time"]) for record in records}
        during = [seq for seq, at in ended.items() if self.began_s + NOTICED_S < at < self.over_s - 0.1]
        later = [seq for seq, at in ended.items() if at > self.over_s + BACK_S]
        assert max(during) < min(later)


def seconds(rfc3339: str) -> float:
    """Since the epoch."""
    return datetime.fromisoformat(rfc3339).timestamp()


@pytest.fixture
def make_run(make_node: Any, sipp: Any, tmp_path: Path) -> Any:
    return lambda fault_s: Run(make_node(), sipp, tmp_path, fault_s)


LONG = pytest.mark.long


@pytest.mark.alone
@pytest.mark.parametrize("failure", [pytest.param(name, marks=() if name == "full" else LONG) for name in FAILURES])
def test_disk_that_fails(make_run: Any, failure: str) -> None:
    run: Run = make_run(2.0)
    with run.with_fault(**FAILURES[failure]):
        time.sleep(run.fault_s * 0.8)
        status = run.node.status()
    print("status during the fault:", status)
    assert status["store_fault"] != ""
    assert status["spooled"] > RATE
    assert status["state"] == "running"
    refused = run.asked(run.began_s + NOTICED_S, run.over_s - 0.1)
    assert {account.status for account in refused} <= {500, 503}
    print(f"refused: {len(refused)}, the longest waited {max(account.wait_s for account in refused):.3f} s")
    assert max(account.wait_s for account in refused) < AT_ONCE_S
    assert {account.status for account in run.asked(run.over_s + BACK_S, run.over_s + 60)} == {200}
    assert {account.status for account in run.asked(0.0, run.began_s - 0.3)} == {200}
    run.check_hanging_up()
    run.check_spool_first()


@pytest.mark.alone
@pytest.mark.long
def test_slow_disk(make_run: Any) -> None:
    """Each sync takes a tenth of a second: calls take longer, and go through."""
    run: Run = make_run(5.0)
    with run.with_fault(sync_delay_ms=100):
        pass
    assert {account.status for account in run.accounts} == {200}
    waits = [account.wait_s for account in run.asked(run.began_s, run.over_s)]
    print(f"set up during the fault in {min(waits):.3f} to {max(waits):.3f} s")
    assert 0.2 < max(waits) < SLOW_S
    run.check_hanging_up()
