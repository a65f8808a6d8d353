"""A minute's traffic of a small town: 3,000 calls and 3,000 messages, every one of them right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.datagrams import answer_to_options, udp_socket
from tests.e2e.nodes import INBOX_PORT, Bound, Node, assert_sound
from tests.e2e.privacy import CALLEE_CANARY, CALLER_CANARY, Side, assert_private
from tests.e2e.sippruns import Counted, Seen, by_call_id
from tests.e2e.stories import Told, answered, assert_record, many, x_in

CALLS = 3000
MESSAGES = 3000
RATE = 100  # of each, per second

# A node of 30 MiB, and all of the 6,000 attempts: each is kept for 64*T1 for the sake of repeats.
MEMORY_KB = 160 * 1024


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
def test_load(make_node: Any, sipp: Any, place: Any, tmp_path: Path) -> None:
    node: Node = make_node()
    calls, messages = many(0, CALLS, "139"), many(CALLS, MESSAGES, "136")
    node.import_bindings(calls + messages)
    node.start()
    callee = sipp("uas_answers", place.callee, calls=CALLS, timeout_s=90)
    inbox = sipp("uas_message", place.callee, port=INBOX_PORT, calls=MESSAGES, timeout_s=90)
    common = {"target": place.node, "rate": RATE, "timeout_s": 80}
    caller = sipp("uac_ends", place.caller, rows=[(b.x, b.a) for b in calls], calls=CALLS, **common)
    sender = sipp(
        "uac_message", place.caller, port=INBOX_PORT, rows=[(b.x, b.a) for b in messages], calls=MESSAGES, **common
    )
    for run, count in ((caller, CALLS), (sender, MESSAGES), (callee, CALLS), (inbox, MESSAGES)):
        assert run.wait() == Counted(0, count, 0, 0, 0, ""), run.scenario
    seen = {run.scenario: run.messages for run in (caller, sender, callee, inbox)}
    assert all(no_repeats(messages) for messages in seen.values())

    with udp_socket(place.caller) as probe:
        assert answer_to_options(probe, place.node, "after-load").startswith(b"SIP/2.0 200 ")
    check_status(node)
    assert node.stop() == 0
    told = told_by_x(seen["uac_ends"], seen["uas_answers"]) | told_by_x(seen["uac_message"], seen["uas_message"])
    assert len(told) == CALLS + MESSAGES
    check_records(node, {b.x: b for b in calls + messages}, told)
    for bound in calls + messages:
        both = told[bound.x]
        calling = Side(both.caller, place.caller, bound.a, CALLER_CANARY)
        assert_private(calling, Side(both.callee, place.callee, bound.b, CALLEE_CANARY))


def check_status(node: Node) -> None:
    """What the node says of itself after all of it."""
    status = node.status()
    print("status after the load:", status)
    assert_sound(status["counters"])
    assert (status["attempts"], status["records"]) == (CALLS + MESSAGES, CALLS + MESSAGES)
    assert (status["calls"], status["spooled"], status["store_fault"]) == (0, 0, "")
    assert status["counters"]["retransmissions_in"] == 0
    assert 0 < status["uss_kb"] < MEMORY_KB


def check_records(node: Node, bound: dict[str, Bound], told: dict[str, Told]) -> None:
    """One record for each attempt, each with what SIPp's injection and messages say."""
    done = node.command("cdr", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    records = exported(node)
    assert len(records) == len(bound)
    assert {record["tel_x"] for record in records} == set(bound)
    for seq, record in enumerate(records, 1):
        binding = bound[record["tel_x"]]
        changed: dict[str, object] = {"seq": seq}
        if record["kind"] == "message":
            changed |= {"egress_peer": "inbox", "release_direction": "callee", "decided_by": "callee"}
        assert_record(record, answered(told[binding.x], binding, **changed))
        [attempt] = record["attempts"]
        assert attempt["status"] == 200
    for name in ("record_id", "caller_call_id", "callee_call_id", "hash", "subs_id"):
        assert len({record[name] for record in records}) == len(records), name
