"""A minute's traffic of a small town: thousands of calls and of messages, every one of them right."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from scenarios.rig.binding import Bound
from scenarios.rig.engine import Counted
from scenarios.rig.node import Node, unsound
from scenarios.rig.place import INBOX_PORT, Place
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side
from scenarios.rig.record import expected_record, record_differences
from scenarios.rig.seen import Seen, by_call_id
from scenarios.rig.story import Placed, read_story
from scenarios.rig.told import Told
from tests.e2e.datagrams import answer_to_options, udp_socket
from tests.e2e.stories import ANSWERED, assert_private, many, x_in

COUNTS = (1000, pytest.param(3000, marks=pytest.mark.long))  # of calls, and of messages
RATE = 100  # of each, per second

# A node without calls, and all of the attempts: each is kept for 64*T1 for the sake of repeats.
BARE_KB = 48 * 1024
ATTEMPT_KB = 19


_INBOX: Final[dict[str, str | int]] = {"peer": "inbox", "target": f"sip:{{callee}}:{INBOX_PORT}", "status": 200}
_MESSAGE: Final = read_story("message")
MESSAGE: Final = replace(_MESSAGE, record=replace(_MESSAGE.record, attempts=(_INBOX,)))


def exported(node: Node) -> list[dict[str, Any]]:
    """All records by `veil700 cdr export --reveal`."""
    done = node.command("cdr", "export", "--reveal")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def told_by_x(calling: list[Seen], answering: list[Seen]) -> dict[str, Told]:
    """Both sides of every attempt: X stands in the caller's Request-URI and in the callee's From."""
    told = {}
    callee_of = {x_in(messages): messages for messages in by_call_id(answering).values()}
    for messages in by_call_id(calling).values():
        x = x_in(messages)
        assert x not in told
        told[x] = Told(messages, callee_of.pop(x))
    assert callee_of == {}
    return told


def no_repeats(messages: list[Seen]) -> bool:
    """True when no datagram came or went twice."""
    return len({(message.is_sent, message.data) for message in messages}) == len(messages)


@pytest.mark.alone
@pytest.mark.parametrize("count", COUNTS)
def test_load(make_node: Any, sipp: Any, place: Any, count: int) -> None:
    node: Node = make_node()
    calls, messages = many(0, count, "139"), many(count, count, "136")
    node.import_bindings(calls + messages)
    node.start()
    callee = sipp("answered/uas", place.callee, calls=count, timeout_s=90)
    inbox = sipp("message/uas", place.callee, port=INBOX_PORT, calls=count, timeout_s=90)
    common = {"target": place.node, "rate": RATE, "timeout_s": 80}
    caller = sipp("answered/uac", place.caller, rows=[(b.x, b.a) for b in calls], calls=count, **common)
    rows = [(b.x, b.a) for b in messages]
    sender = sipp("message/uac", place.caller, port=INBOX_PORT, rows=rows, calls=count, **common)
    for run in (caller, sender, callee, inbox):
        assert run.wait() == Counted(0, count, 0, 0, 0, ""), run.scenario
    seen = {run.scenario: run.messages for run in (caller, sender, callee, inbox)}
    assert all(no_repeats(messages) for messages in seen.values())

    with udp_socket(place.caller) as probe:
        assert answer_to_options(probe, place.node, "after-load").startswith(b"SIP/2.0 200 ")
    check_status(node, 2 * count)
    assert node.stop() == 0
    told = told_by_x(seen["answered/uac"], seen["answered/uas"])
    told |= told_by_x(seen["message/uac"], seen["message/uas"])
    assert len(told) == 2 * count
    check_records(node, place, {b.x: b for b in calls + messages}, told)
    for bound in calls + messages:
        both = told[bound.x]
        calling = Side(both.caller, place.caller, bound.a, CALLER_CANARY)
        assert_private(calling, Side(both.callee, place.callee, bound.b, CALLEE_CANARY))


def check_status(node: Node, attempts: int) -> None:
    """What the node says of itself after all of it."""
    status = node.status()
    print("status after the load:", status)
    assert unsound(status["counters"]) == {}
    assert (status["attempts"], status["records"]) == (attempts, attempts)
    assert (status["calls"], status["spooled"], status["store_fault"]) == (0, 0, "")
    assert status["counters"]["retransmissions_in"] == 0
    assert 0 < status["uss_kb"] < BARE_KB + ATTEMPT_KB * attempts


def check_records(node: Node, place: Place, bound: dict[str, Bound], told: dict[str, Told]) -> None:
    """One record for each attempt, each with what SIPp's injection and messages say."""
    done = node.command("cdr", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    records = exported(node)
    assert len(records) == len(bound)
    assert {record["tel_x"] for record in records} == set(bound)
    for seq, record in enumerate(records, 1):
        binding = bound[record["tel_x"]]
        story = replace(
            MESSAGE if record["kind"] == "message" else ANSWERED,
            binding=(binding,), call=Placed(binding.a, binding.x, binding.b),
        )  # fmt: skip
        assert record["seq"] == seq
        assert record_differences(record, expected_record(story, told[binding.x], place)) == []
    for name in ("record_id", "caller_call_id", "callee_call_id", "hash", "subs_id"):
        assert len({record[name] for record in records}) == len(records), name
