"""What is wrong with a story that was played, and with the node that it was played over; a line or few each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from subprocess import TimeoutExpired
from typing import Final

from engine.control.client import ControlError
from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side, leaks
from scenarios.rig.record import expected_record, record_differences
from scenarios.rig.seen import Seen, ladder
from scenarios.rig.stage import SETTLES_S
from scenarios.rig.story import Fact, Story
from scenarios.rig.told import Told

_NOTHING: Final = "nothing more"
_LOOK_S: Final = 0.01
_ROUNDED_S: Final = 0.01  # a timer of milliseconds, and what SIPp writes of its times


def wrong(story: Story, told: Told, place: Place) -> list[str]:
    """All that is not as the story says; empty when all is well."""
    found = list(told.faults)
    may_repeat = _has_lasted_for_t1(story, told)
    for side, expected in (("caller", story.ladders.caller), ("callee", story.ladders.callee),
                           ("second", story.ladders.second)):  # fmt: skip
        found += ladder_differences(side, expected, getattr(told, side), may_repeat)
    found += _final_differences(story, told)
    for fact in story.seen:
        found += _fact_differences(fact, told, place)
    found += _crossed(story, told, place)
    wanted = story.record.earlier + 1
    if len(told.records) != wanted:
        found.append(f"records: expected {wanted}, found {len(told.records)}")
    for record in told.records[wanted - 1 : wanted]:
        found += record_differences(record, expected_record(story, told, place))
    return found


def ended_wrong(node: Node) -> list[str]:
    """Ends the node: with exit status 0, sound counters, and a chain of records that is whole."""
    deadline = time.monotonic() + SETTLES_S
    try:
        while (status := node.status())["calls"] and time.monotonic() < deadline:
            time.sleep(_LOOK_S)  # the last answer of a phone may still be on its way
    except ControlError as error:
        return [f"node: {error}"]
    found = [f"node, {name}: {count}" for name, count in unsound(status["counters"]).items()]
    if not status["complete"]:
        found.append(f"node: {status['missing']} records are missing: {status}")
    held = (status["calls"], status["spooled"], status["store_fault"])
    if held != (0, 0, ""):
        found.append(f"node: calls, spooled records and store fault are {held}")
    try:
        exit_status = node.stop()
    except TimeoutExpired:
        return [*found, "node: does not end"]
    if exit_status != 0:
        found.append(f"node: exit status {exit_status}: {' '.join(node.stderr.split())[-300:]}")
    report = node.verify()
    if not report.is_clean:
        found.append(f"records, cdr verify: {report}")
    return found


def _has_lasted_for_t1(story: Story, told: Told) -> bool:
    """On a machine that is busy with other stories: whoever has no answer by then asks again (RFC 3261 §17.1.1.2)."""
    at_s = [seen.at_s for seen in (*told.caller, *told.callee)]
    return max(at_s, default=0.0) - min(at_s, default=0.0) > story.t1_s - _ROUNDED_S


def ladder_differences(
    side: str, expected: Sequence[str], messages: Sequence[Seen], may_repeat: bool = False
) -> list[str]:
    """The first step at which a side saw something else.

    A step is a datagram; the very same bytes again are no new step, but counted: "<- 200 INVITE x2+" is one that came
    twice or more, and a step without a number came once, but where any one `may_repeat`.
    """
    steps = list(Counter((message.is_sent, message.data) for message in messages).values())
    lines = ladder(list({(message.is_sent, message.data): message for message in messages}.values()))
    found = list(zip(lines, steps, strict=True))
    for number, (wanted, have) in enumerate(zip_longest(expected, found), 1):
        if wanted is None or have is None or not _is_step(wanted, have[0], have[1], may_repeat):
            shown = _NOTHING if have is None else have[0] if have[1] == 1 else f"{have[0]} x{have[1]}"
            return [f"ladder of {side}, step {number}: expected {wanted or _NOTHING}, found {shown}"]
    return []


def _is_step(wanted: str, line: str, count: int, may_repeat: bool) -> bool:
    """True when a datagram that came `count` times is the one that is wanted."""
    wanted_line, _, times = wanted.partition(" x")
    at_least = int(times.rstrip("+") or 1)
    return line == wanted_line and (count == at_least or ((may_repeat or times.endswith("+")) and count > at_least))


def _final_differences(story: Story, told: Told) -> list[str]:
    """What the caller was told at last, and why."""
    final = told.final
    if final is None:
        return ["caller: no final response"]
    found = []
    if final.status != story.record.sip_status:
        found.append(f"caller, final response: expected {story.record.sip_status}, found {final.status}")
    reason = f"Q.850;cause={story.record.q850}" if final.status >= 300 else ""
    if final.value("Reason") != reason:
        found.append(f"caller, Reason in {final.status}: expected {reason!r}, found {final.value('Reason')!r}")
    return found


def _fact_differences(fact: Fact, told: Told, place: Place) -> list[str]:
    """What a message does not say, or says too much."""
    where = f"{fact.by}, {fact.message} number {fact.nth}"
    matching = dict.fromkeys(m.data for m in getattr(told, fact.by) if not m.is_sent and m.shown == fact.message)
    if len(matching) < fact.nth:
        return [f"{where}: not received"]
    text = list(matching)[fact.nth - 1].decode(errors="replace").replace("\r\n", "\n")
    missing = [f"{where}: expected {part!r}, not found" for part in fact.has if place.filled(part) not in text]
    return missing + [f"{where}: found {part!r}" for part in fact.lacks if place.filled(part) in text]


def _crossed(story: Story, told: Told, place: Place) -> list[str]:
    """What a side learned of the other, in the bytes that it received; and a canary that was never planted.

    In transit numbers are no secret, all the rest is.
    """
    call = story.call
    host = place.host_of(call.caller)
    other_host = place.callee if host == place.caller else place.caller
    caller = Side(told.caller, host, "" if call.transit else call.caller, CALLER_CANARY)
    found = [
        f"{side} plants no canary"
        for side, messages, canary in (("caller", told.caller, CALLER_CANARY), ("callee", told.callee, CALLEE_CANARY))
        if (sent := [m for m in messages if m.is_sent]) and not any(canary.encode() in m.data for m in sent)
    ]
    for number in sorted(story.hidden) or [""]:
        callee = Side(told.callee, other_host, number, CALLEE_CANARY)
        found += [f"crossed to the caller in {leak}" for leak in leaks(caller, callee)]
    for name, messages in (("callee", told.callee), ("second", told.second)):
        side = Side(messages, other_host, call.callee, CALLEE_CANARY)
        found += [f"crossed to the {name} in {leak}" for leak in leaks(side, caller)]
    return list(dict.fromkeys(found))
