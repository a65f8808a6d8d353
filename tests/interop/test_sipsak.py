"""sipsak, a prober that we did not write, asks the node with OPTIONS."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from scenarios.rig.check import ended_wrong
from scenarios.rig.node import Node
from scenarios.rig.place import Place

pytestmark = pytest.mark.interop


def ask(place: Place, local: str) -> subprocess.CompletedProcess[str]:
    """Its OPTIONS from a host of the place."""
    return subprocess.run(
        ["sipsak", "-vv", "--local-ip", local, "-H", local, "-s", f"sip:ping@{place.node}:5060", "--timer-t1=50"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_who_is_known_is_answered_and_nobody_else(make_node: Callable[..., Node], place: Place) -> None:
    node = make_node()
    node.start()
    known = ask(place, place.caller)
    assert known.returncode == 0, known.stdout + known.stderr
    assert "SIP/2.0 200 OK" in known.stdout
    assert node.status()["counters"].get("unknown_source", 0) == 0
    unknown = ask(place, place.stranger)
    assert unknown.returncode != 0
    assert "SIP/2.0 200" not in unknown.stdout
    assert node.status()["counters"]["unknown_source"] > 0
    assert node.records() == []
    assert ended_wrong(node) == []
