"""A node that dies, and the one that takes its place: what the store holds goes through the JSON that it stands in."""

from __future__ import annotations

import json

from engine.core.context import Run
from engine.core.frozen_call import FrozenCall, read_frozen
from engine.core.records import RECORD_COLUMNS, Attempt, CallRecord, Step
from engine.core.settings import CoreSettings
from tests.core.corenode import FIRST_RUN, SETTINGS, CoreNode


def restarted(
    first: CoreNode,
    settings: CoreSettings = SETTINGS,
    after_s: float = 1.0,
    boot_id: str = FIRST_RUN.boot_id,
    clock_step_s: float = 0.0,
) -> CoreNode:
    """The next run on the same data, so much later. Another `boot_id` is another start of the machine.

    `clock_step_s`: the wall clock was set meanwhile. All that the first run has sent counts as sent by the second.
    """
    context = first.context
    second = CoreNode(settings, tuple(first.bindings.values()), Run(boot_id, context.run.epoch + 1, context.run.key))
    if first in CoreNode.made:
        CoreNode.made.remove(first)  # it is dead
    second.book.now = first.book.now + after_s
    second.book.log += first.book.log
    second.steps += first.steps
    second.frozen.update(first.frozen)
    if boot_id != FIRST_RUN.boot_id:
        second.book.now += 5000.0  # monotonic seconds of another machine
    second.service.set_wall_clock(context.wall(first.book.now + after_s) + clock_step_s - second.book.now)
    left = answered_calls(first)
    second.is_adopted = bool(left)
    outputs = second.service.adopt_calls(left, second.book.now)
    outputs += second.service.take_back(unfinished_calls(first), second.book.now)
    for attempt in second.service.attempts:
        second.decided[attempt, Step.OPEN] = second.decided[attempt, Step.ANSWER] = 0
    second.book.perform(outputs)
    return second


def answered_calls(node: CoreNode) -> list[tuple[CallRecord, FrozenCall]]:
    """What a start finds of the calls that are open and answered."""
    closed = {record["record_id"] for record in node.records}
    rows = {values["record_id"]: values for step, values in node.steps if step in (Step.ANSWER, Step.CHANGE)}
    return [(_record(rows[key]), thawed(frozen)) for key, frozen in node.frozen.items() if key not in closed]


def unfinished_calls(node: CoreNode) -> list[CallRecord]:
    """What a start finds of the calls that are open and not answered; it gives them their record."""
    closed = {record["record_id"] for record in node.records}
    rows = {str(values["record_id"]): values for step, values in node.steps if step is Step.OPEN}
    return [_record(values) for key, values in rows.items() if key not in closed and key not in node.frozen]


def thawed(frozen: object) -> FrozenCall:
    """Through the store's JSON and back."""
    return read_frozen(json.loads(json.dumps(frozen, default=lambda value: {"latin1": value.decode("latin-1")})))


def _record(values: dict[str, object]) -> CallRecord:
    record = CallRecord(str(values["record_id"]), str(values["node"]), str(values["kind"]))
    for name in RECORD_COLUMNS:
        setattr(record, name, values[name])
    record.attempts = []
    for peer, target, status, ms, _ in values["attempts"]:  # type: ignore[attr-defined]
        tried = Attempt(peer, target)
        tried.status, tried.ms = status, ms
        record.attempts.append(tried)
    return record
