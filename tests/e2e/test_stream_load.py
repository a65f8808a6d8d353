"""Calls over TCP under load: SIPp with one connection for all, and with one for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from tests.e2e.stories import many

CALLS = 200
RATE = 40

EXTRA = """
[[listen]]
transport = "tcp"
address = "{node}:5060"
[[peer]]
name = "tcp"
targets = ["sip:{callee}:5060;transport=tcp"]
[[route]]
name = "to-tcp"
called = "^134"
peers = ["tcp"]
"""


@pytest.mark.paced
@pytest.mark.parametrize("caller_by", ["t1", "tn"])
def test_calls_over_tcp(make_node: Callable[..., Node], sipp: Any, place: Place, caller_by: str) -> None:
    node = make_node(extra=place.filled(EXTRA))
    bound = many(0, CALLS, "134")
    node.import_bindings(bound)
    node.start()
    callee = sipp("answered/uas", place.callee, calls=CALLS, timeout_s=90, options=("-t", "t1"))
    caller = sipp(
        "answered/uac", place.caller, target=place.node, rows=[(one.x, one.a) for one in bound], calls=CALLS,
        rate=RATE, timeout_s=80, options=("-t", caller_by, "-max_socket", "1000"),
    )  # fmt: skip
    for run in (caller, callee):
        counted = run.wait()
        assert (counted.successful, counted.failed) == (CALLS, 0), counted.errors
    node.settle()
    counters = node.status()["counters"]
    assert unsound(counters) == {}
    assert counters["faults"] == 0
    records = node.records()
    assert {record["release_cause"] for record in records} == {"NORMAL"}
    assert len(records) == CALLS
