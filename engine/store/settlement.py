"""`cdr settlement`: what is counted between carriers, per day, peer, direction and service.

Whole numbers only, no clock, no order: the same records give the same lines, wherever they were read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, final

from engine.core.records import ReleaseCause
from engine.store.record_forms import is_answered

ROUNDING_S: Final = {"second": 1, "6s": 6, "minute": 60}  # rule -> seconds to which a call is rounded up
NEEDED: Final = (
    "node", "seq", "kind", "mode", "ingress_peer", "egress_peer", "call_time", "duration_ms", "release_cause",
    "sip_status", "parts",
)  # fmt: skip

_Key = tuple[str, str, str, str, str, str]


@final
@dataclass(frozen=True, slots=True)
class SettlementLine:
    """One line: the columns of the CSV and the keys of the JSON, in their order."""

    day: str  # of `call_time`, at `utc_offset` from UTC
    utc_offset: str
    node: str
    peer: str
    direction: str  # in: the attempt came from the peer | out: it went there
    kind: str  # voice | message
    mode: str  # of the binding; empty where there was none
    attempts: int
    answered: int  # calls
    rounding: str
    billed_seconds: int  # of the answered calls, each rounded up by itself
    minutes: int  # billed_seconds as minutes, a begun one counts
    messages: int  # that were taken
    parts: int  # of these messages
    first_seq: int  # of the records that this line counts
    last_seq: int


COLUMNS: Final = tuple(field.name for field in fields(SettlementLine))


@final
@dataclass(slots=True)
class _Counts:
    attempts: int = 0
    answered: int = 0
    billed_seconds: int = 0
    messages: int = 0
    parts: int = 0
    first_seq: int = 0
    last_seq: int = 0

    def add(self, record: Mapping[str, Any], step_s: int) -> None:
        seq = record["seq"]
        self.attempts += 1
        self.first_seq = min(self.first_seq or seq, seq)
        self.last_seq = max(self.last_seq, seq)
        if is_answered(record):
            self.answered += 1
            self.billed_seconds += -(-record["duration_ms"] // (step_s * 1000)) * step_s
        elif record["kind"] == "message" and record["release_cause"] == ReleaseCause.NORMAL:
            self.messages += 1
            self.parts += record["parts"]


class Sums(Protocol):
    """Whatever adds up records: the fields that it needs, `call_time` among them, and what takes one record."""

    @property
    def needed(self) -> tuple[str, ...]: ...

    def add(self, record: Mapping[str, Any]) -> None: ...


@final
class Settlement:
    """Adds up records; `rounding` is a key of ROUNDING_S, `utc_offset` is `+08:00` and as much in seconds."""

    needed: Final = NEEDED

    def __init__(self, rounding: str, utc_offset: str, utc_offset_s: int) -> None:
        self._rounding = rounding
        self._utc_offset = utc_offset
        self._zone = timedelta(seconds=utc_offset_s)
        self._counts: dict[_Key, _Counts] = {}
        self._days: dict[str, str] = {}  # minute of a stored time -> day

    def add(self, record: Mapping[str, Any]) -> None:
        """One record with the fields NEEDED. It stands under the peer it came from, and the one it went to."""
        day = self._day(record["call_time"])
        step_s = ROUNDING_S[self._rounding]
        for direction, peer in (("in", record["ingress_peer"]), ("out", record["egress_peer"])):
            if not peer:
                continue
            key = (day, record["node"], peer, direction, record["kind"], record["mode"])
            counts = self._counts.get(key)
            if counts is None:
                counts = self._counts[key] = _Counts()
            counts.add(record, step_s)

    def lines(self) -> list[SettlementLine]:
        """What was added, sorted by day, node, peer, direction, kind and mode."""
        return [self._line(key, self._counts[key]) for key in sorted(self._counts)]

    def _line(self, key: _Key, counts: _Counts) -> SettlementLine:
        day, node, peer, direction, kind, mode = key
        return SettlementLine(
            day=day, utc_offset=self._utc_offset, node=node, peer=peer, direction=direction, kind=kind, mode=mode,
            attempts=counts.attempts, answered=counts.answered, rounding=self._rounding,
            billed_seconds=counts.billed_seconds, minutes=-(-counts.billed_seconds // 60),
            messages=counts.messages, parts=counts.parts, first_seq=counts.first_seq, last_seq=counts.last_seq,
        )  # fmt: skip

    def _day(self, time: str) -> str:
        minute = time[:16]
        day = self._days.get(minute)
        if day is None:
            day = self._days[minute] = f"{datetime.fromisoformat(minute) + self._zone:%Y-%m-%d}"
        return day
