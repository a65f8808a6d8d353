"""What SIPp has placed is what the carriers are told, and what a program for Master.csv reads."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import pytest

from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.place import INBOX_PORT
from tests.e2e.stories import many

CALLS: Final = many(0, 12, "139")
MESSAGES: Final = many(12, 8, "136")
SETTLE: Final = ("cdr", "settlement", "--from", "2020-01-01", "--until", "2100-01-01")
COUNTS: Final = ("attempts", "answered", "billed_seconds", "messages", "parts")


def rows_of(bindings: list[Bound]) -> list[tuple[str, str]]:
    return [(binding.x, binding.a) for binding in bindings]


@pytest.fixture
def node(make_node: Any, sipp: Any, place: Any) -> Node:
    """A node that has carried the calls and the messages, and has stopped."""
    node: Node = make_node()
    node.import_bindings(CALLS + MESSAGES)
    node.start()
    calls, messages = len(CALLS), len(MESSAGES)
    common = {"target": place.node, "rate": 20, "timeout_s": 60}
    inbox = {"port": INBOX_PORT, "calls": messages}
    runs = {
        sipp("answered/uas", place.callee, calls=calls, timeout_s=60): calls,
        sipp("message/uas", place.callee, timeout_s=60, **inbox): messages,
        sipp("answered/uac", place.caller, rows=rows_of(CALLS), calls=calls, **common): calls,
        sipp("message/uac", place.caller, rows=rows_of(MESSAGES), **inbox, **common): messages,
    }
    for run, count in runs.items():
        figures = run.wait()
        assert (figures.successful, figures.failed) == (count, 0), figures.errors
    assert node.stop() == 0
    return node


def test_traffic_is_settled(node: Node) -> None:
    done = node.command(*SETTLE)
    assert (done.returncode, done.stderr) == (0, "")
    sums: dict[tuple[str, str], list[int]] = {}
    for line in csv.DictReader(io.StringIO(done.stdout)):
        found = sums.setdefault((line["direction"], line["kind"]), [0] * len(COUNTS))
        for at, name in enumerate(COUNTS):
            found[at] += int(line[name])
    calls, messages = len(CALLS), len(MESSAGES)
    wanted = {"voice": [calls, calls, 60 * calls, 0, 0], "message": [messages, 0, 0, messages, messages]}
    assert all(0 < record["duration_ms"] < 60_000 for record in node.records() if record["kind"] == "voice")
    assert sums == {(direction, kind): wanted[kind] for direction in ("in", "out") for kind in wanted}
    assert node.command(*SETTLE).stdout == done.stdout


def test_asterisk_reads_the_calls(node: Node) -> None:
    text = node.command("cdr", "export", "--format", "asterisk-csv").stdout
    rows = list(csv.reader(io.StringIO(text)))
    assert [len(row) for row in rows] == [18] * len(CALLS)
    assert {row[2] for row in rows} == {binding.x for binding in CALLS}
    assert {row[14] for row in rows} == {"ANSWERED"}
    billed = {record["record_id"]: record["bill_seconds"] for record in node.records()}
    assert all(int(row[13]) == billed[row[16]] <= int(row[12]) for row in rows)
    assert not [number for binding in CALLS for number in (binding.a, binding.b) if number in text]
