"""Power cuts under load: what was said to anybody stands in exactly one record, whenever the node dies."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest

from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.place import INBOX_PORT
from scenarios.rig.seen import Seen, by_call_id
from tests.e2e.accounts import REASON_TO_BE_THERE, check_numbers
from tests.e2e.stories import many

SEED = 700
KILLS = 20
RUN_S = 48
CALL_RATE = 100  # per second
MESSAGE_RATE = 20
LAST_KILL_S = 44.0  # what is in progress then has time to end

MAX_CALL_S = 20  # a call that an end has lost in a kill is over within the test
CONFIG = f"[policy]\nmax_call_s = {MAX_CALL_S}\n"

FREE_BLOCK = "70012345679"


def traffic(count: int, first: int, callees: str) -> tuple[list[Bound], list[tuple[str, str]]]:
    """Bindings, and who dials what: every tenth dials a number that nobody has."""
    bound = many(first, count, callees)
    dialled = [(binding.x, binding.a) for binding in bound]
    dialled[::10] = [(binding.x, binding.a) for binding in many(first, count, callees, FREE_BLOCK)[::10]]
    return bound, dialled


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(180)
def test_kills(make_node: Any, sipp: Any, place: Any) -> None:
    node: Node = make_node(extra=CONFIG)
    calls, dialled = traffic(CALL_RATE * RUN_S, 0, "139")
    messages, addressed = traffic(MESSAGE_RATE * RUN_S, CALL_RATE * RUN_S, "136")
    node.import_bindings(calls + messages)
    node.start()
    callee = sipp("uas_through_kills", place.callee, calls=None, timeout_s=RUN_S + 90)
    inbox = sipp("uas_message_slowly", place.callee, port=INBOX_PORT, calls=None, timeout_s=RUN_S + 90)
    common = {"target": place.node, "timeout_s": RUN_S + 60, "options": ("-recv_timeout", "8000")}
    caller = sipp("uac_through_kills", place.caller, rows=dialled, calls=len(dialled), rate=CALL_RATE, **common)
    sender = sipp(
        "uac_message_through_kills", place.caller, port=INBOX_PORT, rows=addressed, calls=len(addressed),
        rate=MESSAGE_RATE, **common,
    )  # fmt: skip
    moments = kill_and_restart(node)
    for run in (caller, sender):
        figures = run.wait()
        print(f"{run.scenario}: {figures.successful} through, {figures.failed} failed")
    callee.end()
    inbox.end()
    node.kill()  # once more, and what has lost its BYE in one of the kills before has its longest time
    node.start()
    settle(node)
    assert node.stop() == 0
    print("killed", len(moments), "times, at", ", ".join(f"{moment:.2f}" for moment in moments))

    check_records(node, [*caller.messages, *sender.messages])
    check_numbers(caller, callee, calls)
    check_numbers(sender, inbox, messages)


def kill_and_restart(node: Node) -> list[float]:
    """Kills the node at seeded moments and starts it again at once; when it did, in seconds from now."""
    chance = random.Random(SEED)
    began = time.monotonic()
    done = []
    for moment in sorted(chance.uniform(0.5, LAST_KILL_S) for _ in range(KILLS)):
        time.sleep(max(0.0, began + moment - time.monotonic()))  # the moment itself is what is tested
        node.kill()
        done.append(time.monotonic() - began)
        node.start()
    return done


def settle(node: Node) -> None:
    """Waits until nothing is in progress."""
    deadline = time.monotonic() + 2 * MAX_CALL_S
    while node.calls():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_records(node: Node, seen: list[Seen]) -> None:
    """One record for whatever was answered or refused, and never two."""
    report = node.verify()
    assert report.is_clean, report
    records = node.records()
    times = Counter(record["caller_call_id"] for record in records)
    assert [call_id for call_id, count in times.items() if count != 1] == []
    by_id = {record["caller_call_id"]: record for record in records}

    attempts = by_call_id(seen)
    finals = {call_id: final_status(messages) for call_id, messages in attempts.items()}
    ended = {call_id: status for call_id, status in finals.items() if status}
    causes = Counter(record["release_cause"] for record in records)
    print(len(attempts), "attempts,", len(ended), "with a final response:", dict(Counter(ended.values())))
    print(len(records), "records:", dict(causes))
    assert [call_id for call_id in ended if call_id not in times] == []
    assert {i: (status, by_id[i]) for i, status in ended.items() if not agree(by_id[i], status)} == {}
    assert min(causes["NODE_RESTART"], causes["NO_BINDING"]) > KILLS, REASON_TO_BE_THERE
    assert len(ended) > len(attempts) * 0.7, REASON_TO_BE_THERE


def agree(record: dict[str, Any], status: int) -> bool:
    """What the caller was told is what stands in the record.

    One exception: a caller that asks again for a call whose 2xx it has not had hears that it is over.
    """
    if record["release_cause"] == "NODE_RESTART" and record["kind"] == "voice" and status == 500:
        return bool(record["sip_status"] in (200, 500))
    return bool(record["sip_status"] == status)


def final_status(messages: list[Seen]) -> int:
    """The final response that the caller had to its INVITE or MESSAGE; 0 when it had none."""
    method = messages[0].method
    return next((m.status for m in messages if not m.is_sent and m.status >= 200 and m.method == method), 0)
