"""A node that dies, and the one that takes its place: what the store holds goes through the JSON that it stands in."""

from __future__ import annotations

import json

from engine.core.context import Run
from engine.core.frozen_call import FrozenCall, read_frozen
from engine.core.outputs import CommitRecord
from engine.core.records import RECORD_COLUMNS, Attempt, CallRecord, Step
from engine.core.settings import CoreSettings
from engine.store.rows import OPEN_COLUMNS
from tests.core.corenode import SETTINGS, CoreNode


def restarted(
    first: CoreNode,
    settings: CoreSettings = SETTINGS,
    after_s: float = 1.0,
    boot_id: str = "",
    clock_step_s: float = 0.0,
) -> CoreNode:
    """The next run on the same data, so much later. With a `boot_id` the machine was started anew, too.

    `clock_step_s`: the wall clock was set meanwhile. All that the first run has sent counts as sent by the second.
    """
    context = first.context
    second = CoreNode(
        settings,
        tuple(first.bindings.values()),
        Run(boot_id or context.run.boot_id, context.run.epoch + 1, context.run.key),
    )
    if first in CoreNode.made:
        CoreNode.made.remove(first)  # it is dead
    for place, addresses in context.targets._found.items():
        second.service.trunks.resolved(place, addresses)
    second.book.now = first.book.now + after_s
    second.book.log += first.book.log
    answered, unfinished = left_open(first)
    second.stored += [*first.stored, *(CommitRecord(done.attempt, Step.CLOSE, done.values) for done in unfinished)]
    second.steps += [(done.step, values_of(done)) for done in second.stored]
    second.before = len({done.attempt.record.record_id for done in first.stored})
    if boot_id:
        second.book.now += 5000.0  # monotonic seconds of another machine
    second.service.set_wall_clock(context.wall(first.book.now + after_s) + clock_step_s - second.book.now)
    calls = [(record_of(done), thawed(done.extra)) for done in answered]
    outputs = second.service.last_run.adopt_calls(calls, second.book.now)
    voices = [record for record in map(record_of, unfinished) if record.kind == "voice"]
    outputs += second.service.last_run.take_back(voices, second.book.now)
    for attempt in second.service.attempts:
        second.decided[attempt, Step.OPEN] = second.decided[attempt, Step.ANSWER] = 0
    second.book.perform(outputs)
    return second


def left_open(node: CoreNode) -> tuple[list[CommitRecord], list[CommitRecord]]:
    """The last durable step of the calls that are answered, and of all else that is open."""
    last: dict[str, CommitRecord] = {}
    for done in node.stored:
        if done.step is Step.CLOSE:
            last.pop(done.attempt.record.record_id, None)
        else:
            last[done.attempt.record.record_id] = done
    answered = [done for done in last.values() if done.step is not Step.OPEN]
    return answered, [done for done in last.values() if done.step is Step.OPEN]


def values_of(done: CommitRecord) -> dict[str, object]:
    return dict(zip(RECORD_COLUMNS, done.values, strict=True))


def frozen_of(node: CoreNode) -> FrozenCall:
    """What its one answered call is served on by."""
    (done,) = left_open(node)[0]
    return thawed(done.extra)


def thawed(frozen: object) -> FrozenCall:
    """Through the store's JSON and back."""
    return read_frozen(json.loads(json.dumps(frozen, default=lambda value: {"latin1": value.decode("latin-1")})))


def record_of(done: CommitRecord) -> CallRecord:
    """The record as that step left it."""
    values = values_of(done)
    record = CallRecord(str(values["record_id"]), str(values["node"]), str(values["kind"]))
    for name in OPEN_COLUMNS:
        if name != "attempts":
            setattr(record, name, values[name])
    for peer, target, status, ms, _, address in values["attempts"]:  # type: ignore[attr-defined]
        tried = Attempt(peer, target, address=address)
        tried.status, tried.ms = status, ms
        record.attempts.append(tried)
    return record
