"""Groups sealed in C and by the library: the same octets, which the library opens."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from engine.store.crypto import NumberCipher
from engine.store.segment import (
    SEAL_IN_C,
    MakeGroupSeal,
    PlainGroupSeal,
    Seal,
    SegmentHead,
    group_size,
    read_head,
    stretches,
)
from tests.sipstack.scans import compile_c

KEYS = st.binary(min_size=32, max_size=32)
OFFSETS = st.integers(0, 1 << 23) | st.integers(0, (1 << 63) - 1)


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> MakeGroupSeal:
    """The one that is used, or would be."""
    if SEAL_IN_C is not None:
        return SEAL_IN_C
    try:
        made: MakeGroupSeal = compile_c("engine.store.group_seal", tmp_path_factory.mktemp("c")).GroupSeal
    except ImportError as error:
        pytest.skip(str(error))
    return made


@pytest.fixture(scope="module", params=["in_c", "plain"])
def make(request: pytest.FixtureRequest) -> MakeGroupSeal:
    """What seals, both ways."""
    if request.param == "plain":
        return PlainGroupSeal
    made: MakeGroupSeal = request.getfixturevalue("in_c")
    return made


def group_of(
    make: MakeGroupSeal, plain: bytes, offset: int = 0, key: bytes = bytes(32), head: bytes = b"", number: int = 1
) -> bytes:
    room = bytearray(group_size(plain))
    make(key, head, number).put(plain, offset, memoryview(room), 0)
    return bytes(room)


@pytest.mark.parametrize(
    ("plain", "sealed"),
    [
        ("", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 16, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    ],
)
def test_vectors(make: MakeGroupSeal, plain: str, sealed: str) -> None:
    """McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14."""
    assert group_of(make, bytes.fromhex(plain))[16:].hex() == sealed


def test_every_length_around_blocks_at_any_offset(make: MakeGroupSeal) -> None:
    key, head = bytes(range(32)), bytes(range(100, 191))
    for size in (*range(300), *range(4_000, 4_140), 70_001):
        plain = bytes(at * 7 % 251 for at in range(size))
        offset = size * 0x1F3D_5B79_A8C6_E401 % (1 << 63)
        sealed = AESGCM(key).encrypt(offset.to_bytes(12, "big"), plain, head)
        assert group_of(make, plain, offset, key, head, 1 << 31) == (
            struct.pack("<4sIII", b"GRP1", 1 << 31, len(sealed), crc32(sealed)) + sealed
        )


@given(
    key=KEYS, head=st.binary(max_size=300), number=st.integers(0, (1 << 32) - 1), plain=st.binary(max_size=700),
    offset=OFFSETS, at=st.integers(0, 40), behind=st.integers(0, 40),
)  # fmt: skip
def test_it_stands_at_its_place_and_nowhere_else(
    make: MakeGroupSeal, key: bytes, head: bytes, number: int, plain: bytes, offset: int, at: int, behind: int
) -> None:
    sealed = AESGCM(key).encrypt(offset.to_bytes(12, "big"), plain, head)
    group = struct.pack("<4sIII", b"GRP1", number, len(sealed), crc32(sealed)) + sealed
    room = bytearray(b"." * (at + len(group) + behind))
    make(key, head, number).put(plain, offset, memoryview(room), at)
    assert room == b"." * at + group + b"." * behind


@given(plains=st.lists(st.binary(max_size=200), min_size=1, max_size=4), salt=st.binary(min_size=16, max_size=16))
def test_what_is_sealed_opens_where_it_stands(make: MakeGroupSeal, plains: list[bytes], salt: bytes) -> None:
    cipher = NumberCipher(bytes(range(64)))
    encoded = SegmentHead(3, "veil-1", "boot", 1, cipher.key_id, salt.hex(), -1).encoded()
    seal = Seal(cipher, *read_head(encoded, 3), make)
    room, at = bytearray(1_000), 0
    for plain in plains:
        seal.put(plain, len(encoded) + at, memoryview(room), at)
        at += group_size(plain)
    found = [*stretches(bytes(room), len(encoded), 3)]
    assert [seal.opened(one.offset, one.sealed or b"") for one in found] == plains
    assert seal.opened(found[0].offset + 1, found[0].sealed or b"") is None


def test_what_has_no_room_is_refused(make: MakeGroupSeal) -> None:
    seal, room = make(bytes(32), b"head", 1), bytearray(100)
    for at in (100 - group_size(b"plain") + 1, 100, 1 << 40):
        with pytest.raises((ValueError, struct.error)):
            seal.put(b"plain", 0, memoryview(room), at)
    assert room == bytes(100)


def test_c_takes_nothing_else(in_c: MakeGroupSeal) -> None:
    seal, room = in_c(bytes(32), b"head", 1), memoryview(bytearray(100))
    for plain, offset, where, at in (
        (bytearray(5), 0, room, 0),
        (b"", "0", room, 0),
        (b"", 0, memoryview(b"x" * 99), 0),
    ):
        with pytest.raises((TypeError, BufferError)):
            seal.put(plain, offset, where, at)  # type: ignore[arg-type]
    for offset, at in ((-1, 0), (0, -1), (1 << 64, 0)):
        with pytest.raises((ValueError, OverflowError)):
            seal.put(b"", offset, room, at)
    with pytest.raises(TypeError):
        seal.put(b"", 0, room)  # type: ignore[call-arg]
    for key in (bytes(31), bytes(33), b""):
        with pytest.raises(ValueError, match="a key of 32 bytes"):
            in_c(key, b"", 1)
    assert bytes(room) == bytes(100)
