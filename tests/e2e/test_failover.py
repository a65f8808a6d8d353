"""A target that dies under load, and comes back: which calls it costs, and how long the others wait (F7)."""

from __future__ import annotations

import signal
import time
from typing import Any, Final

import pytest

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from tests.e2e.accounts import Account, accounts_of, told_otherwise, unrecorded
from tests.e2e.stories import many

FIRST_RESPONSE_S: Final = 1.0
T1_S: Final = 0.5
RING_S: Final = 3  # what has rung at a target that is gone is over then
CONFIG: Final = f"[policy]\nfirst_response_ms = {round(FIRST_RESPONSE_S * 1000)}\nring_timeout_s = {RING_S}\n"
BUSY_S: Final = 0.7  # SIPp and the tests want the processors, too

SHORT: Final = (40, 1.8)  # calls per second, and how long each of three times lasts: well, gone, back; less than a bar
# The last time is half as long again: bars double, so the last one may go on for nearly as long as the target was gone.
ALL_PHASES: Final = 3.5
LONG: Final = (200, 8.0)


class Outage:
    """Calls to numbers of a route whose first target is gone for a while; the second one is there all the time."""

    def __init__(self, node: Node, sipp: Any, rate: int, phase_s: float) -> None:
        self.node = node
        place = node.place
        bound = many(0, int(rate * phase_s * ALL_PHASES), "137")
        node.import_bindings(bound)
        node.start()
        self._sipp = sipp
        seconds = int(phase_s * ALL_PHASES + 40)
        self._uas: dict[str, Any] = {"calls": None, "timeout_s": seconds}
        self.first = self.answering(place.second)
        self.second = self.answering(place.callee)
        self.caller = sipp(
            "uac_through_faults", place.caller, target=place.node, rows=[(b.x, b.a) for b in bound],
            calls=len(bound), rate=rate, timeout_s=seconds, options=("-key", "contact", place.caller),
        )  # fmt: skip
        self._target = f"sip:{place.second}:5060"
        self.gone_s = self.back_s = 0.0
        self.accounts: list[Account] = []

    def answering(self, host: str) -> Any:
        """A target."""
        return self._sipp("uas_through_faults", host, options=("-key", "contact", host), **self._uas)

    def settle(self) -> None:
        """All calls are over; what each caller was told stands in its record."""
        figures = self.caller.wait()
        print(f"{figures.successful} through, {figures.failed} failed, {figures.retransmissions} sent again")
        assert figures.failed == 0, figures.errors
        deadline = time.monotonic() + 60
        while self.node.calls():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        status = self.node.status()
        print("health:", status["health"])
        assert (unsound(status["counters"]), status["complete"]) == ({}, True)
        assert self.node.stop() == 0
        self.accounts = accounts_of(self.node, self.caller.messages)
        assert unrecorded(self.accounts) == []
        assert told_otherwise(self.accounts) == {}

    def tried_first(self, after_s: float, before_s: float) -> list[Account]:
        """Those who called between these times and whose call was tried at the first target."""
        called = [account for account in self.accounts if after_s <= account.asked_at_s < before_s]
        return [one for one in called if self._target in [tried["target"] for tried in self._attempts(one)[:1]]]

    def _attempts(self, account: Account) -> list[dict[str, Any]]:
        assert account.record is not None
        attempts: list[dict[str, Any]] = account.record["attempts"]
        return attempts

    def _rings(self, account: Account) -> bool:
        """It had rung at the first target when that went away."""
        is_there = [one["target"] for one in self._attempts(account)] == [self._target]
        return is_there and self.gone_s - BUSY_S < account.asked_at_s < self.gone_s

    def check_cost(self, longest_s: float) -> None:
        """No call has failed but those that had rung there, and no other caller has waited longer than this."""
        failed = [account for account in self.accounts if account.status not in (200, 503)]
        turned_away = sum(account.status == 503 for account in self.accounts)
        print(f"{len(failed)} failed, {turned_away} were turned away by a busy machine, of {len(self.accounts)}")
        assert turned_away < len(self.accounts) / 4
        for account in failed:
            assert account.record is not None
            assert account.record["ring_time"] is not None, account.record
            assert [one["target"] for one in self._attempts(account)] == [self._target]
        waits = sorted(
            account.wait_s for account in self.accounts if account.status == 200 and not self._rings(account)
        )
        moved = [account for account in self.accounts if len(self._attempts(account)) > 1]
        print(f"{len(moved)} went on to the second target, the longest wait was {waits[-1]:.3f} s")
        assert waits[-1] < longest_s

    def check_return(self, rate: int, phase_s: float) -> None:
        """While it was gone hardly a call was tried there; it had all of them soon after it was back."""
        gone = self.tried_first(self.gone_s + longest_unnoticed_s(), self.back_s)
        print(f"{len(gone)} calls were tried at the target in the {phase_s:.0f} s in which it was gone")
        assert len(gone) <= 4
        end_s = max(account.asked_at_s for account in self.accounts)
        late = self.tried_first(end_s - phase_s / 4, end_s)
        assert len(late) > rate * phase_s / 4 * 0.9


def longest_unnoticed_s() -> float:
    """The first request that gets no answer tells, and it may be sent a moment after the target has gone."""
    return FIRST_RESPONSE_S + BUSY_S


def phases(outage: Outage, phase_s: float, leave: Any, come_back: Any) -> None:
    time.sleep(phase_s)  # calls run meanwhile
    leave()
    outage.gone_s = time.time()
    time.sleep(phase_s)
    outage.back_s = time.time()
    come_back()


@pytest.mark.paced
@pytest.mark.parametrize(
    ("rate", "phase_s"), [SHORT, pytest.param(*LONG, marks=[pytest.mark.long, pytest.mark.timeout(240)])]
)
def test_target_is_killed(make_node: Any, sipp: Any, place: Place, rate: int, phase_s: float) -> None:
    """ICMP tells; what the target had taken and not answered is sent again after T1, and comes back then."""
    outage = Outage(make_node(extra=CONFIG), sipp, rate, phase_s)

    def kill() -> None:
        outage.first.process.kill()
        outage.first.process.wait()

    phases(outage, phase_s, kill, lambda: outage.answering(place.second))
    outage.settle()
    outage.check_cost(T1_S + BUSY_S)
    outage.check_return(rate, phase_s)


@pytest.mark.paced
@pytest.mark.parametrize(
    ("rate", "phase_s"), [SHORT, pytest.param(*LONG, marks=[pytest.mark.long, pytest.mark.timeout(240)])]
)
def test_target_falls_silent(make_node: Any, sipp: Any, place: Place, rate: int, phase_s: float) -> None:
    """It takes what is sent to it and says nothing; when it wakes up it answers all of that, too late."""
    outage = Outage(make_node(extra=CONFIG), sipp, rate, phase_s)
    process = outage.first.process
    phases(
        outage, phase_s, lambda: process.send_signal(signal.SIGSTOP), lambda: process.send_signal(signal.SIGCONT)
    )  # fmt: skip
    outage.settle()
    outage.check_cost(FIRST_RESPONSE_S + BUSY_S)
    outage.check_return(rate, phase_s)
