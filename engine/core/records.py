"""What is written about an attempt: causes, the record itself, and the hash that chains records.

Names and order of the fields are those of contract §6; SIP status and Q.850 cause are those of contract §5.
The store (`engine.store`) gives `seq`, `prev_hash` and `hash`; everything else is known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import Any, Final, final


class ReleaseCause(StrEnum):
    """Why an attempt ended (contract §5 and §6, `release_cause`)."""

    # Ends of calls and messages that were let through, and what the callee's side did with them.
    NORMAL = "NORMAL"
    CALLER_CANCEL = "CALLER_CANCEL"
    BUSY = "BUSY"
    NO_ANSWER = "NO_ANSWER"
    REJECTED = "REJECTED"
    UNALLOCATED = "UNALLOCATED"
    UNREACHABLE = "UNREACHABLE"
    NO_ACK = "NO_ACK"
    MAX_DURATION = "MAX_DURATION"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    NODE_RESTART = "NODE_RESTART"
    # Refusals: nothing was sent to the other side, or nothing of it could be used.
    NO_BINDING = "NO_BINDING"
    BINDING_EXPIRED = "BINDING_EXPIRED"
    NUMBER_LOCKED = "NUMBER_LOCKED"
    NUMBER_FROZEN = "NUMBER_FROZEN"
    NUMBER_COOLING = "NUMBER_COOLING"
    NOT_IN_CALLER_SET = "NOT_IN_CALLER_SET"
    DIRECTION_BLOCKED = "DIRECTION_BLOCKED"
    CALLER_BLACKLISTED = "CALLER_BLACKLISTED"
    CALLEE_BLACKLISTED = "CALLEE_BLACKLISTED"
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOAD = "OVERLOAD"
    LEAK_STOPPED = "LEAK_STOPPED"
    INTERNAL = "INTERNAL"
    BAD_NUMBER = "BAD_NUMBER"
    LOOP = "LOOP"
    NO_ROUTE = "NO_ROUTE"
    TENANT_SUSPENDED = "TENANT_SUSPENDED"
    REALNAME_MISSING = "REALNAME_MISSING"
    ORDER_UNVERIFIED = "ORDER_UNVERIFIED"
    VERIFY_TIMEOUT = "VERIFY_TIMEOUT"
    HOOK_CLOSED = "HOOK_CLOSED"
    FORWARDING_REFUSED = "FORWARDING_REFUSED"
    ALL_TARGETS_FAILED = "ALL_TARGETS_FAILED"


# cause -> (SIP status that the caller sees, Q.850 cause). A cause with several pairs stands here with its
# usual one; the others are named below.
RELEASE: Final[dict[ReleaseCause, tuple[int, int]]] = {
    ReleaseCause.NORMAL: (200, 16),
    ReleaseCause.CALLER_CANCEL: (487, 16),
    ReleaseCause.BUSY: (486, 17),
    ReleaseCause.NO_ANSWER: (480, 19),
    ReleaseCause.REJECTED: (603, 21),
    ReleaseCause.UNALLOCATED: (404, 1),
    ReleaseCause.UNREACHABLE: (480, 20),
    # The caller had its 200 in these three; 102 is Q.850 "recovery on timer expiry".
    ReleaseCause.NO_ACK: (200, 102),
    ReleaseCause.MAX_DURATION: (200, 31),
    ReleaseCause.SESSION_EXPIRED: (200, 31),
    ReleaseCause.NODE_RESTART: (500, 41),
    ReleaseCause.NO_BINDING: (404, 1),
    ReleaseCause.BINDING_EXPIRED: (404, 1),
    ReleaseCause.NUMBER_LOCKED: (404, 1),
    ReleaseCause.NUMBER_FROZEN: (404, 1),
    ReleaseCause.NUMBER_COOLING: (404, 1),
    ReleaseCause.NOT_IN_CALLER_SET: (403, 21),
    ReleaseCause.DIRECTION_BLOCKED: (403, 21),
    ReleaseCause.CALLER_BLACKLISTED: (403, 21),
    ReleaseCause.CALLEE_BLACKLISTED: (403, 21),
    ReleaseCause.RATE_LIMITED: (403, 21),
    ReleaseCause.OVERLOAD: (503, 42),
    ReleaseCause.LEAK_STOPPED: (403, 21),
    ReleaseCause.INTERNAL: (500, 41),
    ReleaseCause.BAD_NUMBER: (484, 28),
    ReleaseCause.LOOP: (482, 25),
    ReleaseCause.NO_ROUTE: (404, 3),
    ReleaseCause.TENANT_SUSPENDED: (403, 21),
    ReleaseCause.REALNAME_MISSING: (403, 21),
    ReleaseCause.ORDER_UNVERIFIED: (403, 21),
    ReleaseCause.VERIFY_TIMEOUT: (403, 21),
    ReleaseCause.HOOK_CLOSED: (403, 21),
    ReleaseCause.FORWARDING_REFUSED: (480, 31),
    ReleaseCause.ALL_TARGETS_FAILED: (480, 31),
}

# A 700 number with more than 15 digits: BAD_NUMBER too, but no digit can be missing, so not 484 (contract
# §5).
BAD_NUMBER_TOO_LONG: Final[tuple[int, int]] = (404, 28)
# A message within an answered call would have shown a number: the caller had its 200.
LEAK_STOPPED_ANSWERED: Final[tuple[int, int]] = (200, 21)
# A kill switch has ended a conversation: the caller had its 200.
KILLED_ANSWERED: Final[tuple[int, int]] = (200, 21)
# A 422 of the callee's side crosses as what it is, so that the caller can ask again (RFC 4028 §6).
INTERVAL_TOO_SMALL: Final[tuple[int, int]] = (422, 31)
# A session that was answered when the node went down: the caller had its 200.
NODE_RESTART_ANSWERED: Final[tuple[int, int]] = (200, 41)

_BUSY: Final = (ReleaseCause.BUSY, 486, 17)
_UNALLOCATED: Final = (ReleaseCause.UNALLOCATED, 404, 1)
_REJECTED: Final = (ReleaseCause.REJECTED, 603, 21)
_UNREACHABLE: Final = (ReleaseCause.UNREACHABLE, 480, 20)
_NOT_ACCEPTABLE: Final = (ReleaseCause.REJECTED, 488, 65)

# final status of the callee -> (cause, SIP status for the caller, Q.850 cause): contract §5, second table. A
# status that is not here (5xx, 408 before any 18x, ...) means the next target, and at last
# ALL_TARGETS_FAILED.
CALLEE_FINAL: Final[dict[int, tuple[ReleaseCause, int, int]]] = {
    486: _BUSY,
    600: _BUSY,
    404: _UNALLOCATED,
    410: _UNALLOCATED,
    604: _UNALLOCATED,
    484: _UNALLOCATED,
    485: _UNALLOCATED,
    403: _REJECTED,
    603: _REJECTED,
    607: _REJECTED,
    608: _REJECTED,
    480: _UNREACHABLE,
    488: _NOT_ACCEPTABLE,
    606: _NOT_ACCEPTABLE,
    415: _NOT_ACCEPTABLE,
}


class Step(IntEnum):
    """The durable steps of an attempt (decision 4)."""

    OPEN = 0  # before anything leaves towards the other party
    ANSWER = 1  # before the 2xx to an INVITE leaves
    CLOSE = 2  # the end; alone when policy refuses
    CHANGE = 3  # between the two: before the 2xx leaves that moves an end, or its session interval
    KEEP = 4  # an end that could not be made durable, as it was told: recorded when it can be, and nobody waits


# Names for the call path: looking a member up in its class costs more than comparing it.
OPEN: Final = Step.OPEN
ANSWER: Final = Step.ANSWER
CLOSE: Final = Step.CLOSE
CHANGE: Final = Step.CHANGE
KEEP: Final = Step.KEEP

# Fields of a record in the order of contract §6: columns of `cdr`, keys of exports, order under the hash.
FIELDS: Final[tuple[str, ...]] = (
    "record_id", "node", "seq", "kind", "mode", "subs_id", "binding_version", "app_platform",
    "business_user", "order_id", "scenario", "tel_x", "tel_y", "caller", "callee", "group_member",
    "presented_number", "ingress_peer", "egress_peer", "attempts", "caller_call_id", "callee_call_id",
    "call_time", "call_out_time", "ring_time", "answer_time", "release_time", "ring_ms", "duration_ms",
    "duration_source", "bill_seconds", "release_direction", "release_cause", "sip_status", "q850",
    "decided_by", "parts", "octets", "icid_in", "icid_out", "prev_hash", "hash",
)  # fmt: skip

# Columns behind the contract's, outside the hash: they tell a repeat after a restart from a new attempt.
EXTENSION_COLUMNS: Final[tuple[str, ...]] = ("caller_cseq", "caller_branch")

# What the core knows, in the order of `CallRecord.snapshot`.
RECORD_COLUMNS: Final[tuple[str, ...]] = (
    tuple(name for name in FIELDS if name not in ("seq", "prev_hash", "hash")) + EXTENSION_COLUMNS
)


@final
class Attempt:
    """One try at one target of one peer; a JSON object of the record's `attempts`."""

    __slots__ = ("address", "bye", "call_id", "icid", "ms", "peer", "status", "target")

    def __init__(self, peer: str, target: str, call_id: str = "", icid: str = "", address: str = "") -> None:
        self.peer: str = peer
        self.call_id: str = call_id  # ours towards it; of the last one it is `callee_call_id`
        self.icid: str = icid  # of the last one it is `icid_out`
        self.target: str = target  # as configured: "sip:127.0.0.13:5060", never with a number
        self.address: str = address  # where a name has led: "udp:127.0.0.13:5060"; "" for an address in `target`
        self.status: int = 0  # final SIP status; 0: none came
        self.ms: int = 0  # from sending to the final status or to giving up
        self.bye: int | None = None  # the far end's answer to the relayed BYE; None: no BYE or no answer


@final
class CallRecord:
    """One attempt while it lives. Attributes are the fields of contract §6 under the same names.

    Times are seconds since the epoch, UTC, or None for what did not happen. `caller`, `callee` and
    `group_member` are real numbers in canonical form in clear, "" for none: only the store's cipher text of
    them reaches a disk.
    """

    __slots__ = (
        "answer_time", "app_platform", "attempts", "bill_seconds", "binding_version", "business_user",
        "call_out_time", "call_time", "callee", "callee_call_id", "caller", "caller_branch",
        "caller_call_id", "caller_cseq", "decided_by", "duration_ms", "duration_source", "egress_peer",
        "group_member", "icid_in", "icid_out", "ingress_peer", "kind", "mode", "node", "octets", "order_id",
        "parts", "presented_number", "q850", "record_id", "release_cause", "release_direction",
        "release_time", "ring_ms", "ring_time", "scenario", "sip_status", "subs_id", "tel_x", "tel_y",
    )  # fmt: skip

    def __init__(self, record_id: str, node: str, kind: str) -> None:
        self.record_id: str = record_id
        self.node: str = node
        self.kind: str = kind  # voice | message
        self.mode: str = ""
        self.subs_id: str = ""
        self.binding_version: int = 0
        self.app_platform: str = ""
        self.business_user: str = ""
        self.order_id: str = ""
        self.scenario: str = ""
        self.tel_x: str = ""
        self.tel_y: str = ""
        self.caller: str = ""
        self.callee: str = ""
        self.group_member: str = ""
        self.presented_number: str = ""
        self.ingress_peer: str = ""
        self.egress_peer: str = ""
        self.attempts: list[Attempt] = []
        self.caller_call_id: str = ""
        self.callee_call_id: str = ""
        self.call_time: float | None = None
        self.call_out_time: float | None = None
        self.ring_time: float | None = None
        self.answer_time: float | None = None
        self.release_time: float | None = None
        self.ring_ms: int = 0
        self.duration_ms: int = 0
        self.duration_source: str = "monotonic"  # monotonic | wall
        self.bill_seconds: int = 0
        self.release_direction: str = ""  # caller | callee | platform
        self.release_cause: str = ""
        self.sip_status: int = 0
        self.q850: int = 0
        self.decided_by: str = ""
        self.parts: int = 0
        self.octets: int = 0
        self.icid_in: str = ""
        self.icid_out: str = ""
        self.caller_cseq: int = 0
        self.caller_branch: str = ""

    def set_durations(self, rang_s: float | None, answered_s: float | None, released_s: float) -> None:
        """Set `ring_ms`, `duration_ms`, `bill_seconds` from monotonic seconds; None: it did not happen.

        `ring_ms` runs from the first 18x to the answer, or to the release of a call that was never answered.
        """
        self.ring_ms = elapsed_ms(rang_s, answered_s if answered_s is not None else released_s)
        self.duration_ms = elapsed_ms(answered_s, released_s)
        self.bill_seconds = bill_seconds(self.duration_ms)

    def snapshot(self) -> tuple[object, ...]:
        """The values in the order of RECORD_COLUMNS, safe to read in another thread while the call goes on.

        `attempts` becomes a tuple of (peer, target, status, ms, bye, address).
        """
        return (
            self.record_id, self.node, self.kind, self.mode, self.subs_id, self.binding_version,
            self.app_platform, self.business_user, self.order_id, self.scenario, self.tel_x, self.tel_y,
            self.caller, self.callee, self.group_member, self.presented_number, self.ingress_peer,
            self.egress_peer, _shown(self.attempts),
            self.caller_call_id, self.callee_call_id, self.call_time, self.call_out_time, self.ring_time,
            self.answer_time, self.release_time, self.ring_ms, self.duration_ms, self.duration_source,
            self.bill_seconds, self.release_direction, self.release_cause, self.sip_status, self.q850,
            self.decided_by, self.parts, self.octets, self.icid_in, self.icid_out, self.caller_cseq,
            self.caller_branch,
        )  # fmt: skip


def _shown(attempts: list[Attempt]) -> tuple[object, ...]:
    if not attempts:
        return ()
    if len(attempts) == 1:  # nearly always
        a = attempts[0]
        return ((a.peer, a.target, a.status, a.ms, a.bye, a.address),)
    return tuple([(a.peer, a.target, a.status, a.ms, a.bye, a.address) for a in attempts])


def elapsed_ms(start_s: float | None, end_s: float | None) -> int:
    """Milliseconds from start to end, rounded; 0 when one is missing; never negative (wall clocks step)."""
    if start_s is None or end_s is None or end_s <= start_s:
        return 0
    return rounded_ms(end_s - start_s)


def rounded_ms(elapsed_s: float) -> int:
    """Milliseconds of what is not negative, as `round` has them: a half goes to the even one."""
    exact = elapsed_s * 1000.0
    whole = int(exact)
    rest = exact - whole
    return whole + 1 if rest > 0.5 or (rest == 0.5 and whole & 1) else whole


def bill_seconds(duration_ms: int) -> int:
    """Billed seconds: the duration rounded up to whole seconds (contract §6)."""
    return -(-duration_ms // 1000)


GENESIS_HASH: Final[str] = "0" * 64  # prev_hash of a node's first record

_NULL: Final[bytes] = b"\xff\xff\xff\xff"
# Nearly every field is short: its length prefix is looked up instead of made.
_PREFIX: Final[tuple[bytes, ...]] = tuple(length.to_bytes(4, "big") for length in range(256))
_TEXT_PREFIX: Final[tuple[str, ...]] = tuple(prefix.decode() for prefix in _PREFIX[:128])

_BEFORE_HASH: Final = len(FIELDS) - 1
_NUMBERS_AT: Final = slice(FIELDS.index("caller"), FIELDS.index("group_member") + 1)
_INTEGERS_AT: Final = tuple(
    FIELDS.index(name)
    for name in (
        "seq", "binding_version", "ring_ms", "duration_ms", "bill_seconds", "sip_status", "q850", "parts", "octets",
    )
)  # fmt: skip


def _compiled() -> Callable[[list[object], int], bytes | None] | None:
    """`read_framed`, where the build has compiled it, and there for usual records."""
    try:
        from engine.core.record_frame import framed
    except ImportError:
        return None
    return framed


_IN_C: Final = _compiled()


def chain_hash(prev_hash: str, values: Sequence[object]) -> str:
    """SHA-256 in hex over one record as it is stored (contract §6).

    `values` are the stored values of FIELDS up to `icid_out`, in that order (`seq` included); `prev_hash`
    follows them, as it does in FIELDS. Each field is preceded by its length (4 bytes, big endian); NULL is ff
    ff ff ff and no bytes; an integer is hashed as decimal ASCII, text as UTF-8, a blob as it is. Raises
    TypeError for any other type.
    """
    return hash_of([*values, prev_hash], len(values) + 1)


def hash_of(values: list[object], count: int) -> str:
    """`chain_hash` of the first `count` of `values`, of which the last one is `prev_hash`."""
    framed = None if _IN_C is None else _IN_C(values, count)
    return hashlib.sha256(read_framed(values, count) if framed is None else framed).hexdigest()


def read_framed(values: list[object], count: int) -> bytes:
    """What is hashed. Raises TypeError."""
    usual = _framed_as_usual(values) if count == _BEFORE_HASH else None
    return _framed(values[:count]) if usual is None else usual


def _framed(values: Iterable[object]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        if isinstance(value, str):
            data = value.encode()
        elif value is None:
            parts.append(_NULL)
            continue
        elif isinstance(value, (bytes, bytearray)):
            data = bytes(value)
        elif isinstance(value, int):
            data = b"%d" % value
        else:
            raise TypeError(f"a record holds no {type(value).__name__}")
        length = len(data)
        parts.append(_PREFIX[length] if length < 256 else length.to_bytes(4, "big"))
        parts.append(data)
    return b"".join(parts)


def _framed_as_usual(values: list[object]) -> bytes | None:
    """The same at half the price for the record of an answered call: short ASCII where text stands; else None."""
    texts: list[Any] = values[:_BEFORE_HASH]
    for at in _INTEGERS_AT:
        number = texts[at]
        if type(number) is not int:
            return None
        texts[at] = str(number)
    try:
        before, behind = _framed_texts(texts[: _NUMBERS_AT.start]), _framed_texts(texts[_NUMBERS_AT.stop :])
    except (TypeError, IndexError, UnicodeEncodeError):
        return None
    return before + _framed(values[_NUMBERS_AT]) + behind


def _framed_texts(texts: Sequence[Any]) -> bytes:
    """TypeError, IndexError or UnicodeEncodeError where one is no short ASCII."""
    parts: list[str] = []
    for text in texts:
        parts.append(_TEXT_PREFIX[len(text)])
        parts.append(text)
    return "".join(parts).encode("ascii")
