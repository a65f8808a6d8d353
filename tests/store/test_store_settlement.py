"""`cdr settlement`: what is counted where, rounding, days, and that order changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.records import CallRecord
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.export import open_records
from engine.store.ledger import Ledger
from engine.store.rows import RowMaker
from engine.store.settlement import COLUMNS, NEEDED, ROUNDING_S, Settlement, SettlementLine
from engine.store.signing import open_signing_key

MakeRecord = Callable[..., CallRecord]
CHINA_S: Final = 8 * 3600
CALL: Final[dict[str, Any]] = {
    "node": "veil-1", "seq": 1, "kind": "voice", "mode": "AXB", "ingress_peer": "core", "egress_peer": "mobile",
    "call_time": "2026-11-24T15:59:59.999Z", "duration_ms": 61_000, "release_cause": "NORMAL", "sip_status": 200,
    "parts": 0,
}  # fmt: skip
MESSAGE: Final = CALL | {"kind": "message", "duration_ms": 0, "parts": 3}


def settled(*records: dict[str, Any], rounding: str = "minute", offset: str = "+08:00") -> list[SettlementLine]:
    sums = Settlement(rounding, offset, CHINA_S if offset == "+08:00" else 0)
    for one in records:
        sums.add(one)
    return sums.lines()


def test_a_call_stands_under_both_its_peers() -> None:
    came, went = settled(CALL)
    assert (came.peer, came.direction, went.peer, went.direction) == ("core", "in", "mobile", "out")
    assert (went.attempts, went.answered, went.billed_seconds, went.minutes) == (1, 1, 120, 2)
    assert (went.messages, went.parts, went.day, went.utc_offset) == (0, 0, "2026-11-24", "+08:00")


def test_a_refusal_stands_under_the_peer_it_came_from() -> None:
    (only,) = settled(CALL | {"egress_peer": "", "sip_status": 404, "release_cause": "NO_BINDING", "duration_ms": 0})
    assert (only.direction, only.attempts, only.answered, only.billed_seconds) == ("in", 1, 0, 0)


def test_what_the_caller_was_not_told_is_not_billed() -> None:
    line, _ = settled(CALL | {"sip_status": 500, "release_cause": "INTERNAL"})
    assert (line.attempts, line.answered, line.billed_seconds) == (1, 0, 0)


def test_messages_count_when_they_were_taken() -> None:
    lost = MESSAGE | {"seq": 2, "release_cause": "UNREACHABLE"}
    short = MESSAGE | {"seq": 3, "sip_status": 202, "parts": 1}
    line, _ = settled(MESSAGE, lost, short)
    assert (line.kind, line.attempts, line.answered, line.messages, line.parts) == ("message", 3, 0, 2, 4)


@pytest.mark.parametrize(
    ("rounding", "billed_seconds", "minutes"), [("second", 61 + 1, 2), ("6s", 66 + 6, 2), ("minute", 120 + 60, 3)]
)
def test_each_call_is_rounded_by_itself(rounding: str, billed_seconds: int, minutes: int) -> None:
    line, _ = settled(CALL | {"duration_ms": 60_001}, CALL | {"duration_ms": 1}, rounding=rounding)
    assert (line.rounding, line.billed_seconds, line.minutes) == (rounding, billed_seconds, minutes)


@pytest.mark.parametrize(("duration_ms", "billed_seconds"), [(0, 0), (60_000, 60)])
def test_what_needs_no_rounding_stays(duration_ms: int, billed_seconds: int) -> None:
    assert settled(CALL | {"duration_ms": duration_ms})[0].billed_seconds == billed_seconds


def test_a_day_begins_where_the_configuration_says() -> None:
    later = CALL | {"call_time": "2026-11-24T16:00:00.000Z"}
    assert [line.day for line in settled(CALL, later)] == ["2026-11-24"] * 2 + ["2026-11-25"] * 2
    assert [line.day for line in settled(CALL, later, offset="+00:00")] == ["2026-11-24"] * 2


def test_a_line_names_the_records_it_was_made_of() -> None:
    lines = settled(CALL | {"seq": 7}, CALL | {"seq": 3}, CALL | {"seq": 5, "ingress_peer": "edge"})
    assert {(line.peer, line.first_seq, line.last_seq) for line in lines} == {
        ("core", 3, 7), ("edge", 5, 5), ("mobile", 3, 7),
    }  # fmt: skip


RECORDS_OF_A_DAY: Final = st.lists(
    st.fixed_dictionaries({
        "node": st.sampled_from(["veil-1", "veil-2"]),
        "seq": st.integers(1, 2**40),
        "kind": st.sampled_from(["voice", "message"]),
        "mode": st.sampled_from(["AXB", ""]),
        "ingress_peer": st.sampled_from(["core", "edge"]),
        "egress_peer": st.sampled_from(["core", "mobile", ""]),
        "call_time": st.sampled_from(["2026-11-24T15:59:59.999Z", "2026-11-24T16:00:00.000Z"]),
        "duration_ms": st.integers(0, 4 * 3600 * 1000),
        "release_cause": st.sampled_from(["NORMAL", "BUSY"]),
        "sip_status": st.sampled_from([200, 486]),
        "parts": st.integers(0, 4),
    }),
    max_size=20,
)  # fmt: skip


@given(RECORDS_OF_A_DAY, st.sampled_from(sorted(ROUNDING_S)), st.randoms(use_true_random=False))
def test_order_changes_nothing(records: list[dict[str, Any]], rounding: str, chance: random.Random) -> None:
    shuffled = chance.sample(records, len(records))
    first, again = settled(*records, rounding=rounding), settled(*shuffled, rounding=rounding)
    assert repr(first) == repr(again)
    assert sum(line.attempts for line in first if line.direction == "in") == len(records)
    assert all(type(value) in (int, str) for line in first for value in astuple(line))


async def test_from_the_table(records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float) -> None:
    """What began in the time, and how much of it is still open."""
    connection = open_database(records_db, RECORDS, cipher)
    maker = RowMaker(cipher, "boot")
    ends = [
        make_record("before", call_time=now - 1),
        make_record("one", sip_status=200, release_cause="NORMAL", duration_ms=1),
        make_record("behind", call_time=now + 60),
    ]
    opens = [maker.open_row(make_record(name, call_time=at).snapshot()) for name, at in (("o1", now), ("o2", now + 60))]
    Ledger(connection, "veil-1", open_signing_key(records_db.parent)).write(
        opens, [], [maker.closing(one.snapshot()) for one in ends]
    )
    connection.close()
    sums = Settlement("minute", "+08:00", CHINA_S)
    async with open_records(records_db.parent, cipher) as reader:
        assert await reader.settle(sums, now, now + 60) == 1
    assert [(line.attempts, line.billed_seconds, line.first_seq, line.last_seq) for line in sums.lines()] == [
        (1, 60, 2, 2), (1, 60, 2, 2),
    ]  # fmt: skip


def test_the_columns_are_named_for_what_they_are() -> None:
    assert COLUMNS[:8] == ("day", "utc_offset", "node", "peer", "direction", "kind", "mode", "attempts")
    assert set(NEEDED) == set(CALL)
