"""What `cdr verify` asks of anchors and purge rows, before the records themselves are read."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, final

from engine.core.records import GENESIS_HASH
from engine.store.anchors import Anchor, day_number, day_text
from engine.store.signing import PublicKeys, is_signed

MIN_RETENTION_DAYS: Final = 730  # the law's two years: nothing younger is ever purged

_ANCHORS: Final = (
    "SELECT node, day, last_seq, last_hash, records, previous, key_id, signature FROM anchor ORDER BY node, day"
)
_ANCHOR_TYPES: Final = (str, str, int, str, int, str, str, bytes)
_PURGES: Final = (
    "SELECT node, first_seq, last_seq, last_hash, first_day, last_day, at, records FROM purge ORDER BY node, last_seq"
)
_PURGE_TYPES: Final = (str, int, int, str, str, str, str, int)


@final
@dataclass(slots=True)
class SignedDays:
    """The days of one node that are over, as far as they can be believed."""

    anchors: list[Anchor] = field(default_factory=list)
    ends: set[tuple[str, int, str]] = field(default_factory=set)  # day, last_seq, last_hash of each
    purged_seq: int = 0  # records up to it were purged, or are being purged
    purged_hash: str = GENESIS_HASH
    faults: list[tuple[str, str]] = field(default_factory=list)  # day, what is wrong with it

    def start(self, since: str) -> tuple[int, str]:
        """`seq` and `hash` behind which the records of day `since` begin, or those that are left."""
        found = (self.purged_seq, self.purged_hash)
        for anchor in self.anchors:
            if anchor.day < since and anchor.last_seq > found[0]:
                found = (anchor.last_seq, anchor.last_hash)
        return found


@final
class DayChecker:
    """Reads both tables of a connection that gives text as `str`, and holds them against keys and calendar."""

    def __init__(self, keys: PublicKeys, today: int) -> None:
        """`today` counts from the epoch."""
        self._keys = keys
        self._today = today

    def read(self, connection: sqlite3.Connection) -> dict[str, SignedDays]:
        """By node; sqlite3.Error as it comes."""
        found: dict[str, SignedDays] = defaultdict(SignedDays)
        for row in connection.execute(_ANCHORS):
            self._add_anchor(found[str(row[0])], row)
        for row in connection.execute(_PURGES):
            self._add_purge(found[str(row[0])], row)
        return found

    def expect(self, days: SignedDays, last_day: str) -> None:
        """The node has written on `last_day`: the days before it are over and must have been signed."""
        try:
            until = min(day_number(last_day), self._today)
        except ValueError:
            return  # the counters say what is wrong with that day
        if not days.anchors:
            days.faults.append((day_text(until - 1), "no day has been signed"))
        else:
            self._add_gap(days, until)

    def _add_anchor(self, days: SignedDays, row: Sequence[object]) -> None:
        day = str(row[1])
        try:
            if not _is_of(row, _ANCHOR_TYPES):
                raise ValueError
            number = day_number(day)
        except ValueError:
            days.faults.append((day, "the anchor is damaged"))
            return
        anchor = Anchor(*row)  # type: ignore[arg-type]
        if days.anchors:
            self._add_gap(days, number)
        days.faults += [(day, reason) for reason in self._reasons(anchor, days.anchors)]
        days.anchors.append(anchor)
        days.ends.add((day, anchor.last_seq, anchor.last_hash))

    def _reasons(self, anchor: Anchor, earlier: list[Anchor]) -> list[str]:
        """What is wrong with an anchor behind the earlier ones."""
        seq, last_hash, previous = 0, GENESIS_HASH, GENESIS_HASH
        if earlier:
            seq, last_hash, previous = earlier[-1].last_seq, earlier[-1].last_hash, earlier[-1].digest
        reasons = []
        if anchor.key_id not in self._keys:
            reasons.append(f"the anchor was signed with a key that is not known, {anchor.key_id}")
        elif not is_signed(self._keys, anchor.key_id, anchor.text, anchor.signature):
            reasons.append("the signature of the anchor is wrong")
        if anchor.previous != previous:
            reasons.append("the anchor does not follow the one before")
        if anchor.records != anchor.last_seq - seq or anchor.records < 0:
            reasons.append(f"the anchor counts {anchor.records} records from seq {seq} to {anchor.last_seq}")
        if anchor.last_seq == seq and anchor.last_hash != last_hash:
            reasons.append("the anchor of a day without records has another hash than the one before")
        return reasons

    def _add_gap(self, days: SignedDays, until: int) -> None:
        """Days between the last anchor and day `until` have none."""
        first = day_number(days.anchors[-1].day) + 1
        if first < until:
            last = f" to {day_text(until - 1)}" if until - first > 1 else ""
            days.faults.append((day_text(first), f"the anchor is missing{last and ', so are those'}{last}"))

    def _add_purge(self, days: SignedDays, row: Sequence[object]) -> None:
        last_day = str(row[5])
        if not _is_of(row, _PURGE_TYPES):
            days.faults.append((last_day, "the purge row is damaged"))
            return
        _, first_seq, last_seq, last_hash, _, _, at, records = row
        assert isinstance(first_seq, int) and isinstance(last_seq, int)
        if first_seq != days.purged_seq + 1 or records != last_seq - first_seq + 1:
            days.faults.append((last_day, "the purge row does not follow what was purged before"))
        elif (last_day, last_seq, last_hash) not in days.ends:
            days.faults.append((last_day, "the purge row does not end at the anchor of its day"))
        elif day_number(last_day) + MIN_RETENTION_DAYS > min(self._today, _day_of(str(at))):
            days.faults.append((last_day, "purged before two years were over"))
        else:
            days.purged_seq, days.purged_hash = last_seq, str(last_hash)


def _is_of(row: Sequence[object], types: Sequence[type]) -> bool:
    return all(isinstance(value, wanted) for value, wanted in zip(row, types, strict=True))


def _day_of(at: str) -> int:
    """The day of a stored time; 0 when it is none."""
    try:
        return day_number(at[:10])
    except ValueError:
        return 0
