"""Causes, the record and its hash: the tables of contract §5 and §6, word for word."""

from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.records import (
    BAD_NUMBER_TOO_LONG,
    CALLEE_FINAL,
    EXTENSION_COLUMNS,
    FIELDS,
    GENESIS_HASH,
    NODE_RESTART_ANSWERED,
    RECORD_COLUMNS,
    RELEASE,
    Attempt,
    CallRecord,
    ReleaseCause,
    bill_seconds,
    chain_hash,
    elapsed_ms,
    rounded_ms,
)

# Contract §5, first table: causes, SIP status, Q.850.
REFUSALS = """
NO_BINDING BINDING_EXPIRED NUMBER_LOCKED NUMBER_FROZEN NUMBER_COOLING 404 1
NOT_IN_CALLER_SET DIRECTION_BLOCKED CALLER_BLACKLISTED CALLEE_BLACKLISTED RATE_LIMITED LEAK_STOPPED 403 21
OVERLOAD 503 42
INTERNAL 500 41
BAD_NUMBER 484 28
LOOP 482 25
NO_ROUTE 404 3
TENANT_SUSPENDED REALNAME_MISSING ORDER_UNVERIFIED VERIFY_TIMEOUT HOOK_CLOSED 403 21
FORWARDING_REFUSED ALL_TARGETS_FAILED 480 31
"""
# Second table: status of the callee, cause, SIP status to the caller, Q.850.
ANSWERS = """
486 600 BUSY 486 17
404 410 604 484 485 UNALLOCATED 404 1
403 603 607 608 REJECTED 603 21
480 UNREACHABLE 480 20
488 606 415 REJECTED 488 65
"""
# Contract §6.
FIELDS_OF_CONTRACT = (
    "record_id node seq kind mode subs_id binding_version app_platform business_user order_id scenario tel_x tel_y"
    " caller callee group_member presented_number ingress_peer egress_peer attempts caller_call_id callee_call_id"
    " call_time call_out_time ring_time answer_time release_time ring_ms duration_ms duration_source bill_seconds"
    " release_direction release_cause sip_status q850 decided_by parts octets icid_in icid_out prev_hash hash"
)


def test_refusals_carry_the_codes_of_the_contract() -> None:
    expected = {}
    for line in REFUSALS.split("\n")[1:-1]:
        *causes, status, q850 = line.split()
        expected.update({ReleaseCause(cause): (int(status), int(q850)) for cause in causes})
    assert len(expected) == 23
    assert {cause: pair for cause, pair in RELEASE.items() if cause in expected} == expected
    assert BAD_NUMBER_TOO_LONG == (404, 28)


def test_answers_of_the_callee_carry_the_codes_of_the_contract() -> None:
    expected = {}
    for line in ANSWERS.split("\n")[1:-1]:
        *statuses, cause, status, q850 = line.split()
        expected.update({int(one): (ReleaseCause(cause), int(status), int(q850)) for one in statuses})
    assert expected == CALLEE_FINAL


def test_every_cause_has_its_pair() -> None:
    assert set(RELEASE) == set(ReleaseCause)
    assert RELEASE[ReleaseCause.CALLER_CANCEL] == (487, 16)
    assert RELEASE[ReleaseCause.NO_ANSWER] == (480, 19)
    assert RELEASE[ReleaseCause.NORMAL] == (200, 16)
    assert NODE_RESTART_ANSWERED[1] == RELEASE[ReleaseCause.NODE_RESTART][1] == 41


def test_causes_are_their_names() -> None:
    assert all(cause.value == cause.name for cause in ReleaseCause)


def test_fields_stand_in_the_order_of_the_contract() -> None:
    assert " ".join(FIELDS) == FIELDS_OF_CONTRACT
    assert [name for name in FIELDS if name not in RECORD_COLUMNS] == ["seq", "prev_hash", "hash"]
    assert RECORD_COLUMNS[-2:] == EXTENSION_COLUMNS


def test_a_snapshot_has_each_attribute_in_its_column() -> None:
    record = CallRecord("r", "n", "voice")
    values: dict[str, object] = {
        name: f"value of {name}" if isinstance(getattr(record, name), str) else place
        for place, name in enumerate(RECORD_COLUMNS)
    }
    for name in RECORD_COLUMNS:
        if name != "attempts":
            setattr(record, name, values[name])
    attempt = Attempt("core", "sip:core.example", address="udp:127.0.0.13:5060")
    attempt.status, attempt.ms, attempt.bye = 200, 31, 481
    record.attempts.append(attempt)
    expected: list[object] = list(values.values())
    expected[RECORD_COLUMNS.index("attempts")] = (("core", "sip:core.example", 200, 31, 481, "udp:127.0.0.13:5060"),)
    assert record.snapshot() == tuple(expected)


def test_a_snapshot_does_not_change_with_the_call() -> None:
    record = CallRecord("r", "n", "voice")
    record.attempts.append(Attempt("core", "sip:127.0.0.13:5060"))
    before = record.snapshot()
    record.attempts[0].status = 486
    record.attempts.append(Attempt("other", "sip:127.0.0.14:5060"))
    assert before[RECORD_COLUMNS.index("attempts")] == (("core", "sip:127.0.0.13:5060", 0, 0, None, ""),)


@pytest.mark.parametrize(("duration_ms", "billed"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (3_599_001, 3600)])
def test_billed_seconds_are_rounded_up(duration_ms: int, billed: int) -> None:
    assert bill_seconds(duration_ms) == billed


@given(st.integers(min_value=0, max_value=10**9))
def test_billed_seconds_are_the_ceiling(duration_ms: int) -> None:
    assert bill_seconds(duration_ms) == math.ceil(duration_ms / 1000)


@pytest.mark.parametrize(
    ("start_s", "end_s", "ms"),
    [(None, 5.0, 0), (5.0, None, 0), (5.0, 4.0, 0), (5.0, 5.0, 0), (5.0, 5.0014, 1), (5.0, 6.5, 1500)],
)
def test_elapsed_time_is_never_negative(start_s: float | None, end_s: float | None, ms: int) -> None:
    assert elapsed_ms(start_s, end_s) == ms


@pytest.mark.parametrize(
    ("rang_s", "answered_s", "ring_ms", "duration_ms", "billed"),
    [
        (None, None, 0, 0, 0),  # refused, or nothing came
        (101.0, None, 9000, 0, 0),  # rang until the release
        (101.0, 103.5, 2500, 6500, 7),
        (None, 103.5, 0, 6500, 7),  # answered without ringing
    ],
)
def test_durations(rang_s: float | None, answered_s: float | None, ring_ms: int, duration_ms: int, billed: int) -> None:
    record = CallRecord("r", "n", "voice")
    record.set_durations(rang_s, answered_s, 110.0)
    assert (record.ring_ms, record.duration_ms, record.bill_seconds) == (ring_ms, duration_ms, billed)


def test_the_hash_is_over_length_prefixed_fields() -> None:
    data = b"\x00\x00\x00\x01a" + b"\xff\xff\xff\xff" + b"\x00\x00\x00\x0242" + b"\x00\x00\x00\x03\xe4\xb8\xad"
    data += b"\x00\x00\x00\x02\x00\xff" + b"\x00\x00\x01\x00" + b"x" * 256 + b"\x00\x00\x00\x40" + b"0" * 64
    values = ["a", None, 42, "中", b"\x00\xff", "x" * 256]
    assert chain_hash(GENESIS_HASH, values) == hashlib.sha256(data).hexdigest()


def _hash_field_by_field(values: list[object]) -> str:
    data = b""
    for value in (*values, GENESIS_HASH):
        if value is None:
            data += b"\xff" * 4
            continue
        field = value if isinstance(value, bytes) else str(value).encode()
        data += len(field).to_bytes(4, "big") + field
    return hashlib.sha256(data).hexdigest()


_TEXT = st.text(max_size=5) | st.text("ab", max_size=3) | st.sampled_from(["x" * 127, "x" * 128, "x" * 256, "中"])


@given(st.data())
def test_the_hash_of_a_whole_record_is_made_like_that_of_any_fields(data: st.DataObject) -> None:
    """Also where one value is not of the kind that its column usually has."""
    integers = ("seq", "binding_version", "ring_ms", "duration_ms", "bill_seconds", "sip_status", "q850", "parts")
    values: list[object] = []
    for name in FIELDS[:-2]:
        if name in ("caller", "callee", "group_member"):
            values.append(data.draw(st.none() | st.binary(max_size=30)))
        elif name in (*integers, "octets"):
            values.append(data.draw(st.integers(-3, 10**6)))
        else:
            values.append(
                data.draw(_TEXT if data.draw(st.integers(0, 60)) == 0 else st.sampled_from(["", "a", "ab" * 9]))
            )
    assert chain_hash(GENESIS_HASH, values) == _hash_field_by_field(values)
    at = data.draw(st.integers(0, len(values) - 1))
    values[at] = data.draw(st.none() | st.integers() | st.binary(max_size=9) | _TEXT)
    assert chain_hash(GENESIS_HASH, values) == _hash_field_by_field(values)
    values[at] = 1.5
    with pytest.raises(TypeError):
        chain_hash(GENESIS_HASH, values)


_VALUES = st.lists(st.none() | st.integers() | st.text() | st.binary(), min_size=1, max_size=8)


@given(_VALUES, st.data())
def test_the_hash_sees_every_field(values: list[object], data: st.DataObject) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(values) - 1))
    other = [*values[:at], f"{values[at]}+", *values[at + 1 :]]
    assert chain_hash(GENESIS_HASH, other) != chain_hash(GENESIS_HASH, values)
    assert chain_hash("1" * 64, values) != chain_hash(GENESIS_HASH, values)


def test_the_hash_tells_null_from_empty_and_one_field_from_two() -> None:
    hashes = {chain_hash(GENESIS_HASH, values) for values in ([None], [""], ["ab"], ["a", "b"], ["", ""], [])}
    assert len(hashes) == 6


def test_what_no_column_holds_has_no_hash() -> None:
    with pytest.raises(TypeError, match="float"):
        chain_hash(GENESIS_HASH, [1.5])


@given(st.floats(0, 1e7) | st.integers(0, 10**6).map(lambda half: half / 2000))
def test_milliseconds_are_rounded_as_python_rounds(elapsed_s: float) -> None:
    assert rounded_ms(elapsed_s) == round(elapsed_s * 1000)


@pytest.mark.parametrize("count", range(4))
def test_each_try_stands_in_the_snapshot(count: int) -> None:
    record = CallRecord("r", "n", "voice")
    record.attempts = [Attempt(f"peer-{place}", "sip:h", address="udp:192.0.2.1:5060") for place in range(count)]
    tried = record.snapshot()[RECORD_COLUMNS.index("attempts")]
    assert tried == tuple((f"peer-{place}", "sip:h", 0, 0, None, "udp:192.0.2.1:5060") for place in range(count))
