"""What a snapshot becomes before it is stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.records import EXTENSION_COLUMNS, FIELDS, Attempt, CallRecord
from engine.store.crypto import NumberCipher
from engine.store.rows import (
    ANSWER_COLUMNS,
    CDR_COLUMNS,
    OPEN_COLUMNS,
    RowMaker,
    extra_to_json,
    rounded,
    utc_seconds,
    utc_text,
)

KEY = NumberCipher(b"k" * 64)
MakeRecord = Callable[..., CallRecord]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_795_482_123.456, "2026-11-24T01:02:03.456Z"),
        (1_795_482_123.0004, "2026-11-24T01:02:03.000Z"),
        (1_795_482_123.9996, "2026-11-24T01:02:04.000Z"),  # rounding must not write 1000 ms
    ],
)
def test_times_are_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert utc_text(seconds) == text


@given(st.floats(min_value=0, max_value=4_102_444_800))
def test_times_come_back_to_the_millisecond(seconds: float) -> None:
    text = utc_text(seconds)
    assert abs(utc_seconds(text) - seconds) <= 0.000501
    assert datetime.fromisoformat(text).tzinfo == UTC


_NEAR_HALVES = st.integers(-(10**7), 10**14).map(lambda number: number / 2)


@given(st.floats(-1e16, 1e16) | _NEAR_HALVES | _NEAR_HALVES.map(lambda number: math.nextafter(number, math.inf)))
@example(0.5)
@example(1.5)
@example(-0.5)
@example(-1.5)
@example(0.49999999999999994)
@example(4503599627370497.5)
def test_milliseconds_are_rounded_as_python_does(number: float) -> None:
    assert rounded(number) == round(number)


def test_a_clock_remembers_many_seconds(make_record: MakeRecord) -> None:
    maker = RowMaker(KEY, "boot")
    for second in (1_795_482_123, 1_795_482_999, 1_795_482_123):
        row = dict(zip(OPEN_COLUMNS, maker.open_row(make_record("r", call_time=second + 0.5).snapshot()), strict=False))
        assert row["call_time"] == utc_text(second + 0.5)


def test_an_open_row_hides_the_numbers(make_record: MakeRecord) -> None:
    row = RowMaker(KEY, "boot", 7).open_row(make_record("r", group_member="2088888888").snapshot())
    named = dict(zip((*OPEN_COLUMNS, "boot_id", "key_id", "owner_epoch"), row, strict=True))
    assert named["owner_epoch"] == 7
    assert KEY.decrypt(bytes(named["caller"]), "call_open.caller") == "13800138000"  # type: ignore[arg-type]
    assert KEY.decrypt(bytes(named["callee"]), "call_open.callee") == "13900139000"  # type: ignore[arg-type]
    assert KEY.decrypt(bytes(named["group_member"]), "call_open.group_member") == "2088888888"  # type: ignore[arg-type]
    assert (named["boot_id"], named["key_id"]) == ("boot", KEY.key_id)
    assert not any("138001380" in str(value) or "139001390" in str(value) for value in row)


def test_a_closing_has_every_field_in_its_place(make_record: MakeRecord, now: float) -> None:
    record = make_record("r", release_time=now + 1, release_cause="NORMAL", sip_status=200, icid_out="last")
    stored = dict(zip(CDR_COLUMNS, RowMaker(KEY, "boot").closing(record.snapshot()), strict=True))
    assert (*FIELDS, *EXTENSION_COLUMNS, "key_id") == CDR_COLUMNS
    assert [stored[name] for name in ("seq", "prev_hash", "hash")] == [0, "", ""]
    assert (stored["record_id"], stored["call_time"]) == ("r", "2026-11-24T01:02:03.456Z")
    assert stored["release_time"] == "2026-11-24T01:02:04.456Z"
    assert (stored["release_cause"], stored["sip_status"], stored["icid_out"]) == ("NORMAL", 200, "last")
    assert KEY.decrypt(bytes(stored["caller"]), "cdr.caller") == "13800138000"  # type: ignore[arg-type]
    assert (stored["caller_cseq"], stored["caller_branch"], stored["key_id"]) == (1, "z9hG4bKr", KEY.key_id)


def test_what_did_not_happen_is_null(make_record: MakeRecord) -> None:
    closing = RowMaker(KEY, "boot").closing(make_record("r", caller="", callee="").snapshot())
    stored = dict(zip(CDR_COLUMNS, closing, strict=True))
    empty = [name for name, value in stored.items() if value is None]
    assert empty == [
        "caller",
        "callee",
        "group_member",
        "call_out_time",
        "ring_time",
        "answer_time",
        "release_time",
    ]


def test_attempts_are_json(make_record: MakeRecord) -> None:
    first, second = Attempt("core", "sip:127.0.0.13:5060"), Attempt('quoted "名"', "sip:[::1]:5060")
    first.status, first.ms = 503, 12
    second.status, second.ms, second.bye = 200, 31, 481
    named = Attempt("core", "sip:core.example", address="udp:127.0.0.13:5060")
    record = make_record("r", attempts=[first, second, second, named])
    row = dict(zip(OPEN_COLUMNS, RowMaker(KEY, "boot").open_row(record.snapshot()), strict=False))
    tries = json.loads(str(row["attempts"]))
    assert tries[0] == {"peer": "core", "target": "sip:127.0.0.13:5060", "status": 503, "ms": 12}
    assert tries[1] == {"peer": 'quoted "名"', "target": "sip:[::1]:5060", "status": 200, "ms": 31, "bye": 481}
    assert tries[2] == tries[1]
    assert list(tries[3].items())[:3] == [
        ("peer", "core"),
        ("target", "sip:core.example"),
        ("address", "udp:127.0.0.13:5060"),
    ]
    none = dict(zip(OPEN_COLUMNS, RowMaker(KEY, "b").open_row(make_record("r", attempts=[]).snapshot()), strict=False))
    assert none["attempts"] == "[]"


def test_what_a_peer_sends_as_text_need_not_be_text(make_record: MakeRecord) -> None:
    raw = b"id-\xff\xfe@host".decode("utf-8", "surrogateescape")
    record = make_record("r", caller_call_id=raw, caller_branch="z9hG4bK中")
    row = dict(zip(OPEN_COLUMNS, RowMaker(KEY, "boot").open_row(record.snapshot()), strict=False))
    assert row["caller_call_id"] == r"id-\udcff\udcfe@host"
    assert row["caller_branch"] == "z9hG4bK中"


def test_what_an_answer_holds_is_encrypted_json(make_record: MakeRecord, now: float) -> None:
    record = make_record("r", answer_time=now + 2, callee_call_id="ours")
    extra = ({"local_tag": "a"}, [1, None], b"SIP/2.0 200 OK\r\n\r\n\xff", ("127.0.0.12", 5060))
    row = RowMaker(KEY, "boot").answer_row(record.snapshot(), extra_to_json(extra))
    named = dict(zip(("record_id", *ANSWER_COLUMNS, "dialogs", "key_id"), row, strict=True))
    assert (named["record_id"], named["callee_call_id"]) == ("r", "ours")
    assert named["answer_time"] == "2026-11-24T01:02:05.456Z"
    sealed = named["dialogs"]
    assert isinstance(sealed, bytes | bytearray)
    assert json.loads(KEY.decrypt(bytes(sealed), "call_answer.dialogs")) == [
        {"local_tag": "a"},
        [1, None],
        {"latin1": "SIP/2.0 200 OK\r\n\r\n\xff"},
        ["127.0.0.12", 5060],
    ]
    bare = RowMaker(KEY, "boot").answer_row(record.snapshot(), None)
    assert bare[-2] is None


def test_a_record_must_have_its_time(make_record: MakeRecord) -> None:
    maker = RowMaker(KEY, "boot")
    snapshot = make_record("r", call_time=None).snapshot()
    for make in (maker.open_row, maker.closing):
        with pytest.raises(ValueError, match="call_time"):
            make(snapshot)


def _held(maker: RowMaker) -> str:
    """All that it has, compiled, too: there it has no `__dict__`."""
    return repr([getattr(maker, name) for name in dir(maker) if not name.startswith("__")])


def test_no_number_stays_in_memory(make_record: MakeRecord) -> None:
    maker = RowMaker(KEY, "boot")
    maker.open_row(make_record("a").snapshot())
    maker.closing(make_record("b", group_member="2088888888" * 2).snapshot())
    assert not any(number in _held(maker) for number in ("13800138000", "13900139000", "2088888888"))


@pytest.mark.parametrize("number", ["13700137000", "2088888888" * 2, "名"])
def test_a_number_is_encrypted_as_any_other_value_of_its_column(make_record: MakeRecord, number: str) -> None:
    maker, snapshot = RowMaker(KEY, "boot"), make_record("r", caller=number).snapshot()
    opened = dict(zip(OPEN_COLUMNS, maker.open_row(snapshot), strict=False))
    closed = dict(zip(CDR_COLUMNS, maker.closing(snapshot), strict=True))
    assert opened["caller"] == KEY.encrypt(number, "call_open.caller")
    assert closed["caller"] == KEY.encrypt(number, "cdr.caller")
