"""A network that loses, doubles, delays and spoils: transactions end, records are exact, nothing happens twice."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

import pytest

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import INBOX_PORT, Place
from scenarios.rig.seen import Seen
from sipstack.testing.link import Weather
from tests.e2e.accounts import accounts_of, check_numbers, told_otherwise, unrecorded
from tests.e2e.relay import CALLEE_PHONE, CALLER_PHONE, CALLER_SIDE, Relay, bad_network
from tests.e2e.stories import many, x_in

T1_S = 0.1
T2_S = 8 * T1_S
LONGEST_S = 64 * T1_S  # of any transaction
SESSION_S = 90  # the shortest that a node takes
CALL_RATE = 40  # per second
MESSAGE_RATE = 20
_REAL = re.compile(r"13[689][0-9]{8}")

# SIPp repeats a request as often as a client should (RFC 3261 §17.1) and no longer: in 64*T1 seven INVITEs are sent,
# and eleven of any other. What it does not expect, a 180 that a 200 has overtaken, it passes over, as a phone does.
PATIENT = (
    "-T2", f"{T2_S * 1000:.0f}", "-max_invite_retrans", "6", "-max_non_invite_retrans", "10",
    "-default_behaviors", "none",
)  # fmt: skip


class Run:
    """Calls and messages over a bad network, until all has ended; what holds in any weather is checked."""

    def __init__(
        self, make_node: Any, sipp: Any, place: Place, weather: Weather, run_s: float, policy: str = "",
        lost: bytes = b"",
    ) -> None:  # fmt: skip
        """`policy` is more of the node's `[policy]`. Of the phones' requests none of the method `lost` arrives."""
        self.node: Node = make_node(
            extra=f"[sip]\nt1_ms = {round(T1_S * 1000)}\n[policy]\nsession_expires_s = {SESSION_S}\n{policy}"
        )
        calls = many(0, int(CALL_RATE * run_s), "139")
        messages = many(len(calls), int(MESSAGE_RATE * run_s), "136")
        self.bound, self.calls, self.texts = calls + messages, calls, messages
        self.node.import_bindings(self.bound)
        self.node.start()
        phone, other_phone, target = (place.host(last) for last in (CALLER_PHONE, CALLEE_PHONE, CALLER_SIDE))
        seconds = int(run_s + 60)
        longer = int(seconds + SESSION_S + LONGEST_S)  # somebody must be there when the node hangs up at last
        with bad_network(place, weather, lost) as self.relay:
            common = {"calls": None, "timeout_s": longer, "options": (*PATIENT, "-key", "contact", place.callee)}
            self.callee = sipp("uas_over_bad_network", other_phone, **common)
            self.inbox = sipp("uas_message_over_bad_network", other_phone, port=INBOX_PORT, **common)
            common = {"target": target, "timeout_s": seconds, "options": (*PATIENT, "-key", "contact", place.caller)}
            self.caller = sipp(
                "uac_over_bad_network", phone, rows=[(b.x, b.a) for b in calls], calls=len(calls), rate=CALL_RATE,
                **common,
            )  # fmt: skip
            self.sender = sipp(
                "uac_message_over_bad_network", phone, port=INBOX_PORT, rows=[(b.x, b.a) for b in messages],
                calls=len(messages), rate=MESSAGE_RATE, **common,
            )  # fmt: skip
            for run in (self.caller, self.sender):
                counted = run.wait()
                print(f"{run.scenario}: {counted.successful} through, {counted.failed} failed")
            self._wait_for_the_end()
            for run in (self.callee, self.inbox):
                run.end()
        counters = self.node.status()["counters"]
        print("counters:", counters)
        assert unsound(counters) == {}
        assert self.node.stop() == 0
        assert len(self.relay.seen) > 5 * len(self.bound)

    def _wait_for_the_end(self) -> None:
        """Nothing stays in progress longer than its transactions may take, and what nobody ends a session more."""
        self._wait_until_all_are("Talking", 2 * LONGEST_S + 2.0)
        self._wait_until_all_are("ended", SESSION_S + LONGEST_S)

    def _wait_until_all_are(self, state: str, within_s: float) -> None:
        end = time.monotonic() + within_s
        while left := [call for call in self.node.calls() if call["state"] != state]:
            assert time.monotonic() < end, left
            time.sleep(0.1)

    def check_exact(self) -> None:
        """One record for each attempt that the node has seen, with what was told in it, and one leg at most."""
        self.accounts = accounts_of(self.node, [*self.caller.messages, *self.sender.messages])
        check_numbers(self.caller, self.callee, self.calls)
        check_numbers(self.sender, self.inbox, self.texts)
        recorded = {a.record["caller_call_id"]: a for a in self.accounts if a.record is not None}
        assert set(recorded) == {message.call_id for message in attempts(self.relay, by_node=False)}
        assert unrecorded(self.accounts) == []
        assert told_otherwise(self.accounts) == {}
        legs = {x_of_from(message): {message.call_id} for message in attempts(self.relay, by_node=True)}
        for message in attempts(self.relay, by_node=True):
            legs[x_of_from(message)].add(message.call_id)
        assert {x: call_ids for x, call_ids in legs.items() if len(call_ids) != 1} == {}
        told = {x_in(a.messages): {a.record["callee_call_id"]} for a in recorded.values() if a.record is not None}
        assert {x: call_id for x, call_id in told.items() if legs.get(x, {""}) != call_id} == {}
        self._check_ends()

    def _check_ends(self) -> None:
        """No call is up on the callee's side for longer than 64*T1 and a session after the caller hung up (F8)."""
        told: dict[str, float] = {}
        for message in self.relay.seen:
            if message.is_sent and message.start_line.startswith("BYE "):
                told.setdefault(message.call_id, message.at_s)
        waits = [
            told.get(account.record["callee_call_id"], float("inf")) - account.bye_at_s
            for account in self.accounts
            if account.record is not None and account.bye_at_s is not None
        ]
        print(f"{len(waits)} callers hung up, the node hung up on their callees {max(waits):.1f} s later at the latest")
        assert max(waits) < LONGEST_S + SESSION_S

    @property
    def set_up(self) -> float:
        """The part of all attempts that came about, of those that the node had the time for."""
        served = [one for one in self.accounts if one.record is None or one.record["decided_by"] != "load"]
        return sum(account.status == 200 for account in served) / len(served)

    @property
    def torn_down(self) -> float:
        """The part of those that talked which were hung up and heard so."""
        byes = [account.bye_wait_s for account in self.accounts if account.bye_wait_s is not None]
        return sum(wait < float("inf") for wait in byes) / len(byes)


def attempts(relay: Relay, by_node: bool) -> list[Seen]:
    """The requests for a call or message that the node has sent, or has seen."""
    return [m for m in relay.seen if m.is_sent is by_node and m.start_line.startswith(("INVITE ", "MESSAGE "))]


def x_of_from(message: Seen) -> str:
    """The 700 number that the callee is shown."""
    start = message.value("From").index("sip:700") + 4
    return message.value("From")[start : start + 15]


@pytest.mark.paced
def test_bad_network(make_node: Any, sipp: Any, place: Place) -> None:
    """A tenth is lost, a fifth comes two to five times, a tenth is up to 1 s late."""
    weather = Weather(700, loss=0.1, duplicate=0.2, copies=5, delay_s=1.0, late=0.1)
    run = Run(make_node, sipp, place, weather, 3)
    run.check_exact()
    print(f"set up {run.set_up:.4f}, torn down {run.torn_down:.4f}")
    assert run.set_up > 0.99


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("loss", "set_up"), [(0.05, 0.999), (0.1, 0.999), (0.2, 0.99), (0.3, 0.95)])
def test_loss(make_node: Any, sipp: Any, place: Place, loss: float, set_up: float) -> None:
    run = Run(make_node, sipp, place, Weather(701, loss), 25)
    run.check_exact()
    print(f"set up {run.set_up:.4f}, torn down {run.torn_down:.4f}")
    assert min(run.set_up, run.torn_down) >= set_up


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(240)
def test_no_bye_arrives(make_node: Any, sipp: Any, place: Place) -> None:
    """What loss does to one call in many happens to all: the caller is gone, and only the node's own look finds it."""
    run = Run(make_node, sipp, place, Weather(704, loss=0.3), 2, lost=b"BYE ")
    run.check_exact()
    causes = Counter(a.record["release_cause"] for a in run.accounts if a.record is not None and a.bye_at_s is not None)
    assert set(causes) <= {"SESSION_EXPIRED", "NO_ACK"}
    assert causes["SESSION_EXPIRED"] > len(run.calls) / 2


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(240)
def test_copies_and_delays(make_node: Any, sipp: Any, place: Place) -> None:
    """A third of all comes two to five times, a tenth up to 3 s late: half of a transaction's whole time."""
    run = Run(make_node, sipp, place, Weather(702, duplicate=0.3, copies=5, delay_s=3.0, late=0.1), 25)
    run.check_exact()
    print(f"set up {run.set_up:.4f}, torn down {run.torn_down:.4f}")
    assert run.set_up > 0.95


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(240)
def test_spoilt_octets(make_node: Any, sipp: Any, place: Place) -> None:
    """Every tenth datagram has one octet changed: whatever is made of it, nothing is confirmed that is on no record."""
    run = Run(make_node, sipp, place, Weather(703, spoil=0.1), 25, f"max_call_s = {LONGEST_S}\n")
    assert run.node.verify().is_clean
    records = Counter((record["caller_call_id"], record["sip_status"]) for record in run.node.records())
    said = [m for m in run.relay.seen if m.is_sent and m.status >= 200 and m.method in ("INVITE", "MESSAGE")]
    confirmed = {(m.call_id, m.status) for m in said if m.status < 300}
    assert len(confirmed) > len(run.bound) * 0.8
    assert confirmed - set(records) == set()
    legs = {message.call_id for message in attempts(run.relay, by_node=True)}
    assert len(legs) <= records.total()
    known = {b.a for b in run.bound}, {b.b for b in run.bound}
    for message in run.relay.seen:
        if message.is_sent:
            numbers = set(_REAL.findall(message.data.decode(errors="replace")))
            assert not numbers & known[0] or not numbers & known[1], message.data
