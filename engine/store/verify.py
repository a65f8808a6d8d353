"""`cdr verify`: is every record there, unchanged, in its place? The hash covers cipher text: no key.

Anchors and purge rows are checked first (`engine.store.day_check`), then the records pass by once, in their order.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from engine.core.records import FIELDS, chain_hash
from engine.store.anchors import DAY_S, Anchor
from engine.store.database import open_read_only, store_errors
from engine.store.day_check import DayChecker, SignedDays
from engine.store.journal import waiting_in_journal
from engine.store.signing import PUBLIC_KEY_FILE, read_public_keys

PROGRESS_ROWS: Final = 10_000

_HASH: Final = FIELDS.index("hash")
_PREV_HASH: Final = FIELDS.index("prev_hash")
_NODE: Final = FIELDS.index("node")
_SEQ: Final = FIELDS.index("seq")
_CALL_TIME: Final = FIELDS.index("call_time")
_RECORD_ID: Final = FIELDS.index("record_id")
_KEY_ID: Final = len(FIELDS)
# In the order of the table itself: an index may have been left as it was when a row was changed.
_RECORDS: Final = f"SELECT {', '.join(FIELDS)}, key_id FROM cdr NOT INDEXED WHERE rowid >= ? ORDER BY rowid"
_FIRST_BEHIND: Final = "SELECT rowid FROM cdr WHERE node = ? AND seq > ? ORDER BY seq LIMIT 1"
_ROWS: Final = (
    "SELECT coalesce((SELECT max(rowid) FROM cdr) - max((SELECT min(rowid) FROM cdr), ?) + 1, 0)"  # few are missing
)

Progress = Callable[[int, int], None]  # rows read, rows in all


@final
@dataclass(frozen=True, slots=True)
class NodeReport:
    """What was found of one node; `bad_seq` is the first `seq` that is wrong or missing."""

    node: str
    records: int  # that were read
    last_seq: int
    last_hash: str  # of that record; noted elsewhere it proves later that nothing up to it has changed
    open: int
    purged: int  # records that are gone because their time was over
    signed_day: str  # the last day that has an anchor; "" for none
    bad_seq: int | None
    bad_day: str | None  # the first day whose anchor or purge is wrong or missing
    faults: tuple[str, ...]  # one line each; empty: all is well


@final
@dataclass(frozen=True, slots=True)
class VerifyReport:
    """All nodes that have written into the file."""

    nodes: tuple[NodeReport, ...]
    journal_bytes: int  # that are on disk and not in the file yet: on their way, or waiting for the next start

    @property
    def is_clean(self) -> bool:
        return not any(node.faults for node in self.nodes)

    @property
    def records(self) -> int:
        return sum(node.records for node in self.nodes)


def verify(
    path: Path,
    *,
    public_key: Path | None = None,
    since: str = "",
    progress: Progress | None = None,
    wall_s: float | None = None,
) -> VerifyReport:
    """Check chain, order, anchors and completeness counters of records.db as it stands at this moment.

    A running node may go on writing. `public_key` is a PEM file other than the one beside the file; `since` is a UTC
    day (2026-11-24): records of days before it are not read. `wall_s` stands for now in tests. StoreError when a file
    cannot be read, a damaged one included.
    """
    connection = open_read_only(path, None)
    try:
        keys = read_public_keys(public_key or path.with_name(PUBLIC_KEY_FILE))
        today = int((time.time() if wall_s is None else wall_s) // DAY_S)
        with store_errors(path):
            connection.execute("BEGIN")  # one view of records, open rows and counters
            nodes = _verify(connection, DayChecker(keys, today), since, progress)
            connection.text_factory = _lenient
            return VerifyReport(nodes, waiting_in_journal(connection, path))
    finally:
        connection.close()


def _verify(
    connection: sqlite3.Connection, checker: DayChecker, since: str, progress: Progress | None
) -> tuple[NodeReport, ...]:
    connection.text_factory = _lenient  # what was tampered with may be no UTF-8
    chains = {node: _Chain(days, since) for node, days in checker.read(connection).items()}
    _read_counts(connection, chains, since)
    for chain in chains.values():
        if chain.counters:
            checker.expect(chain.signed, max(chain.counters))
    first_row = _first_row(connection, chains) if since else 0
    key = connection.execute("SELECT value FROM meta WHERE name = 'key_id'").fetchone()
    connection.text_factory = bytes
    total = int(connection.execute(_ROWS, (first_row,)).fetchone()[0])
    key_id = b"" if key is None else key[0].encode("utf-8", "surrogateescape")
    names: dict[object, _Chain] = {node.encode("utf-8", "surrogateescape"): chain for node, chain in chains.items()}
    for count, row in enumerate(connection.execute(_RECORDS, (first_row,)), 1):
        if row[_NODE] not in names:
            names[row[_NODE]] = chains[_shown(row[_NODE])] = _Chain(SignedDays(), since)
            checker.expect(names[row[_NODE]].signed, _shown(row[_CALL_TIME])[:10])
        names[row[_NODE]].add(row, key_id)
        if progress is not None and count % PROGRESS_ROWS == 0:
            progress(count, total)
    return tuple(chains[node].report(node) for node in sorted(chains))


def _read_counts(connection: sqlite3.Connection, chains: dict[str, _Chain], since: str) -> None:
    """What the other tables say about days of `call_time`."""

    def chain(node: object) -> _Chain:
        return chains.setdefault(str(node), _Chain(SignedDays(), since))

    for node, call_time in connection.execute("SELECT node, call_time FROM call_open"):
        chain(node).open_days[str(call_time)[:10]] += 1
    for node, day, attempts, records in connection.execute("SELECT * FROM counter"):
        chain(node).counters[str(day)] = (attempts, records)
    for node, day, records in connection.execute("SELECT * FROM purged_day"):
        chain(node).purged_days[str(day)] += records if isinstance(records, int) else 0


def _first_row(connection: sqlite3.Connection, chains: dict[str, _Chain]) -> int:
    """The row from which on something is to be read."""
    rows = [1 << 62]
    for node, chain in chains.items():
        found = connection.execute(_FIRST_BEHIND, (node, chain.last_seq)).fetchone()
        if found is not None:
            rows.append(found[0])
    return min(rows)


@final
class _Chain:
    """The records of one node as they pass by."""

    def __init__(self, signed: SignedDays, since: str) -> None:
        self.signed = signed
        self.records = 0
        self.last_seq, self.last_hash = signed.start(since)
        self.bad_seq: int | None = None
        self.faults: list[str] = []
        self.days: Counter[str] = Counter()
        self.open_days: Counter[str] = Counter()
        self.purged_days: Counter[str] = Counter()
        self.counters: dict[str, tuple[object, object]] = {}
        self._since = since
        self._first_seq = self.last_seq + 1  # of the records that are read
        self._anchors: deque[Anchor] = deque()  # days with records that have not passed by
        self._set_anchors()

    def _set_anchors(self) -> None:
        ahead = {anchor.last_seq: anchor for anchor in reversed(self.signed.anchors) if anchor.last_seq > self.last_seq}
        self._anchors = deque(ahead[seq] for seq in sorted(ahead))

    def add(self, row: tuple[object, ...], key_id: bytes) -> None:
        seq = row[_SEQ]
        if isinstance(seq, int) and seq < self._first_seq:
            if self._since:
                return
            if self.records == 0 and seq > 0:
                self._start_in_purge(seq, row[_PREV_HASH])
        self.records += 1
        self.days[_shown(row[_CALL_TIME])[:10]] += 1
        if self.bad_seq is None:  # behind the first fault everything may be shifted: it would only repeat
            self._check(row, key_id)

    def _start_in_purge(self, seq: int, prev_hash: object) -> None:
        """A purge is under way: these records are to go, and what stood before them has gone."""
        self.last_seq, self.last_hash = seq - 1, _shown(prev_hash)
        self._first_seq = seq
        self._set_anchors()

    def _check(self, row: tuple[object, ...], key_id: bytes) -> None:
        seq, expected, name = row[_SEQ], self.last_seq + 1, _shown(row[_RECORD_ID])
        if seq != expected:
            self._blame(expected, f"seq {expected}: missing, seq {_shown(seq)} (record {name}) stands in its place")
            return
        if row[_PREV_HASH] != self.last_hash.encode("utf-8", "surrogateescape"):
            self._blame(expected, f"seq {expected}, record {name}: prev_hash is not the hash of the record before")
            return
        try:
            found = chain_hash(self.last_hash, row[:_PREV_HASH])
        except TypeError as error:
            self._blame(expected, f"seq {expected}, record {name}: changed: {error}")
            return
        if row[_HASH] != found.encode():
            self._blame(expected, f"seq {expected}, record {name}: changed: its content does not match its hash")
            return
        if row[_KEY_ID] != key_id:
            self._blame(expected, f"seq {expected}, record {name}: changed: key_id is not that of the file")
            return
        self.last_seq = expected
        self.last_hash = found
        if self._anchors and self._anchors[0].last_seq == expected:
            self._check_day(self._anchors.popleft())

    def _check_day(self, anchor: Anchor) -> None:
        if anchor.last_hash != self.last_hash:
            reason = f"its last record, seq {anchor.last_seq}, was signed with another hash: the chain was rewritten"
            self.signed.faults.append((anchor.day, reason))

    def _blame(self, seq: int, fault: str) -> None:
        self.bad_seq = seq
        self.faults.append(fault)

    def report(self, node: str) -> NodeReport:
        """Compare with anchors and counters and conclude."""
        if self._anchors and self.bad_seq is None:
            anchor = self._anchors[0]
            reason = f"signed up to seq {anchor.last_seq}, but the records end at seq {self.last_seq}"
            self.signed.faults.append((anchor.day, reason))
            self.bad_seq = self.last_seq + 1
        bad_days = [day for day, _ in self.signed.faults]
        self.faults += [f"{day}: {reason}" for day, reason in self.signed.faults]
        counted = self._count_faults()
        if counted and self.bad_seq is None:
            self.bad_seq = self.last_seq + 1
        return NodeReport(
            node=_printable(node),
            records=self.records,
            last_seq=self.last_seq,
            last_hash=_printable(self.last_hash),
            open=sum(self.open_days.values()),
            purged=sum(self.purged_days.values()),
            signed_day=_printable(self.signed.anchors[-1].day) if self.signed.anchors else "",
            bad_seq=self.bad_seq,
            bad_day=_printable(min(bad_days)) if bad_days else None,
            faults=tuple([_printable(fault) for fault in self.faults + counted]),
        )

    def _count_faults(self) -> list[str]:
        faults = []
        for day in sorted({*self.days, *self.open_days, *self.purged_days, *self.counters}):
            if day < self._since:
                continue  # only some of its records were read
            attempts, records = self.counters.get(day, (0, 0))
            found, still_open, gone = self.days[day], self.open_days[day], self.purged_days[day]
            purged = f", {gone} purged" if gone else ""
            if records != found + gone:
                faults.append(f"{day}: {found} records{purged}, {_shown(records)} were written")
            if attempts != found + gone + still_open:
                found_text = f"{found} records{purged} and {still_open} open"
                faults.append(f"{day}: {found_text}, {_shown(attempts)} attempts were begun")
        if not self._since and sum(self.purged_days.values()) != self._first_seq - 1:
            total = sum(self.purged_days.values())
            faults.append(f"{total} records were purged, but seq {self._first_seq} is the first that is left")
        return faults


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _shown(value: object) -> str:
    """A stored value as text; bytes that are no UTF-8 come back as they are when it is encoded again."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
