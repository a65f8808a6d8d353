"""Requirements 79 to 82: limits and overload."""

from __future__ import annotations

import re
import time
from contextlib import closing
from typing import Final

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.rig import Rig, options
from tests.conformance.talk import Call
from tests.conformance.test_failover import called_first
from tests.e2e.datagrams import udp_socket

RATE: Final = 5
FLOOD: Final = 60
SETTINGS: Final = f"""
[[peer]]
name = "greedy"
match = ["{{prefix}}.20"]
max_rate = {RATE}
[[peer]]
name = "narrow"
targets = ["sip:{{callee}}:5060"]
max_calls = 2
[[route]]
name = "to-narrow"
called = "^134"
peers = ["narrow"]
"""

OBEYING: Final = """
[[peer]]
name = "obeyed"
targets = ["sip:{second}:5060", "sip:{callee}:5060"]
overload_control = true
[[route]]
name = "to-obeyed"
called = "^134"
peers = ["obeyed"]
"""
TOLD: Final = re.compile(r';oc=(\d+);oc-algo="loss";oc-validity=(\d+);oc-seq=([\d.]+)')


def test_req_080_no_room_for_new_calls(make_rig: RigFactory) -> None:
    """RFC 7339 §5.10.2; RFC 3261 §21.5.4: who has no room refuses what is new, with 503, and goes on serving what is
    in progress.

    Checked: at a limit of two calls: a third is refused, an INFO and a BYE of the first are served, and then there is
    room again. The load of the node itself has the same answers: tests/core/test_overload.py and docs/overload.md have
    what it is measured by.
    Deviation: the 503 has Retry-After, where §5.10.2 wants none for a client that does not take part in overload
    control: without it the 503 counts as a 500 (RFC 3261 §21.5.4), and a switch goes on at once.
    """
    rig = make_rig(SETTINGS, "134")
    calls = [Call(rig).talk() for _ in range(2)]
    third = Call(rig)
    rig.caller.send(third.invite())
    refused = third.refused()
    assert (refused.status, refused.value("Reason")) == (503, "Q.850;cause=42")
    assert int(refused.value("Retry-After")) > 0
    rig.hears_nothing(rig.callee)
    rig.caller.send(calls[0].caller.request("INFO"))
    info = rig.hear(rig.callee, "INFO")
    rig.callee.send(rig.callee.answer(info, 200))
    rig.hear(rig.caller, "200 INFO")
    calls[0].hang_up()
    Call(rig).talk().hang_up()
    calls[1].hang_up()


def test_req_082_limits_of_a_peer(make_rig: RigFactory) -> None:
    """Product; RFC 3261 §21.5.4: what one peer may ask for in a second, and have at a time, is limited, so that it
    takes nothing from the others; what is beyond it is refused 503 with Retry-After.

    Checked: 60 messages at once of a peer that may send 5 a second, then 20 of another peer: all of those arrive.
    """
    rig = make_rig(SETTINGS, t1_ms=500)  # so many wait for the disk, and none is to be given up for that
    host = rig.place.host(20)
    told: dict[int, int] = {}
    began_s = time.monotonic()
    with closing(udp_socket(host)) as greedy:
        for _ in range(FLOOD):
            greedy.sendto(
                text_for_x(rig, b"flood").replace(rig.caller.host.encode(), host.encode()), (rig.place.node, PORT)
            )
        for _ in range(20):
            rig.caller.send(text_for_x(rig, b"hello"))
        confirmed = 0
        while confirmed < 20:
            delivered = rig.hear(rig.callee, "MESSAGE")
            rig.callee.send(rig.callee.answer(delivered, 200))
            confirmed += delivered.body == b"hello"
        for _ in range(20):
            rig.hear(rig.caller, "200 MESSAGE")
        while sum(told.values()) < FLOOD:
            answer = Seen(0.0, False, greedy.recv(65_536))
            told[answer.status] = told.get(answer.status, 0) + 1
            assert answer.status != 503 or int(answer.value("Retry-After")) > 0
    assert set(told) == {200, 503} and told[200] <= RATE * (3 + time.monotonic() - began_s)


def test_req_079_load_is_told_to_who_asks(rig: Rig) -> None:
    """RFC 7339 §4; §5.1; §5.2; §5.6: who writes `oc` into its Via is told in the Via of the answers how much it is to
    keep back, by oc, oc-algo, oc-validity and oc-seq; nobody else is, and what a client writes there itself comes back
    to nobody.

    Checked: an OPTIONS with it, without it, and with values of the client's own; there is no load, so 0 for a validity
    of 0. tests/core/test_oc.py has the share under load.
    """
    for row, is_told in (
        (';oc;oc-algo="loss"', True),
        ("", False),
        (';oc=77;oc-validity=9000;oc-seq=9.9;oc-algo="loss"', True),
    ):
        rig.caller.send(options(rig.caller, rig.place.node, rig.caller.word()).replace("\r\nFrom", f"{row}\r\nFrom", 1))
        via = rig.hear(rig.caller, "200 OPTIONS").value("Via")
        found = TOLD.search(via)
        assert (found is not None) == is_told == ("oc" in via.partition("branch=")[2].partition(";")[2])
        if found is not None:
            assert found.groups()[:2] == ("0", "0") and found[3] != "9.9"


def test_req_081_load_of_a_target_is_heeded(make_rig: RigFactory) -> None:
    """RFC 7339 §5.4; §5.5; RFC 3261 §21.5.4: a client that takes part in overload control sends a server no more than
    that asks for, until the time that it has named is over.

    Checked: two targets; the first asks for nothing at all for 4 s: calls go to the second meanwhile, and then to the
    first again. A 503 with Retry-After is in requirement 77.
    """
    rig = make_rig(OBEYING, "134")
    first = rig.party("first", rig.place.second, PORT, rig.callee.number)
    call = Call(rig)
    call.at = first
    asked = call.start().value("Via")
    assert ';oc;oc-algo="loss"' in asked
    wanted = ';oc=100;oc-algo="loss";oc-validity=4000;oc-seq=1.1'
    refused = first.answer(call.sent, 486).replace(b';oc;oc-algo="loss"', wanted.encode())
    sent = first.send(refused)
    rig.hear(first, "ACK")
    call.refused()
    other = Call(rig)
    other.start()
    other.drop()
    assert first.texts == ["INVITE", "ACK"]
    assert rig.until(lambda: called_first(rig, first))
    assert first.received[-1].at_s - sent.at_s > 4.0 - 0.05
