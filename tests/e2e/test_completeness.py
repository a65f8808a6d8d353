"""Under load of every kind the attempts that the SIP side counts are at every moment accounted for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import INBOX_PORT, PORT
from tests.e2e.stories import many
from tests.e2e.waiting import wait_for

EACH = 120  # of calls, of messages, of calls and of messages to numbers that are bound to nobody
RATE = 10  # a second, of each of the four kinds
LOOK_S = 0.05  # looks without a pause would take from the node the processor that it needs


@pytest.mark.paced
def test_every_attempt_is_accounted_for_while_they_come_and_go(make_node: Any, sipp: Any, place: Any) -> None:
    node: Node = make_node()
    calls, messages = many(0, EACH, "139"), many(EACH, EACH, "136")
    unbound = many(2 * EACH, 2 * EACH, "137")
    node.import_bindings(calls + messages)
    node.start()
    sipp("answered/uas", place.callee, calls=EACH, timeout_s=200)
    sipp("message/uas", place.callee, port=INBOX_PORT, calls=EACH, timeout_s=200)
    common = {"target": place.node, "rate": RATE, "timeout_s": 190, "calls": EACH}
    kinds = (
        ("answered/uac", PORT, calls),
        ("message/uac", INBOX_PORT, messages),
        ("unbound/uac", INBOX_PORT + 1, unbound[:EACH]),
        ("message-unbound/uac", INBOX_PORT + 2, unbound[EACH:]),
    )
    runs = [
        sipp(name, place.caller, port=port, rows=[(b.x, b.a) for b in rows], **common) for name, port, rows in kinds
    ]
    looks = []
    with ThreadPoolExecutor(len(runs)) as pool:
        ends = [pool.submit(run.wait) for run in runs]
        while wait(ends, LOOK_S).not_done:
            status = node.status()
            looks.append(status)
            assert (status["complete"], status["missing"]) == (True, 0), status
    figures = [end.result() for end in ends]
    assert [one.successful + one.failed for one in figures] == [EACH] * len(runs)
    assert sum(one.successful for one in figures) > 2 * EACH  # of a busy machine a node may have too little for all
    assert any(status["open"] for status in looks)
    wait_for(lambda: node.status()["calls"] == 0)  # what callees have to say to their last BYE
    status = node.status()
    assert unsound(status["counters"]) == {}
    counted = [status[name] for name in ("attempts", "records", "adopted", "open", "waiting", "spooled", "missing")]
    assert counted == [4 * EACH, 4 * EACH, 0, 0, 0, 0, 0]
    assert status["complete"] is True
    assert node.stop() == 0
