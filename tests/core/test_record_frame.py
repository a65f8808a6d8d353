"""The fields of a record as its hash covers them, in C and in Python: octet for octet the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import records
from engine.core.records import FIELDS, GENESIS_HASH, ReleaseCause, chain_hash, read_framed
from tests.sipstack.scans import compile_c

Framed = Callable[[list[object], int], bytes | None]

_TEXTS = st.text(max_size=9) | st.sampled_from(["", "ab", "x" * 127, "x" * 128, "x" * 255, "x" * 256, "中", "\0", "é"])
_INTEGERS = st.integers() | st.sampled_from([0, -1, 10, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1])
_BLOBS = st.binary(max_size=30) | st.binary(max_size=30).map(bytearray)
_VALUES = st.none() | _TEXTS | _INTEGERS | _BLOBS


class _Text(str):
    __slots__ = ()


class _Number(int):
    __slots__ = ()


class _Blob(bytes):
    __slots__ = ()


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Framed:
    """The one that is used, or would be."""
    if records._IN_C is not None:
        return records._IN_C
    made: Framed = compile_c("engine.core.record_frame", tmp_path_factory.mktemp("c")).framed
    return made


def field_by_field(values: list[Any]) -> bytes:
    """As the contract has it."""
    data = b""
    for value in values:
        if value is None:
            data += b"\xff" * 4
            continue
        field = bytes(value) if isinstance(value, bytes | bytearray) else str(value).encode()
        data += len(field).to_bytes(4, "big") + field
    return data


def is_beyond_c(value: object) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def test_the_build_has_it_where_it_compiles() -> None:
    assert (records._IN_C is None) == str(records.__file__).endswith(".py")


@given(st.lists(_VALUES, max_size=60), st.integers(0, 60))
@example([-(2**63), 2**63 - 1, 0, "", b"", None], 6)
@example(["x" * 4092], 1)
@example(["x" * 4092, None], 1)
def test_both_frame_the_same_octets(in_c: Framed, values: list[object], count: int) -> None:
    count = min(count, len(values))
    framed = in_c(values, count)
    assert read_framed(values, count) == field_by_field(values[:count])
    if any(map(is_beyond_c, values[:count])):
        assert framed is None
    else:
        assert framed == field_by_field(values[:count])


@given(st.data())
def test_both_frame_a_whole_record_alike(in_c: Framed, data: st.DataObject) -> None:
    """Also where a value is not of the kind that its column usually has."""
    integers = ("seq", "binding_version", "ring_ms", "duration_ms", "bill_seconds", "sip_status", "q850", "parts")
    row: list[object] = [
        1 if name in (*integers, "octets") else None if name in ("caller", "group_member") else "ab" for name in FIELDS
    ]
    for _ in range(data.draw(st.integers(0, 3))):
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(_VALUES.filter(lambda value: not is_beyond_c(value)))
    count = len(FIELDS) - 1
    assert in_c(row, count) == read_framed(row, count) == field_by_field(row[:count])


@pytest.mark.parametrize(
    "value",
    [
        True,
        1.5,
        ReleaseCause.BUSY,
        _Text("text"),
        _Number(7),
        _Blob(b"blob"),
        2**63,
        "\udcff",
        ("a",),
        "x" * 4093,
        "x" * 5000,
        b"x" * 70_000,
    ],
)
def test_what_is_unusual_is_left_to_python(in_c: Framed, value: object) -> None:
    assert in_c(["a", value], 1) == b"\0\0\0\1a"
    assert in_c([value], 1) is None


def test_there_is_room_for_so_much_and_no_more(in_c: Framed) -> None:
    for rest in ([None], [""], [0], [b""]):
        fits = 4096 - len(field_by_field(rest)) - 4
        assert in_c(["x" * fits, *rest], 2) == field_by_field(["x" * fits, *rest])
        assert in_c(["x" * (fits + 1), *rest], 2) is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([], 1), ValueError),
        (([], -2), ValueError),
        ((("a",), 1), TypeError),
        ((["a"],), TypeError),
        ((["a"], "1"), TypeError),
    ],
)
def test_what_is_no_list_is_no_record(in_c: Any, arguments: tuple[object, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        in_c(*arguments)


@pytest.mark.parametrize(
    "value", ["a", "中", _Text("text"), ReleaseCause.BUSY, True, 2**70, b"blob", bytearray(b"blob"), None]
)
def test_the_hash_of_a_value_is_the_same_whoever_frames_it(in_c: Framed, value: object) -> None:
    plain = value.value if isinstance(value, ReleaseCause) else int(value) if isinstance(value, bool) else value
    expected = hashlib.sha256(field_by_field([plain, GENESIS_HASH])).hexdigest()
    assert chain_hash(GENESIS_HASH, [value]) == expected


@pytest.mark.parametrize("value", ["\udcff", 1.5, ("a",)])
def test_what_cannot_be_hashed_raises_as_ever(value: object) -> None:
    with pytest.raises((TypeError, UnicodeEncodeError)):
        chain_hash(GENESIS_HASH, [value])
