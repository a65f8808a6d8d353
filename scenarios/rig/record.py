"""The record that a story must leave, and what a record says otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, get_args

from engine.core.binding import TRANSIT
from engine.core.call_end import BYE_ANSWER_WAIT_S
from engine.core.numbers import masked_identifier
from scenarios.rig.place import Place
from scenarios.rig.seen import Seen
from scenarios.rig.story import Story, Time
from scenarios.rig.told import Told

TIMES: Final[tuple[str, ...]] = get_args(Time)

_ID_LENGTH: Final = 20  # a record_id is longer
_CLOCKS_DIFFER_MS: Final = 2  # times are rounded, durations are taken from the monotonic clock
_LONGEST_TRY_MS: Final = 30_000
_ROUNDED_S: Final = 0.02  # what SIPp writes of its times, and the way to the node
_ICID: Final = re.compile("icid-value=([^;]+)")
_NO_BINDING: Final = {
    "mode": "", "subs_id": "", "binding_version": 0, "app_platform": "", "business_user": "", "order_id": "",
    "scenario": "", "presented_number": "",
}  # fmt: skip


def expected_record(story: Story, told: Told, place: Place) -> dict[str, object]:
    """Every field that is known beforehand; of the times only whether they are set."""
    ending, call = story.record, story.call
    is_message = bool(told.caller) and told.caller[0].method == "MESSAGE"
    attempts = [
        {name: place.filled(value) if isinstance(value, str) else value for name, value in attempt.items()}
        for attempt in ending.attempts
    ]
    if _is_bye_answered_late(told) and not any("bye" in tried for one in told.records for tried in one["attempts"]):
        attempts = [{name: value for name, value in one.items() if name != "bye"} for one in attempts]
    callee_call_id = told.callee_call_id if ending.heard else ""
    reached = [seen for seen in told.callee if seen.call_id == callee_call_id]
    icid_out = _icid(reached)  # none where a trunk is outside of the trust domain: then none has been read, either
    return {
        "node": "veil-test",
        "kind": "message" if is_message else "voice",
        "tel_x": "" if call.transit or not call.dialled.startswith("700") else call.dialled,
        "tel_y": "",
        "caller": call.caller,
        "callee": (call.callee if ending.heard else "") or ending.callee or None,
        "group_member": None,
        **_of_binding(story),
        "ingress_peer": ending.ingress_peer or _trunk_of(call.caller, place),
        "egress_peer": attempts[-1]["peer"] if attempts else "",
        "attempts": attempts,
        "caller_call_id": told.caller_call_id,
        "callee_call_id": callee_call_id,
        **{name: name in ending.times for name in TIMES},
        "duration_source": "monotonic",
        "release_direction": ending.release_direction,
        "release_cause": ending.release_cause,
        "sip_status": ending.sip_status,
        "q850": ending.q850,
        "decided_by": ending.decided_by,
        "parts": 1 if is_message else 0,
        "octets": len(told.caller[0].body) if is_message else 0,
        "icid_in": masked_identifier(_icid(told.caller)) if icid_out or not reached else "",
        "icid_out": icid_out,
    }


def _is_bye_answered_late(told: Told) -> bool:
    """On a machine that is busy with other stories: the record has not waited for it."""
    for side, other in ((told.caller, told.callee), (told.callee, told.caller)):
        bye_s = next((seen.at_s for seen in side if seen.is_sent and seen.start_line.startswith("BYE ")), None)
        answer_s = [seen.at_s for seen in other if seen.is_sent and seen.status == 200 and seen.method == "BYE"]
        if bye_s is not None and answer_s and answer_s[0] - bye_s > BYE_ANSWER_WAIT_S - _ROUNDED_S:
            return True
    return False


def _trunk_of(number: str, place: Place) -> str:
    return "caller-side" if place.host_of(number) == place.caller else "callee-side"


def _icid(seen: list[Seen]) -> str:
    """The icid-value that a side has sent or been sent with the first message, "" for none."""
    found = _ICID.search(seen[0].value("P-Charging-Vector")) if seen else None
    return found[1] if found is not None else ""


def _of_binding(story: Story) -> dict[str, object]:
    if story.call.transit:
        return {**_NO_BINDING, "mode": TRANSIT}
    if not story.record.has_binding or story.bound is None:
        return dict(_NO_BINDING)
    bound, call = story.bound, story.call
    member = (call.callee if call.caller == bound.b else call.caller) if bound.members else None
    return {
        "mode": bound.mode, "binding_version": 1, "app_platform": "ap-test", "business_user": "bu-test",
        "order_id": bound.order_id, "scenario": bound.scenario, "tel_x": bound.x, "tel_y": bound.y,
        "group_member": member,
        "presented_number": bound.y or bound.x if call.caller == bound.b else bound.x,
    }  # fmt: skip


def record_differences(record: Mapping[str, Any], expected: Mapping[str, object]) -> list[str]:
    """Fields that are not as expected, and times and durations that do not fit together; a line each."""
    known = {**record, **{name: record[name] is not None for name in TIMES}}
    known["attempts"] = [
        {name: value for name, value in attempt.items() if name != "ms"} for attempt in record["attempts"]
    ]
    wrong = [
        f"record, {name}: expected {value!r}, found {known[name]!r}"
        for name, value in expected.items()
        if known[name] != value
    ]
    return wrong + [f"record: {what}" for what in _misfits(record)]


def _misfits(record: Mapping[str, Any]) -> list[str]:
    """What contradicts itself."""
    times = [datetime.fromisoformat(record[name]) for name in TIMES if record[name] is not None]
    ring_ms = _between(record, "ring_time", "answer_time", "release_time")
    talk_ms = _between(record, "answer_time", "release_time") if record["kind"] == "voice" else record["duration_ms"]
    sound = {
        "record_id is too short": len(record["record_id"]) > _ID_LENGTH,
        "a binding without subs_id, or one without a binding": bool(record["subs_id"])
        == (record["mode"] not in ("", TRANSIT)),
        "its times run backwards": times == sorted(times),
        "attempts without call_out_time, or the reverse": bool(record["attempts"]) == bool(record["call_out_time"]),
        "an attempt took impossibly long": all(0 <= tried["ms"] < _LONGEST_TRY_MS for tried in record["attempts"]),
        "ring_ms does not fit the times": abs(record["ring_ms"] - ring_ms) <= _CLOCKS_DIFFER_MS,
        "duration_ms does not fit the times": abs(record["duration_ms"] - talk_ms) <= _CLOCKS_DIFFER_MS,
        "bill_seconds does not fit duration_ms": record["bill_seconds"] == -(-record["duration_ms"] // 1000),
    }
    return [what for what, holds in sound.items() if not holds]


def _between(record: Mapping[str, Any], start: str, *ends: str) -> float:
    """Milliseconds from one time of a record to the first other that it has; 0 when one is missing."""
    end = next((record[name] for name in ends if record[name] is not None), None)
    if record[start] is None or end is None:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(record[start])).total_seconds() * 1000
