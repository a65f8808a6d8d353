"""Requirements 79 to 82: limits and overload."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.conformance.message import text_for_x
from tests.conformance.rig import Rig
from tests.e2e.datagrams import udp_socket

RATE: Final = 5
FLOOD: Final = 60
SETTINGS: Final = f"""
[[peer]]
name = "greedy"
match = ["{{prefix}}.20"]
max_rate = {RATE}
"""


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
