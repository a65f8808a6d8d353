"""`cdr verify`: is every record there, unchanged, in its place? The hash covers cipher text: no key."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from engine.core.records import FIELDS, GENESIS_HASH, chain_hash
from engine.store.database import open_read_only, store_errors

_HASH: Final = FIELDS.index("hash")
_PREV_HASH: Final = FIELDS.index("prev_hash")
_NODE: Final = FIELDS.index("node")
_SEQ: Final = FIELDS.index("seq")
_CALL_TIME: Final = FIELDS.index("call_time")
# In the order of the table itself: an index may have been left as it was when a row was changed.
_RECORDS: Final = f"SELECT {', '.join(FIELDS)} FROM cdr NOT INDEXED ORDER BY rowid"


@final
@dataclass(frozen=True, slots=True)
class NodeReport:
    """What was found of one node; `bad_seq` is the first `seq` that is wrong or missing."""

    node: str
    records: int
    last_seq: int
    open: int
    bad_seq: int | None
    faults: tuple[str, ...]  # one line each; empty: all is well


@final
@dataclass(frozen=True, slots=True)
class VerifyReport:
    """All nodes that have written into the file."""

    nodes: tuple[NodeReport, ...]

    @property
    def is_clean(self) -> bool:
        return not any(node.faults for node in self.nodes)

    @property
    def records(self) -> int:
        return sum(node.records for node in self.nodes)


def verify(path: Path) -> VerifyReport:
    """Check chain, order and completeness counters of records.db as it stands at this moment.

    A running node may go on writing. StoreError when the file cannot be read, a damaged one included.
    """
    connection = open_read_only(path, None)
    connection.text_factory = bytes  # what was tampered with may be no UTF-8
    try:
        with store_errors(path):
            connection.execute("BEGIN")  # one view of records, open rows and counters
            return _verify(connection)
    finally:
        connection.close()


def _verify(connection: sqlite3.Connection) -> VerifyReport:
    chains: dict[bytes, _Chain] = {}
    for row in connection.execute(_RECORDS):
        node = _as_bytes(row[_NODE])
        chain = chains.get(node)
        if chain is None:
            chain = chains[node] = _Chain()
        chain.add(row)
    for node, call_time in connection.execute("SELECT node, call_time FROM call_open"):
        chains.setdefault(_as_bytes(node), _Chain()).open_days[_as_bytes(call_time)[:10]] += 1
    for node, day, attempts, records in connection.execute("SELECT * FROM counter"):
        chains.setdefault(_as_bytes(node), _Chain()).counters[_as_bytes(day)] = (attempts, records)
    return VerifyReport(tuple(chains[node].report(node) for node in sorted(chains)))


@final
class _Chain:
    """The records of one node as they pass by."""

    def __init__(self) -> None:
        self.records = 0
        self.last_seq = 0
        self.last_hash = GENESIS_HASH.encode()
        self.bad_seq: int | None = None
        self.faults: list[str] = []
        self.days: Counter[bytes] = Counter()
        self.open_days: Counter[bytes] = Counter()
        self.counters: dict[bytes, tuple[object, object]] = {}

    def add(self, row: tuple[object, ...]) -> None:
        self.records += 1
        self.days[_as_bytes(row[_CALL_TIME])[:10]] += 1
        if self.bad_seq is None:  # behind the first fault everything may be shifted: it would only repeat
            self._check(row)

    def _check(self, row: tuple[object, ...]) -> None:
        seq, expected = row[_SEQ], self.last_seq + 1
        if seq != expected:
            self._blame(expected, f"missing, seq {_shown(seq)} stands in its place")
            return
        if row[_PREV_HASH] != self.last_hash:
            self._blame(expected, "prev_hash is not the hash of the record before")
            return
        try:
            found = chain_hash(self.last_hash.decode("ascii"), row[:_PREV_HASH])
        except TypeError as error:
            self._blame(expected, f"changed: {error}")
            return
        if row[_HASH] != found.encode():
            self._blame(expected, "changed: its content does not match its hash")
            return
        self.last_seq = expected
        self.last_hash = found.encode()

    def _blame(self, seq: int, reason: str) -> None:
        self.bad_seq = seq
        self.faults.append(f"seq {seq}: {reason}")

    def report(self, node: bytes) -> NodeReport:
        """Compare with the counters and conclude."""
        for day in sorted({*self.days, *self.open_days, *self.counters}):
            attempts, records = self.counters.get(day, (0, 0))
            found, still_open = self.days[day], self.open_days[day]
            if records != found:
                self.faults.append(f"{_shown(day)}: {found} records, {_shown(records)} were written")
            if attempts != found + still_open:
                found_text = f"{found} records and {still_open} open"
                self.faults.append(f"{_shown(day)}: {found_text}, {_shown(attempts)} attempts were begun")
        if self.bad_seq is None and self.faults:
            self.bad_seq = self.last_seq + 1
        is_open = sum(self.open_days.values())
        return NodeReport(_shown(node), self.records, self.last_seq, is_open, self.bad_seq, tuple(self.faults))


def _as_bytes(value: object) -> bytes:
    """A text column as it is stored; of another type (tampered with) its plain form."""
    return value if isinstance(value, bytes) else str(value).encode()


def _shown(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
