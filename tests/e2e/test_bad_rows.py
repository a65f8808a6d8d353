"""A row of an answered call that cannot be read: the node starts, says so once, and serves what comes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from tests.e2e.stories import BINDING, A, B, X
from tests.e2e.waiting import wait_for


def test_a_garbled_row_keeps_no_node_from_starting(
    make_node: Callable[..., Node], sipp: Callable[..., Any], place: Place
) -> None:
    node = make_node()
    node.bind(BINDING)
    node.start()
    ends = [
        sipp("answered/uas", place.callee, timeout_s=60),
        sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)], talk_ms=60_000, timeout_s=60),
    ]
    wait_for(lambda: [call["state"] for call in node.calls()] == ["Talking"])
    node.settle()
    node.kill()
    for end in ends:
        end.close()
    with sqlite3.connect(node.data_dir / "records.db") as connection:
        spoiled = connection.execute("UPDATE call_answer SET dialogs = x'00' WHERE record_id IS NOT NULL").rowcount
    connection.close()
    assert spoiled == 1
    node.start()
    assert node.stderr.count("attempts of the last run could not be taken over") == 1
    assert A not in node.stderr and B not in node.stderr
    status = node.status()
    assert unsound(status["counters"]) == {"rows_unreadable": 1}
    assert (status["calls"], status["adopted"], status["complete"]) == (0, 0, True)
    assert node.stop() == 0
    [record] = node.records()
    assert (record["release_cause"], record["sip_status"], record["q850"]) == ("NODE_RESTART", 200, 41)
    assert node.verify().is_clean
