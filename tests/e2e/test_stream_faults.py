"""Connections that are reset, dribble or are never read: nothing is left of them on a node, and calls go on."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.e2e.datagrams import request
from tests.e2e.ends import SDP, Party, StreamEnd, UdpEnd, call
from tests.e2e.stopwatch import stopwatch
from tests.e2e.stories import A

X = Bound(f"{BLOCK}0081", A, "13900139000")
WAIT_S = 60.0


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place) -> Node:
    made = make_node(extra=f'[[listen]]\ntransport = "tcp"\naddress = "{place.node}:5060"\n')
    made.bind(X)
    made.start()
    return made


@contextlib.contextmanager
def connections(place: Place, count: int, host: str) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(stack.enter_context(socket.create_connection((place.node, 5060), WAIT_S, (host, 0))))
        yield made


def sockets(node: Node) -> int:
    assert node.process is not None
    folder = f"/proc/{node.process.pid}/fd"
    count = 0
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed while the others were looked at
            count += os.readlink(f"{folder}/{fd}").startswith("socket:")
    return count


def until(node: Node, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, node.status()
        time.sleep(0.05)


def call_over_tcp(place: Place, call_id: str) -> None:
    caller, callee = StreamEnd(place.caller, place.node), UdpEnd(place.callee, place.node)
    try:
        call(Party(A, caller), Party(X.b, callee), X.x, call_id)
    finally:
        caller.close()
        callee.close()


def test_callers_that_reset_leave_a_record_each_and_nothing_else(node: Node, place: Place) -> None:
    """Attack A5: 200 INVITEs to a callee that is not there, each on a connection that is reset at once."""
    before = sockets(node)
    with connections(place, 200, place.caller) as made:
        for number, one in enumerate(made):
            rows = f"Content-Type: application/sdp\r\nContact: <sip:{A}@{place.caller}:5060;transport=tcp>\r\n"
            via = f"{place.caller}:5060"
            one.sendall(request("INVITE", f"sip:{X.x}@veil.example", via, f"r{number}", rows, SDP.encode()))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
    until(node, lambda: node.status()["counters"]["tcp_connections"] == 0 and node.status()["open"] == 0)
    until(node, lambda: (status := node.status())["records"] == status["attempts"])
    assert 0 < node.status()["attempts"] <= 200  # a reset may overtake what was sent before it
    until(node, lambda: sockets(node) == before)
    assert node.status()["counters"]["faults"] == 0
    call_over_tcp(place, "after")


def test_calls_go_on_beside_connections_that_dribble(node: Node, place: Place) -> None:
    """Fault F11: octet by octet, never a whole message, from a stranger and from a peer's own address."""
    with connections(place, 200, place.stranger) as strangers, connections(place, 200, place.caller) as ours:
        for round_ in range(10):
            for one in strangers + ours:
                one.sendall(b"INVITE sip:x"[round_ : round_ + 1])
            took = stopwatch(node)
            call_over_tcp(place, f"beside-{round_}")
            assert took() < 5
        assert node.status()["counters"]["tcp_connections"] >= 400
    until(node, lambda: node.status()["counters"]["tcp_connections"] == 0)
    assert node.status()["counters"]["faults"] == 0
    assert len(node.records()) == 10


def test_far_end_that_never_reads_costs_its_own_connection_only(node: Node, place: Place) -> None:
    with connections(place, 1, place.caller) as [deaf]:
        deaf.settimeout(WAIT_S)  # the node ends it before
        with contextlib.suppress(OSError):
            for number in range(200_000):
                deaf.sendall(request("OPTIONS", f"sip:{place.node}", f"{place.caller}:5060", f"o{number}"))
        until(node, lambda: node.status()["counters"]["tcp_connections"] == 0)
    counters = node.status()["counters"]
    assert counters["faults"] == 0
    assert counters["tcp_slow_readers"] == 1
    call_over_tcp(place, "beside")
