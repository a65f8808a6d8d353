"""More datagrams at once than the kernel has room for: what was lost is counted, and every call recovers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from scenarios.rig.place import PORT
from tests.e2e.datagrams import request, udp_socket
from tests.e2e.loaded import UNDISTURBED, Load

RATE = 40  # calls per second
BURST = 20_000
PAUSE_S = 1.5  # traffic before and after it

# SIPp stops to repeat its own 200 or BYE once the other side repeats something: the node must have seen both before.
TALKS_ON_S = 5.0
PATIENT = "[sip]\nt1_ms = 2000\n"
PORT_OF_BURST = 5091


@pytest.mark.alone
@pytest.mark.long
def test_burst(make_node: Any, sipp: Any) -> None:
    load = Load(make_node(extra=PATIENT), sipp, RATE, 4 * PAUSE_S, TALKS_ON_S)
    place = load.node.place
    load.start()
    time.sleep(PAUSE_S)
    padding = f"X-Padding: {'x' * 800}\r\n"
    with udp_socket(place.caller, PORT_OF_BURST) as end:
        sent_by = f"{place.caller}:{PORT_OF_BURST}"
        began_s = time.monotonic()
        for number in range(BURST):
            end.sendto(request("OPTIONS", f"sip:{place.node}", sent_by, f"b{number}", padding), (place.node, PORT))
        print(f"{BURST} datagrams in {time.monotonic() - began_s:.2f} s")
        figures = load.wait()
    counters = load.node.status()["counters"]
    load.check_node()
    load.check_records()
    print(counters["datagrams_dropped"], "dropped,", counters["answered_200"], "answered")
    assert counters["datagrams_dropped"] > 0, "a burst for which there was room proves nothing"
    assert {account.status for account in load.accounts} == UNDISTURBED
    assert figures.retransmissions > 0
    seen = counters["answered_200"] + counters["datagrams_dropped"]
    assert BURST <= seen <= BURST + 10 * RATE
