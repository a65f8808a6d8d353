"""The books of the kill suite: what a log and a record say differently is found."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.rig.seen import Seen
from tests.e2e.kill_books import Call, calls_of, doubled, misfits

BEGAN_S = 1_790_000_000.0
RECORD: dict[str, Any] = {
    "kind": "voice", "caller_call_id": "a", "callee_call_id": "b", "sip_status": 200, "release_direction": "caller",
    "answer_time": "2026-09-21T14:13:21.000Z", "release_time": "2026-09-21T14:13:26.000Z", "duration_ms": 5000,
}  # fmt: skip


def seen(arrow: str, at_s: float, what: str, method: str, call_id: str) -> Seen:
    start = f"SIP/2.0 {what} OK" if what.isdigit() else f"{what} sip:x SIP/2.0"
    return Seen(BEGAN_S + at_s, arrow == "->", f"{start}\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\r\n".encode())


def caller(ends_s: float = 6.0) -> list[Seen]:
    return [
        seen("->", 0.0, "INVITE", "INVITE", "a"),
        seen("<-", 1.1, "200", "INVITE", "a"),
        seen("->", 1.2, "ACK", "ACK", "a"),
        seen("->", ends_s, "BYE", "BYE", "a"),
        seen("<-", ends_s + 0.2, "200", "BYE", "a"),
    ]


def callee(ends_s: float = 6.1) -> list[Seen]:
    return [
        seen("<-", 0.1, "INVITE", "INVITE", "b"),
        seen("->", 1.0, "200", "INVITE", "b"),
        seen("<-", 1.3, "ACK", "ACK", "b"),
        seen("<-", ends_s, "BYE", "BYE", "b"),
        seen("->", ends_s + 0.1, "200", "BYE", "b"),
    ]


CALL = Call(caller(), callee())


def test_a_record_that_fits() -> None:
    assert misfits(CALL, RECORD) == []
    assert calls_of(caller(), callee(), [RECORD]) == {"a": CALL}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("sip_status", 500, "the caller was told 200, recorded is 500"),
        ("release_direction", "callee", "{'caller'} hung up, recorded is callee"),
        ("release_direction", "platform", "{'caller'} hung up, recorded is platform"),
        ("duration_ms", 6500, "by duration_ms it lasted 6.500 s, seen were 4.900..5.200"),
        ("duration_ms", 3800, "by duration_ms it lasted 3.800 s, seen were 4.900..5.200"),
        ("release_time", "2026-09-21T14:13:29.000Z", "by the times it lasted 8.000 s, seen were 4.900..5.200"),
        ("answer_time", None, "no time of the answer, or of the end"),
    ],
)
def test_a_record_that_does_not_fit(field: str, value: object, says: str) -> None:
    assert misfits(CALL, {**RECORD, field: value}) == [says]


def test_two_records_of_one_attempt() -> None:
    assert doubled([RECORD, {**RECORD, "caller_call_id": "c"}, RECORD]) == ["a"]


def test_when_a_call_talks() -> None:
    assert [CALL.talked_at(BEGAN_S + at_s) for at_s in (0.5, 1.15, 1.25, 5.9, 6.1)] == [False, False, True, True, False]


def test_an_end_that_was_left_behind() -> None:
    assert CALL.has_ended and CALL.is_released
    left_behind = Call(caller(), callee()[:3])
    assert not left_behind.has_ended and not left_behind.is_released
    assert Call(caller()[:1], callee()[:1]).has_ended, "neither has a dialog"
    assert not Call((), callee()[:2]).has_ended
    assert not Call(caller()[:4], callee()).is_released, "the BYE was not answered"


def test_an_end_that_has_given_up() -> None:
    again = [seen("->", at_s, "INVITE", "INVITE", "a") for at_s in (2.0, 2.5, 3.5)]
    assert Call([*caller()[:3], *again], ()).has_ended
    assert not Call([*caller()[:3], *again, seen("<-", 3.6, "100", "INVITE", "a")], ()).has_ended
