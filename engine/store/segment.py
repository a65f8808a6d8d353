"""The bytes of a journal segment: a head in clear, then groups, each sealed where it stands.

    segment = magic (8 bytes) | length (4) | CRC-32 (4) | description (JSON) | group | group | ... | 16 zeros | anything
    group   = mark (4) | number of the segment (4) | length (4) | CRC-32 of the cipher text (4) | cipher text

Behind the zeros may stand what an older segment has left: its number tells it. Integers are little endian. A group is
sealed with AES-256-GCM under a key that the salt in the head makes this segment's own; its nonce is its offset, and the
head is its associated data: it opens nowhere else. Nothing is ever written twice at one offset of one segment, so no
nonce comes twice. What is sealed is a list of octet strings in the format of `marshal`, which every later Python reads,
and each of them is a step in the same format: most steps are never decoded, as their attempt has ended when they are
loaded. In format 1 the list holds the steps themselves. In version 2 of `marshal` nothing refers to what stands before
it, so that steps that were encoded one by one are a list when they are put behind each other.
"""

from __future__ import annotations

import json
import marshal
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, cast, final
from zlib import crc32

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.store.crypto import NumberCipher

FORMAT: Final = 2
BARE_STEPS: Final = 1  # the format before
MARSHAL_VERSION: Final = 2
SALT_BYTES: Final = 16
UNKNOWN_END: Final = -1

_MAGIC: Final = b"VEIL700J"
_HEAD: Final = struct.Struct("<8sII")
_MARK: Final = b"GRP1"
_GROUP: Final = struct.Struct("<4sIII")
_LIST: Final = struct.Struct("<cI")  # how `marshal` begins a list and octets: mark, length
# ... and a step: a tuple of three (5 octets), an integer (mark at 5, itself), a tuple (5), a text (mark at 15, length,
# itself). Looked at octet by octet, since that costs a tenth of having a Struct make its objects.
_ID_AT: Final = 20
_INTEGER: Final = ord("i")
_TEXT: Final = ord("u")
_GROUP_BYTES: Final = _GROUP.size
END: Final = bytes(_GROUP_BYTES)  # written behind the last group, where the next one will stand
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32

# Bound once, for each step and each group: to find a method costs as much as what these do.
_dumps: Final[Callable[[tuple[int, tuple[Any, ...], Any], int], bytes]] = marshal.dumps
_pack_list: Final[Callable[[bytes, int], bytes]] = _LIST.pack
_pack_group: Final[Callable[[memoryview, int, bytes, int, int, int], None]] = _GROUP.pack_into
_checksum: Final[Callable[[memoryview], int]] = crc32

StoredStep = tuple[int, tuple[Any, ...], Any]  # Step, snapshot, extra
Position = tuple[int, int]  # segment, offset in it
START: Final[Position] = (0, 0)
NOWHERE: Final[Position] = (-1, 0)  # before every position


def plain_encoded_step(step: int, values: tuple[Any, ...], extra: Any, /) -> bytes:
    """One step, as groups hold it; `values` begin with a text. ValueError for what `marshal` cannot hold."""
    encoded = _dumps((int(step), values, extra), MARSHAL_VERSION)
    return _pack_list(b"s", len(encoded)) + encoded


EncodeStep = Callable[[int, tuple[Any, ...], Any], bytes]


def _compiled() -> EncodeStep | None:
    try:
        from engine.store.step_octets import encoded_step as in_c
    except ImportError:
        return None
    return in_c


IN_C: Final = _compiled()
encoded_step: Final[EncodeStep] = plain_encoded_step if IN_C is None else IN_C


def kind_and_record(step: bytes) -> tuple[int, bytes]:
    """Step and encoded record_id of one of `Group.steps`. ValueError where they do not stand where they should."""
    if len(step) < _ID_AT or step[5] != _INTEGER or step[15] != _TEXT:
        raise ValueError("not a step")
    kind, length = step[6], step[16]
    if step[7] or step[8] or step[9] or step[17] or step[18] or step[19]:  # hardly ever: both are small
        kind, length = int.from_bytes(step[6:10], "little"), int.from_bytes(step[16:20], "little")
    return kind, step[_ID_AT : _ID_AT + length]


def decoded_step(step: bytes) -> StoredStep:
    """What `encoded_step` was given, of one of `Group.steps`."""
    return cast(StoredStep, marshal.loads(step))  # noqa: S302 - only what a node has made


class UnreadableHead(ValueError):
    """Not the beginning of a segment that this program can read; the text says why."""


@final
@dataclass(frozen=True)
class SegmentHead:
    """What stands at the beginning of a segment, in clear."""

    number: int
    node: str
    boot_id: str
    epoch: int  # `engine.store.owner`
    key_id: str
    salt: str  # hex
    previous_end: int  # where the segment before ends that this run has written; UNKNOWN_END for its first one
    format: int = FORMAT

    def encoded(self) -> bytes:
        """As it is written."""
        description = json.dumps(asdict(self), separators=(",", ":")).encode()
        return _HEAD.pack(_MAGIC, len(description), crc32(description)) + description


def read_head(data: bytes, number: int) -> tuple[SegmentHead, bytes]:
    """The head of the segment `number`, and its bytes. Raises UnreadableHead; one under another number is none.

    A head is no secret, and its sum proves nothing: whatever stands there, a start says so and goes on.
    """
    if len(data) < _HEAD.size:
        raise UnreadableHead("shorter than a head")
    magic, length, checksum = _HEAD.unpack_from(data)
    end = _HEAD.size + length
    description = data[_HEAD.size : end]
    if magic != _MAGIC or len(description) != length or crc32(description) != checksum:
        raise UnreadableHead("its head is damaged")
    values = _values(description)
    if values.get("format") not in (BARE_STEPS, FORMAT):
        raise UnreadableHead(f"its format {values.get('format')!r:.20} is not {FORMAT}, which this program reads")
    if {name: type(value) for name, value in values.items()} != _TYPES:
        raise UnreadableHead("its head is damaged")
    head = SegmentHead(**values)
    if head.number != number:
        raise UnreadableHead(f"it was written as segment {head.number}")
    return head, data[:end]


def _values(description: bytes) -> dict[str, Any]:
    try:
        values = json.loads(description)
        bytes.fromhex(values["salt"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableHead("its head is damaged") from None
    return cast(dict[str, Any], values)


# Compiled, a field has its type, and else the name of it.
_TYPES: Final = {field.name: str if field.type in ("str", str) else int for field in fields(SegmentHead)}


@final
class Seal:
    """Seals and opens the groups of one segment."""

    __slots__ = ("_aead", "_encrypt", "_head", "_number")

    def __init__(self, cipher: NumberCipher, head: SegmentHead, encoded_head: bytes) -> None:
        self._aead = AESGCM(cipher.derived_key(f"journal segment {head.salt}", _KEY_BYTES))
        self._encrypt: Callable[[bytes, bytes, bytes, memoryview], int] = self._aead.encrypt_into
        self._head = encoded_head
        self._number = head.number

    def put(self, plain: bytes, offset: int, room: memoryview, at: int) -> None:
        """Make the `group_size` bytes of the group that is to stand at `offset` of the segment, at `at` of `room`."""
        begin = at + _GROUP_BYTES
        end = begin + len(plain) + _TAG_BYTES
        sealed = room[begin:end]
        self._encrypt(offset.to_bytes(_NONCE_BYTES, "big"), plain, self._head, sealed)
        _pack_group(room, at, _MARK, self._number, end - begin, _checksum(sealed))

    def opened(self, offset: int, sealed: bytes) -> bytes | None:
        """The content of a group that stands at `offset`; None when it has not been written there."""
        try:
            return self._aead.decrypt(offset.to_bytes(_NONCE_BYTES, "big"), sealed, self._head)
        except InvalidTag:
            return None


def plain_group(pieces: Iterable[bytes], count: int) -> bytes:
    """What is sealed as one group: `count` encoded steps, some of them put behind each other already."""
    return b"".join([_pack_list(b"[", count), *pieces])


def group_size(plain: bytes) -> int:
    """How many bytes the group of it has."""
    return _GROUP_BYTES + len(plain) + _TAG_BYTES


NO_STEPS: Final = plain_group((), 0)


@final
class Group:
    """One group of the journal, or the end of a segment (no head)."""

    __slots__ = ("_plain", "after", "head", "position", "size")

    def __init__(self, head: SegmentHead | None, plain: bytes, after: Position, position: Position, size: int) -> None:
        self.head = head
        self._plain = plain
        self.after = after  # the position behind the group before it; NOWHERE when that is not known
        self.position = position  # behind this one
        self.size = size  # bytes

    @property
    def count(self) -> int:
        """How many steps it has."""
        return int(_LIST.unpack_from(self._plain)[1])

    @property
    def steps(self) -> list[bytes]:
        """Each for `kind_and_record` and `decoded_step`; they are cut apart each time."""
        found = marshal.loads(self._plain)  # noqa: S302 - only what a node has made
        if self.head is not None and self.head.format == BARE_STEPS:
            found = [marshal.dumps(step, MARSHAL_VERSION) for step in found]
        return cast(list[bytes], found)


@final
@dataclass(frozen=True)
class Stretch:
    """A part of a segment: a whole group, or bytes that are none (`sealed` is None)."""

    offset: int
    end: int
    sealed: bytes | None
    is_last: bool = False  # no group stands behind it


def stretches(data: bytes, offset: int, number: int) -> Iterator[Stretch]:
    """What stands in `data`, which begins at `offset` of segment `number`, up to the zeros behind its last group."""
    at = 0
    while at < len(data):
        end = _end_of_group(data, at, number)
        if end:
            yield Stretch(offset + at, offset + end, data[at + _GROUP.size : end])
            at = end
            continue
        following = _next_group(data, at + 1, number)
        if following:
            yield Stretch(offset + at, offset + following, None)
            at = following
            continue
        if data[at : at + _GROUP.size].strip(b"\0"):
            yield Stretch(offset + at, offset + _end_of_torn(data, at, number), None, is_last=True)
        return


def _end_of_group(data: bytes, at: int, number: int) -> int:
    """Where the group ends that begins at `at`; 0 when no whole one of this segment does."""
    if len(data) < at + _GROUP.size:
        return 0
    mark, of, length, checksum = _GROUP.unpack_from(data, at)
    start, end = at + _GROUP.size, at + _GROUP.size + length
    if mark != _MARK or of != number or not length or end > len(data) or crc32(data[start:end]) != checksum:
        return 0
    return int(end)


def _next_group(data: bytes, at: int, number: int) -> int:
    """Where the next whole group begins; 0 when there is none."""
    found = data.find(_MARK, at)
    while found >= 0 and not _end_of_group(data, found, number):
        found = data.find(_MARK, found + 1)
    return max(found, 0)


def _end_of_torn(data: bytes, at: int, number: int) -> int:
    """How far a group was to reach that is not whole; no further than its beginning when that cannot be read."""
    end = at + _GROUP.size
    if len(data) >= end:
        mark, of, length, _ = _GROUP.unpack_from(data, at)
        if mark == _MARK and of == number:
            end += length
    return min(end, len(data))
