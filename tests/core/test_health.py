"""The health of one address: its table, written a second time in words, and how long it is barred."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.health import (
    FIRST_BAR_S,
    HEALTH,
    LONGEST_BAR_S,
    MOST_ADDRESSES,
    STATES,
    TRIAL_S,
    AddressHealth,
    Health,
    retry_after_s,
)
from engine.core.outputs import TargetChanged
from sipstack.events import Output
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.testing.playbook import wire
from tests.core.corenode import A, B

EXPECTED = """
up: transport error -> unreachable: bar it
up: silence -> silent: bar it
up: 503 -> busy: bar it
up: probes lost -> down: keep away until probes say else

unreachable: transport error -> unreachable: bar it
unreachable: silence -> silent: bar it
unreachable: 503 -> busy: bar it
unreachable: answered -> up: open it to all
unreachable: probes answered -> up: open it to all
unreachable: probes lost -> down: keep away until probes say else

silent: transport error -> unreachable: bar it
silent: silence -> silent: bar it
silent: 503 -> busy: bar it
silent: answered -> up: open it to all
silent: probes answered -> silent: let one request through
silent: probes lost -> down: keep away until probes say else

busy: transport error -> unreachable: bar it
busy: silence -> busy: bar it
busy: 503 -> busy: bar it
busy: answered -> up: open it to all
busy: probes lost -> down: keep away until probes say else

down: answered -> up: open it to all
down: probes answered -> up: open it to all
"""


def test_table() -> None:
    expected = sorted(line for line in EXPECTED.splitlines() if line)
    found = []
    for line in HEALTH.lines():
        before, event, after, action = line.split(" | ")
        if action != "nothing" or before != after:
            found.append(f"{before}: {event} -> {after}: {action}")
    assert sorted(found) == expected


def response(status: int, extra: str = "") -> Message:
    return parse(
        wire(
            f"""SIP/2.0 {status} Whatever
            Via: SIP/2.0/UDP 127.0.0.11:5060;branch=z9hG4bK-1
            From: <sip:veil.example>;tag=a
            To: <sip:127.0.0.13>;tag=b
            Call-ID: 1
            CSeq: 1 INVITE
            {extra}""".rstrip()
        )
    )


class Told:
    """An address, and what the log is told of it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.health = Health(self._told)
        self.known = self.health.of("UDP", "127.0.0.13", 5060)

    def _told(self, output: Output) -> None:
        assert isinstance(output, TargetChanged)
        self.said.append((output.address, output.state))

    @property
    def state(self) -> str:
        return STATES[self.known.state]


def test_address_is_one_whatever_leads_there() -> None:
    health = Health()
    assert health.of("UDP", "127.0.0.13", 5060) is health.of("UDP", "127.0.0.13", 5060)
    assert health.of("TCP", "::1", 5061).address == "tcp:[::1]:5061"
    assert health.is_usable("UDP", "127.0.0.13", 5060, 0.0) and health.is_usable("UDP", "127.0.0.14", 5060, 0.0)
    health.of("UDP", "127.0.0.13", 5060).unreachable(0.0, 0.0)
    assert not health.is_usable("UDP", "127.0.0.13", 5060, 0.1)
    assert health.is_usable("TCP", "127.0.0.13", 5060, 0.1) and health.is_usable("UDP", "127.0.0.13", 5061, 0.1)


def test_addresses_are_forgotten_of_which_nothing_bad_is_known() -> None:
    health = Health()
    bad = health.of("UDP", "10.0.0.1", 5060)
    bad.unreachable(0.0, 0.0)
    good = health.of("UDP", "10.0.0.2", 5060)
    for number in range(3 * MOST_ADDRESSES):
        health.of("UDP", "10.0.1.1", number)
        assert len(health._known) <= MOST_ADDRESSES
    assert health.of("UDP", "10.0.0.1", 5060) is bad
    assert health.of("UDP", "10.0.0.2", 5060) is not good


FAILURES: dict[str, Callable[[AddressHealth, float], None]] = {
    "unreachable": lambda known, now: known.unreachable(now, now),
    "silent": lambda known, now: known.silent(now, now),
    "busy": lambda known, now: known.heard(now, response(503), B, now),
}


@pytest.mark.parametrize("how", FAILURES)
def test_bar_doubles_until_one_answer_opens_it(how: str) -> None:
    told = Told()
    known, now, bar_s = told.known, 10.0, FIRST_BAR_S
    for _ in range(8):
        FAILURES[how](known, now)
        assert told.state == how
        assert not known.is_usable(now + bar_s - 0.001)
        now += bar_s
        assert known.is_usable(now)
        bar_s = min(2 * bar_s, LONGEST_BAR_S)
    assert bar_s == LONGEST_BAR_S
    known.heard(now, response(486), B, now)
    assert told.state == "up" and known.is_usable(now)
    FAILURES[how](known, now)
    assert known.is_usable(now + FIRST_BAR_S)  # it has forgotten the old ones
    assert told.said == [("udp:127.0.0.13:5060", state) for state in (how, "up", how)]


def test_page_says_how_long() -> None:
    page = (Path(__file__).parents[2] / "docs" / "health.md").read_text()
    assert f"lasts {FIRST_BAR_S:.0f} s, and" in page and f"up to {LONGEST_BAR_S:.0f} s. One" in page
    assert f"something, or {TRIAL_S:.0f} s are over" in page


def test_one_request_at_a_time_after_the_bar() -> None:
    known = Told().known
    known.unreachable(0.0, 0.0)
    assert known.is_usable(FIRST_BAR_S)
    known.tried(FIRST_BAR_S)
    assert not known.is_usable(FIRST_BAR_S + TRIAL_S - 0.001)
    assert known.is_usable(FIRST_BAR_S + TRIAL_S)  # nothing has become of it


@pytest.mark.parametrize("how", ["unreachable", "silent"])
def test_what_left_before_the_bar_does_not_make_it_longer(how: str) -> None:
    told = Told()
    for sent_at in (1.0, 2.0, 3.0):
        getattr(told.known, how)(sent_at, 5.0 + sent_at)
    assert told.known.is_usable(6.0 + FIRST_BAR_S) and told.state == how


def test_silence_to_one_request_alone_is_its_own() -> None:
    told = Told()
    told.known.heard(1.0, response(180), B, 1.5)
    told.known.silent(1.2, 5.2)
    assert told.state == "up"
    told.known.silent(1.6, 5.6)
    assert told.state == "silent"


@pytest.mark.parametrize(
    ("extra", "wait_s"),
    [("Retry-After: 7", 7), ("Retry-After: 7 (in a moment);duration=3600", 7), ("Retry-After: 0", FIRST_BAR_S),
     ("Retry-After: 1", FIRST_BAR_S), ("Retry-After: 3600", LONGEST_BAR_S), ("Retry-After: soon", FIRST_BAR_S),
     ("Retry-After: -7", FIRST_BAR_S), ("Retry-After: ٧", FIRST_BAR_S), (f"Retry-After: {'9' * 5000}", FIRST_BAR_S)],
)  # fmt: skip
def test_retry_after_is_heeded_up_to_a_minute(extra: str, wait_s: float) -> None:
    known = Told().known
    known.heard(10.0, response(503, extra), B, 10.0)
    assert not known.is_usable(10.0 + wait_s - 0.001) and known.is_usable(10.0 + wait_s)


def test_none_has_no_seconds() -> None:
    assert retry_after_s(response(503)) == 0


@pytest.mark.parametrize("event", ["probe", "late answer", "trying", "silence"])
def test_retry_after_stands_whatever_else_is_heard(event: str) -> None:
    """Only the answer to a request that was sent after it ends it sooner."""
    told = Told()
    told.known.heard(9.0, response(503, "Retry-After: 30"), B, 10.0)
    if event == "probe":
        told.known.probed(True, 11.0)
    elif event == "late answer":
        told.known.heard(9.5, response(180), B, 11.0)
    elif event == "trying":
        told.known.heard(10.5, response(100), B, 11.0)
    else:
        told.known.silent(10.5, 14.5)
    assert told.state == "busy" and not told.known.is_usable(39.9)
    told.known.heard(15.0, response(180), B, 15.1)
    assert told.state == "up"


def test_who_is_risked_when_nobody_is_well() -> None:
    known = Told().known
    assert known.may_be_risked
    known.heard(1.0, response(503), B, 1.0)
    known.heard(1.5, response(503), B, 1.5)
    assert known.may_be_risked  # these 503s may be of one callee's own making
    known.heard(2.0, response(503), A, 2.0)
    assert not known.may_be_risked
    known.heard(3.0, response(200), B, 3.0)
    known.heard(4.0, response(503), B, 4.0)
    assert known.may_be_risked
    known.silent(5.0, 9.0)
    known.unreachable(50.0, 50.0)
    assert known.may_be_risked
    known.probed(False, 51.0)
    assert not known.may_be_risked


def test_probes_take_down_and_bring_back() -> None:
    told = Told()
    told.known.probed(True, 1.0)
    assert told.said == []
    told.known.probed(False, 2.0)
    assert told.state == "down" and not told.known.is_usable(1e9)
    for meet in FAILURES.values():
        meet(told.known, 3.0)
    assert told.state == "down" and told.known.changed_at == 2.0
    told.known.probed(True, 4.0)
    assert told.state == "up" and told.known.is_usable(4.0)


def test_answered_probe_lets_one_request_to_a_silent_address() -> None:
    told = Told()
    told.known.silent(1.0, 5.0)
    told.known.probed(True, 5.5)
    assert told.state == "silent" and told.known.is_usable(5.5)
    told.known.tried(5.5)
    assert not told.known.is_usable(5.6)
