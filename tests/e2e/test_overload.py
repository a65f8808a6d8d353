"""Twice what the node can do: it goes on doing nearly as much, turns the rest away, and loses no record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from scenarios.rig.node import Node, unsound
from tests.e2e.stories import many

AT_ONCE = 60  # calls that keep the node busy, and make nobody wait
FASTER_THAN_ANY = 4000
SETTLE_S = 2.0  # of each part that is not counted: caches, the controller
CALM_S = 10.0
LET_GO_S = 100.0  # 64*T1 of a lost ACK and of a lost BYE, or a minute of ringing: what SIPp has missed ends so
PEOPLE = 2000
LOST = 0.01  # of the calls: SIPp has too much to do as well, and misses what it is sent


@dataclass(frozen=True)
class Part:
    """What a node did in some seconds."""

    accepted: float  # per second
    turned_away: float
    longest_wait_ms: int


@pytest.mark.alone
@pytest.mark.parametrize(
    ("seconds", "share_of_peak"),
    # The second one is the promise. In the first the callers have the node's processors, too, and little time.
    [(6.0, 0.4), pytest.param(60.0, 0.8, marks=pytest.mark.long)],
)
def test_twice_the_capacity(make_node: Any, sipp: Any, seconds: float, share_of_peak: float) -> None:
    node = make_node()
    place = node.place
    people = many(0, PEOPLE, "139")
    node.import_bindings(people)
    node.start()
    rows = [(one.x, one.a) for one in people]
    callee = sipp(
        "uas_through_faults", place.callee, calls=None, timeout_s=300, options=("-key", "contact", place.callee),
        is_traced=False,
    )  # fmt: skip

    def callers(port: int, rate: int, limit: int = 0, calls: int | None = None) -> Any:
        return sipp(
            "uac_beyond_capacity", place.caller, port=port, target=place.node, rows=rows, calls=calls, rate=rate,
            talk_ms=20, timeout_s=200, options=("-key", "contact", place.caller), limit=limit, is_traced=False,
        )  # fmt: skip

    busy = callers(5060, FASTER_THAN_ANY, AT_ONCE)
    peak = watched(node, min(seconds, 20.0))
    assert busy.finish().failed == 0
    for port in (5061, 5063, 5064):
        too_many = callers(port, round(2 * peak.accepted))
        beyond = watched(node, seconds)
        figures = too_many.finish()
        print(f"peak {peak}, at twice of it {beyond}, {beyond.accepted / peak.accepted:.0%} of it; {figures}")
        assert figures.failed <= LOST * figures.successful, figures.errors
        if beyond.turned_away:
            break
        peak = beyond  # so few calls at once wait for the disk more than for the node, which can do more
        rests(node)
    assert peak.accepted > 20
    assert beyond.turned_away > 0
    assert beyond.accepted >= share_of_peak * peak.accepted

    rests(node)
    turned_away = node.status()["counters"]["turned_away_load"]
    assert callers(5062, 20, calls=40).wait().failed == 0
    callee.end()
    status = node.status()
    assert status["counters"]["turned_away_load"] == turned_away, "nothing is left of it"
    assert unsound(status["counters"]) == {}
    assert (status["complete"], status["spooled"], status["store_fault"]) == (True, 0, "")
    assert node.stop() == 0
    assert node.verify().is_clean
    causes = [record["decided_by"] for record in node.records() if record["release_cause"] == "OVERLOAD"]
    assert causes == ["load"] * turned_away


def watched(node: Node, seconds: float) -> Part:
    """What the node does in so many seconds; the first SETTLE_S are let go."""
    time.sleep(SETTLE_S)
    began_s, before = time.monotonic(), node.status()["counters"]
    waits = []
    while time.monotonic() - began_s < seconds:
        time.sleep(0.5)
        waits.append(node.status()["wait_ms"])
    after, took_s = node.status()["counters"], time.monotonic() - began_s
    turned_away = after.get("turned_away_load", 0) - before.get("turned_away_load", 0)
    attempts = after["attempts_voice"] - before["attempts_voice"]
    return Part((attempts - turned_away) / took_s, turned_away / took_s, max(waits))


def rests(node: Node) -> None:
    """Waits until the node turns nothing away any more, has nothing to write, and has ended what SIPp has lost."""
    has_left(node, CALM_S, ("shed_share", "waiting"))
    has_left(node, LET_GO_S, ("calls",))


def has_left(node: Node, limit_s: float, figures: tuple[str, ...]) -> None:
    deadline = time.monotonic() + limit_s
    while left := left_of(node.status(), figures):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def left_of(status: dict[str, Any], figures: tuple[str, ...]) -> dict[str, Any]:
    return {name: status[name] for name in figures if status[name]}
