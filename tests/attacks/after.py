"""What has come of an attack, and whether the node serves others as before."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from scenarios.rig.node import unsound
from tests.conformance.rig import Rig, options
from tests.conformance.talk import Call
from tests.e2e.stopwatch import stopwatch

PROMPT_S: Final = 0.1  # within which an OPTIONS is answered, at the best of a few
ARRIVED: Final = 0


def outcome(rig: Rig, call: Call, data: bytes) -> int:
    """Sends an INVITE of the call: ARRIVED when it came to the callee, who refuses it; else what A was told."""
    rig.caller.send(data)
    assert rig.until(lambda: any(seen.status != 100 for seen in rig.caller.fresh) or rig.callee.fresh != [])
    if rig.callee.fresh:
        call.sent, call.tag = rig.hear(rig.callee, "INVITE"), rig.callee.word()
        call.drop()
        return ARRIVED
    refused = next(seen for seen in rig.caller.fresh if seen.status != 100)
    rig.caller.send(call.of_invite("ACK", to=refused.value("To")))
    rig.caller.fresh.clear()
    return refused.status


def told(rig: Rig, data: bytes | str) -> list[int]:
    """The final answers to what is no INVITE; none when it is dropped. Nothing of it reaches the callee."""
    rig.caller.send(data)
    rig.barrier()
    assert rig.callee.fresh == []
    statuses = [seen.status for seen in rig.caller.fresh if seen.status != 100]
    rig.caller.fresh.clear()
    return statuses


def serves(rig: Rig) -> None:
    """An OPTIONS is answered at once, and nothing has been raised."""
    took = []
    for _ in range(5):
        rig.caller.take_in()  # what was repeated while something else was waited for may have filled its socket
        waited_s = stopwatch(rig.node)
        call_id = rig.caller.word()
        rig.caller.send(options(rig.caller, rig.place.node, call_id))
        rig.hear(rig.caller, "200 OPTIONS")
        took.append(waited_s())
    assert min(took) < PROMPT_S, took
    assert unsound(rig.node.status()["counters"]) == {}


def worked_s(rig: Rig) -> float:
    """For how long the node's loop has run so far, whatever others did meanwhile."""
    assert rig.node.process is not None
    pid = rig.node.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def memory_kb(rig: Rig) -> int:
    """What the node has of memory for itself alone."""
    return int(rig.node.status()["uss_kb"])
