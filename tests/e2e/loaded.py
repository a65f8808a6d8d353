"""A node under load while something misbehaves, and what became of each call."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from scenarios.rig.engine import Counted
from scenarios.rig.node import Node, unsound
from scenarios.rig.sipp import Sipp
from tests.e2e.accounts import Account, accounts_of, check_numbers, told_otherwise, unrecorded
from tests.e2e.metronome import Metronome
from tests.e2e.stories import many
from tests.e2e.waiting import wait_for

T1_S = 0.5  # of SIPp
STEPS = 10  # of caller, callee, node and the process that writes records, until a call is answered or has ended
BYE_S = 0.5 + 0.3  # the node answers a BYE within 500 ms; SIPp and the tests want the processors, too


UNDISTURBED = {200, 404}  # what callers hear of a node with which nothing is wrong

_FREE_BLOCK = "70012345679"


class Load:
    """Calls at a steady rate for some time, each between distinct people; they talk for 0.1 to 1.2 s.

    Every tenth dials a number that nobody has: a refusal by policy, which needs its record like any other end.
    """

    def __init__(self, node: Node, sipp: Any, rate: int, run_s: float, longer_s: float = 0.0) -> None:
        """`rate` in calls per second; they talk `longer_s` longer. The node is not started yet."""
        self.node = node
        self._sipp = sipp
        self._rate = rate
        self._run_s = run_s
        self._longer_ms = round(longer_s * 1000)
        count = int(rate * run_s)
        self.bound = many(0, count, "139")
        self._dialled = [(binding.x, binding.a) for binding in self.bound]
        self._dialled[::10] = [(binding.x, binding.a) for binding in many(0, count, "139", _FREE_BLOCK)[::10]]
        self.metronome = Metronome()
        self.callee: Sipp
        self.caller: Sipp
        self.accounts: list[Account] = []

    def start(self) -> None:
        """Bindings, node, phones."""
        node, place = self.node, self.node.place
        node.import_bindings(self.bound)
        node.start()
        self.metronome.start()
        seconds = int(self._run_s + 40)
        self.callee = self._sipp(
            "uas_through_faults", place.callee, calls=None, timeout_s=seconds, options=("-key", "contact", place.callee)
        )
        self.caller = self._sipp(
            "uac_through_faults", place.caller, target=place.node, rows=self._dialled,
            calls=len(self._dialled), rate=self._rate, talk_ms=self._longer_ms, timeout_s=seconds,
            options=("-key", "contact", place.caller),
        )  # fmt: skip

    def wait(self) -> Counted:
        """The caller's figures, once all calls are over; none went against the file."""
        figures = self.caller.wait()
        self.metronome.end()
        print(f"the machine was late by {self.metronome.late_s:.3f} s at most")
        print(f"{figures.successful} through, {figures.failed} failed, {figures.retransmissions} sent again")
        assert figures.failed == 0, figures.errors
        self.callee.end()
        return figures

    def asks_once(self, figures: Counted) -> bool:
        """No caller had to ask again; where the machine kept all waiting for nearly T1 that is no fault."""
        return figures.retransmissions == 0 or self.late_s > T1_S / 2

    @property
    def late_s(self) -> float:
        """For how long at most the machine has kept a call waiting until it was answered, or had ended."""
        return STEPS * self.metronome.late_s

    @property
    def said(self) -> str:
        """What the node has logged, but for how little of the machine it had."""
        return "".join(line for line in self.node.stderr.splitlines(True) if "overload" not in line)

    def check_node(self) -> None:
        """Nothing is left in the node, and nothing went wrong in it; it stops well."""
        wait_for(lambda: self.node.status()["calls"] == 0)  # what callees have to say to their last BYE
        status = self.node.status()
        print("status at the end:", status)
        assert (unsound(status["counters"]), status["calls"]) == ({}, 0)
        assert (status["store_fault"], status["spooled"]) == ("", 0)
        assert status["complete"]
        assert self.node.stop() == 0

    def check_records(self) -> None:
        """Of a node that has stopped: one record for each call, and in it what its caller was told.

        Accounts are from then on of those only that the node had the time for.
        """
        self.accounts = accounts_of(self.node, self.caller.messages)
        assert unrecorded(self.accounts) == []
        assert told_otherwise(self.accounts) == {}
        assert [account for account in self.accounts if account.record is None or not account.status] == []
        check_numbers(self.caller, self.callee, self.bound[: len(self.accounts)])
        served = [one for one in self.accounts if one.record is None or one.record["decided_by"] != "load"]
        print(f"{len(self.accounts) - len(served)} were turned away by a node that had too little of the machine")
        assert len(served) > len(self.accounts) / 4
        self.accounts = served

    def asked(self, after_s: float = 0.0, before_s: float = float("inf")) -> list[Account]:
        """Those that called between these times, seconds since the epoch."""
        found = [account for account in self.accounts if after_s < account.asked_at_s < before_s]
        assert len(found) > self._rate / 4
        return found

    def hung_up(self, after_s: float = 0.0, before_s: float = float("inf")) -> float:
        """The longest wait for the answer to a BYE that a caller sent between these times, less what the machine has
        taken of it."""
        byes = [(a.bye_at_s, a.bye_wait_s) for a in self.accounts if a.bye_at_s is not None]
        waits = [wait for at, wait in byes if wait is not None and after_s < at < before_s]
        print(f"{len(waits)} hung up, the longest waited {max(waits):.3f} s")
        assert len(waits) > self._rate / 8
        return max(waits) - self.late_s


def at_s(rfc3339: str) -> float:
    """A time of a record, in seconds since the epoch."""
    return datetime.fromisoformat(rfc3339).timestamp()


def sleep_until(epoch_s: float) -> None:
    """For moments that are themselves what is tested."""
    time.sleep(max(0.0, epoch_s - time.time()))
