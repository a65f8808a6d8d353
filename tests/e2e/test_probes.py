"""Probes of a running node: who answers them, what is seen of it, and what calls meet meanwhile (requirement 77)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.e2e.ends import SDP, Party, UdpEnd
from tests.e2e.stopwatch import stopwatch
from tests.e2e.stories import A

WITHIN_S = 60.0  # for a change that takes two probes of a second each, on a busy machine
BOUND = Bound(f"{BLOCK}0071", A, "13400134000")
LAST = 21  # last octet of the target


class Answering:
    """A target that answers OPTIONS, until it is closed."""

    def __init__(self, place: Place) -> None:
        self.end = UdpEnd(place.host(LAST), place.node)
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        party = Party("", self.end)
        self.end.opened.settimeout(0.05)
        while self.end.opened.fileno() != -1:
            try:
                request = self.end.receive()
            except TimeoutError:
                continue
            except OSError:
                return
            self.asked.append(request.to_bytes().decode())
            party.answer(request, 200)

    def close(self) -> None:
        self.end.close()
        self._thread.join()


@pytest.fixture
def targets(place: Place) -> Iterator[Callable[[], Answering]]:
    opened: list[Answering] = []

    def answering() -> Answering:
        opened.append(Answering(place))
        return opened[-1]

    yield answering
    for target in opened:
        target.close()


def health(node: Node, place: Place) -> dict[str, Any]:
    """What status says of the target."""
    return next(one for one in node.status()["health"] if one["address"] == f"udp:{place.host(LAST)}:5060")


def comes(node: Node, place: Place, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + WITHIN_S
    while (found := health(node, place))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_target_goes_down_and_comes_back(
    make_node: Callable[..., Node], place: Place, targets: Callable[[], Answering]
) -> None:
    node = make_node(
        extra=f'[[peer]]\nname = "probed"\ntargets = ["sip:{place.host(LAST)}"]\noptions_interval_s = 1\n'
        '[[route]]\nname = "to-probed"\ncalled = "^134"\npeers = ["probed"]\n'
    )
    node.bind(BOUND)
    target = targets()
    node.start()
    deadline = time.monotonic() + WITHIN_S
    while not target.asked:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "\r\nFrom: <sip:veil.example>;tag=" in target.asked[0]
    assert (health(node, place)["state"], health(node, place)["probed"]) == ("up", True)

    target.close()
    down = comes(node, place, "down")
    assert down["since"].endswith("Z") and down["barred_s"] == 0
    caller = UdpEnd(place.caller, place.node)
    try:
        rows = [f"From: <sip:{A}@{place.caller}>;tag=a-tag", f"To: <sip:{BOUND.x}@veil.example>"]
        took = stopwatch(node)
        Party(A, caller).ask(
            "INVITE", f"sip:{BOUND.x}@veil.example", [*rows, "Call-ID: nobody-there", "CSeq: 1 INVITE"], SDP
        )
        Party(A, caller).take("SIP/2.0 480")
        assert took() < 1.0
    finally:
        caller.close()
    (record,) = node.records()
    assert (record["release_cause"], record["attempts"]) == ("ALL_TARGETS_FAILED", [])
    shown = node.command("status").stdout
    assert f"  probed udp:{place.host(LAST)}:5060  " in shown and "  down since 2" in shown

    targets()
    comes(node, place, "up")
    deadline = time.monotonic() + WITHIN_S
    while "target is up" not in node.stderr:  # the log has one line a second of an address
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "target is down" in node.stderr
    assert node.stop() == 0
