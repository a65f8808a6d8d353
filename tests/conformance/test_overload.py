"""Requirements 79 to 82: limits and overload."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.rig import Rig
from tests.conformance.talk import Call
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


def test_req_080_no_room_for_new_calls(make_rig: RigFactory) -> None:
    """RFC 7339 §5.10.1; RFC 6357 §4; RFC 3261 §21.5.4: who has no room refuses what is new, with 503 and Retry-After,
    and goes on serving what is in progress.

    Checked: at a limit of two calls: a third is refused, an INFO and a BYE of the first are served, and then there is
    room again. The load of the node itself has the same answers: tests/core/test_overload.py and docs/overload.md have
    what it is measured by.
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


def test_req_082_limits_of_a_peer(rig: Rig) -> None:
    """Product; RFC 3261 §21.5.4: what one peer may ask for in a second, and have at a time, is limited, so that it
    takes nothing from the others; what is beyond it is refused 503 with Retry-After.

    Checked: 60 messages at once of a peer that may send 5 a second, then 20 of another peer: all of those arrive.
    """
    host = rig.place.host(20)
    told: dict[int, int] = {}
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
            if delivered.body == b"hello":
                rig.hear(rig.caller, "200 MESSAGE")
                confirmed += 1
        while sum(told.values()) < FLOOD:
            answer = Seen(0.0, False, greedy.recv(65_536))
            told[answer.status] = told.get(answer.status, 0) + 1
            assert answer.status != 503 or int(answer.value("Retry-After")) > 0
    assert set(told) == {200, 503} and told[200] <= 3 * RATE
