"""Thousands of connections: calls go on beside them, and nothing is left of them when they are reset."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from sipstack.aio.sockets import allow_connections
from tests.e2e.crowd import Crowd, crowd_peer
from tests.e2e.ends import Party, UdpEnd, call
from tests.e2e.stories import many
from tests.e2e.test_stream_faults import sockets, until
from tests.sipstack.certificates import Authority

TCP = '[[listen]]\ntransport = "tcp"\naddress = "{node}:5060"\n'
TLS = '[[listen]]\ntransport = "tls"\naddress = "{}:5061"\ncertificate = "{}"\nprivate_key = "{}"\n'
IDLE_BYTES = {"TCP": 8 * 1024, "TLS": 48 * 1024}  # for one connection, with what the kernel does not count
ALONE_AND_LONG = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(400)]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def crowds(place: Place) -> Iterator[Callable[..., Crowd]]:
    made: list[Crowd] = []

    def make(port: int, context: ssl.SSLContext | None = None) -> Crowd:
        made.append(Crowd(place, port, context))
        return made[-1]

    yield make
    for crowd in made:
        crowd.reset()


def room_for(connections: int) -> None:
    """Skips where the machine allows a process, this one or the node, fewer descriptors."""
    if (room := allow_connections(connections)) < connections:
        pytest.skip(f"room for {room} of {connections} connections: raise `ulimit -Hn`")


@pytest.mark.parametrize(
    ("connections", "rate", "run_s"),
    [
        pytest.param(500, 50, 3, marks=pytest.mark.paced),
        pytest.param(10_000, 100, 30, marks=ALONE_AND_LONG),
    ],
)
def test_calls_go_on_beside_connections_that_are_idle(
    make_node: Callable[..., Node],
    sipp: Any,
    place: Place,
    crowds: Callable[..., Crowd],
    connections: int,
    rate: int,
    run_s: int,
) -> None:
    """Attack A19, from addresses of a peer, each of which has said one OPTIONS."""
    room_for(connections)
    count = rate * run_s
    node = make_node(extra=place.filled(TCP) + crowd_peer(place))
    bound = many(0, count, "139")
    node.import_bindings(bound)
    node.start()
    descriptors = sockets(node)
    crowd = crowds(5060)
    crowd.grow(20)  # what comes with the first ones is not theirs
    began, before = time.monotonic(), node.status()
    crowd.grow(connections - len(crowd))
    grown_s, full = time.monotonic() - began, node.status()
    each = (full["uss_kb"] - before["uss_kb"]) * 1024 / connections
    callee = sipp("answered/uas", place.callee, calls=count, timeout_s=run_s + 60)
    rows = [(one.x, one.a) for one in bound]
    caller = sipp(
        "answered/uac", place.caller, target=place.node, rows=rows, calls=count, rate=rate, timeout_s=run_s + 50
    )
    figures, answered = caller.wait(), callee.wait()
    print(f"{connections} connections in {grown_s:.1f} s, {each:.0f} octets each; load {os.getloadavg()[0]:.1f}")
    print(figures)
    counters = node.status()["counters"]
    assert {name: count for name, count in counters.items() if count and name.startswith("tcp_")} == {
        "tcp_connections": connections
    }
    print(f"all asked again, the slowest batch waited {crowd.ask():.3f} s")
    crowd.reset()
    assert (figures.successful, figures.failed, answered.failed) == (count, 0, 0), figures.errors
    assert each < IDLE_BYTES["TCP"]
    well_again(node, descriptors, "tcp")
    assert [record["release_cause"] for record in node.records()] == ["NORMAL"] * count


def well_again(node: Node, descriptors: int, transport: str) -> None:
    """All connections are gone, their descriptors as well, and nothing went wrong."""
    until(node, lambda: node.status()["counters"][f"{transport}_connections"] == 0)
    until(node, lambda: sockets(node) == descriptors)
    counters = node.status()["counters"]
    assert unsound(counters) == {}
    assert [name for name, count in counters.items() if count and name.startswith(f"{transport}_")] == []


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@pytest.mark.parametrize(
    ("connections", "rounds", "every_s"),
    [
        (200, 2, 0.5),
        pytest.param(2000, 6, 5, marks=ALONE_AND_LONG),
    ],
)
def test_connections_that_ask_and_are_reset_leave_nothing(
    make_node: Callable[..., Node], place: Place, authority: Authority, crowds: Callable[..., Crowd],
    transport: str, connections: int, rounds: int, every_s: float,
) -> None:  # fmt: skip
    """Fault F12."""
    room_for(connections)
    tls = TLS.format(place.node, *authority.issue("node", f"ip:{place.node}"))
    node = make_node(extra=place.filled(TCP) + tls + crowd_peer(place))
    bound = Bound(f"{BLOCK}0085", "13800138000", "13900139000")
    node.bind(bound)
    node.start()
    descriptors = sockets(node)
    context = ssl.create_default_context(cafile=authority.file) if transport == "TLS" else None
    crowd = crowds(5061 if context else 5060, context)
    crowd.grow(20)
    before_kb = node.status()["uss_kb"]
    crowd.grow(connections - len(crowd))
    each = (node.status()["uss_kb"] - before_kb) * 1024 / connections
    began, waits_s = time.monotonic(), []
    for turn in range(rounds):
        time.sleep(max(0.0, began + turn * every_s - time.monotonic()))  # each asks at intervals
        waits_s.append(crowd.ask())
    assert node.status()["counters"][f"{transport.lower()}_connections"] == connections
    crowd.reset()
    well_again(node, descriptors, transport.lower())
    after_kb = node.status()["uss_kb"]
    print(f"{connections} connections, {each:.0f} octets each; {rounds} rounds in {time.monotonic() - began:.1f} s")
    print(
        f"slowest batch {max(waits_s):.3f} s; {before_kb} KB before, {after_kb} KB after; load {os.getloadavg()[0]:.1f}"
    )
    assert each < IDLE_BYTES[transport] * 2  # with the transactions of a few seconds
    caller, callee = UdpEnd(place.caller, place.node), UdpEnd(place.callee, place.node)
    try:
        call(Party(bound.a, caller), Party(bound.b, callee), bound.x)
    finally:
        caller.close()
        callee.close()
