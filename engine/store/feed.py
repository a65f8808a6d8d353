"""What platforms are told of calls, messages and bindings: for each one sequence of events without gaps.

Events are written in the transaction of what they tell of: in that of the record, or in that which notes how far the
outbox of bindings.db has been taken. So each is there exactly once, however a process ends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, Final, cast, final

from engine.core.numbers import is_privacy_number, mask
from engine.core.records import FIELDS, RECORD_COLUMNS
from engine.store.breathing import breathing
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only, transaction
from engine.store.errors import StoreError
from engine.store.rows import ANSWER_COLUMNS, NUMBER_COLUMNS, OPEN_CALL_TIME, SEQ, Row

OUTBOX_DONE: Final = "outbox_done"  # in `meta` of records.db: the last row of the outbox that is in the feed
OUTBOX_ROWS: Final = 1_000  # taken in one transaction

_LAST: Final = "SELECT app_platform, last_seq FROM feed"
_SET_LAST: Final = (
    "INSERT INTO feed VALUES (?, ?) ON CONFLICT (app_platform) DO UPDATE SET last_seq = excluded.last_seq"
)
_INSERT: Final = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)"
_OUTBOX: Final = "SELECT id, app_platform, kind, at, subject, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?"
_WRITTEN: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"
_GET_DONE: Final = "SELECT value FROM meta WHERE name = ?"
_SET_DONE: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

_RECORD: Final = {name: index for index, name in enumerate(FIELDS)}  # of a row of `cdr`
_KNOWN: Final = {name: index for index, name in enumerate(RECORD_COLUMNS)}  # of a snapshot
_HASH: Final = _RECORD["hash"]
_RING_TIME: Final = 1 + ANSWER_COLUMNS.index("ring_time")  # behind record_id
_ANSWER_TIME: Final = 1 + ANSWER_COLUMNS.index("answer_time")

# What every event of a call or message says of it.
_COMMON: Final = (
    "kind", "mode", "subs_id", "binding_version", "business_user", "order_id", "scenario", "tel_x", "tel_y",
    *NUMBER_COLUMNS,
)  # fmt: skip
_OF_END: Final = (
    "call_time", "ring_time", "answer_time", "release_time", "ring_ms", "duration_ms", "bill_seconds",
    "release_direction", "release_cause", "sip_status", "q850",
)  # fmt: skip
_OF_MESSAGE: Final = ("call_time", "release_time", "release_cause", "sip_status", "q850", "parts", "octets")
# Peers, Call-IDs, targets and charging identifiers are the operator's, not the platform's.
_OF_RECORD: Final = (
    "record_id", "node", *_COMMON, "presented_number", "call_time", "call_out_time", "ring_time", "answer_time",
    "release_time", "ring_ms", "duration_ms", "duration_source", "bill_seconds", "release_direction", "release_cause",
    "sip_status", "q850", "decided_by", "parts", "octets", "hash",
)  # fmt: skip

_to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_Facts = dict[str, Any]


@final
class Feed:
    """Writes events with a connection to records.db, whose only writer has it. For one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher) -> None:
        self._connection = connection
        self._cipher = cipher
        self._last: dict[str, int] | None = None  # by platform; None: to be read again
        self._done = 0
        self._rows: list[tuple[str, int, str, object, object, str]] = []
        self._expected: dict[object, Row] = {}  # record_id -> snapshot

    def expect(self, *steps: Sequence[Row]) -> None:
        """Snapshots (order of RECORD_COLUMNS) of what the next transaction of a ledger writes, numbers in clear."""
        platform = _KNOWN["app_platform"]
        self._expected.update({values[0]: values for one in steps for values in one if values[platform]})

    def expect_no_more(self) -> None:
        """No number stays in memory longer than its transaction."""
        self._expected.clear()

    def begin(self) -> None:
        """A transaction of the connection has begun. sqlite3.Error as it comes."""
        self._rows.clear()
        if self._last is None:
            self._last = dict(self._connection.execute(_LAST))
            row = self._connection.execute(_GET_DONE, (OUTBOX_DONE,)).fetchone()
            self._done = 0 if row is None else int(row[0])

    def opened(self, rows: Sequence[Row]) -> None:
        """Parameters of INSERT_OPEN behind `slot`, of attempts that had no open row before."""
        for row in breathing(rows):
            values = self._expected.get(row[0])
            if values is not None and values[_KNOWN["kind"]] == "voice":
                self._add(values, "call.start", row[OPEN_CALL_TIME], _to_json(_facts(values)))

    def answered(self, rows: Sequence[Row]) -> None:
        """Parameters of INSERT_ANSWER behind `slot`, of calls that had no such row before."""
        for row in breathing(rows):
            values = self._expected.get(row[0])
            if values is not None and values[_KNOWN["kind"]] == "voice":
                self._add_answer(values, _to_json(_facts(values)), row[_RING_TIME], row[_ANSWER_TIME])

    def ended(self, rows: Sequence[Sequence[object]], opened: Container[object], answered: Container[object]) -> None:
        """Rows of `cdr`; those in `opened` and `answered` have been told of as such."""
        for row in breathing(rows):
            if row[_RECORD["app_platform"]]:
                self._end(row, row[0] in opened, row[0] in answered)

    def flush(self) -> None:
        """Writes what was told, before the transaction is committed. sqlite3.Error as it comes."""
        if self._rows:
            assert self._last is not None
            self._connection.executemany(_INSERT, self._rows)
            changed = {row[0] for row in self._rows}
            self._connection.executemany(_SET_LAST, [(platform, self._last[platform]) for platform in sorted(changed)])
        self._rows.clear()

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._last = None
        self._rows.clear()

    def look_again(self, reader: sqlite3.Connection) -> None:
        """All that its outbox holds is new where bindings.db is an older copy that was put back. sqlite3.Error."""
        if self._last is None:
            self.begin()
        written = reader.execute(_WRITTEN).fetchone()
        if self._done > (0 if written is None else int(written[0])):
            self._connection.execute(_SET_DONE, (OUTBOX_DONE, "0"))
            self._done = 0

    def take_outbox(self, reader: sqlite3.Connection) -> bool:
        """Takes what bindings.db, which `reader` reads, has to tell; False when nothing was there. sqlite3.Error."""
        try:
            if self._last is None:
                self.begin()
            found = reader.execute(_OUTBOX, (self._done, OUTBOX_ROWS)).fetchall()
            if not found:
                return False
            with transaction(self._connection):
                self.begin()
                for _, platform, kind, at, subject, payload in found:
                    if platform:  # what is nobody's nobody is told
                        self._append(platform, kind, at, subject, payload)
                self.flush()
                self._connection.execute(_SET_DONE, (OUTBOX_DONE, str(found[-1][0])))
            self._done = int(found[-1][0])
        except BaseException:
            self.forget()
            raise
        return True

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _end(self, row: Sequence[object], was_opened: bool, was_answered: bool) -> None:
        values = self._expected.get(row[0]) or self._shown(row)
        common = _facts(values)
        released = row[_RECORD["release_time"]] or row[_RECORD["call_time"]]
        if values[_KNOWN["kind"]] == "voice":
            payload = "" if was_opened and was_answered else _to_json(common)
            if not was_opened:
                self._add(values, "call.start", row[_RECORD["call_time"]], payload)
            if not was_answered:
                self._add_answer(values, payload, row[_RECORD["ring_time"]], row[_RECORD["answer_time"]])
            self._add(values, "call.end", released, _to_json(common | _some(row, _OF_END)))
        else:
            self._add(values, "sms", released, _to_json(common | _some(row, _OF_MESSAGE)))
        record = _some(row, _OF_RECORD) | common | {"record_seq": row[SEQ]}
        presented = record["presented_number"]
        if not is_privacy_number(presented):
            record["presented_number"] = mask(presented)
        self._add(values, "cdr", released, _to_json(record))

    def _add_answer(self, values: Row, payload: str, ring_time: object, answer_time: object) -> None:
        """That it has rung is known for certain only now: a ring is no durable step."""
        if ring_time:
            self._add(values, "call.ring", ring_time, payload)
        if answer_time:
            self._add(values, "call.answer", answer_time, payload)

    def _add(self, values: Row, kind: str, at: object, payload: str) -> None:
        self._append(cast(str, values[_KNOWN["app_platform"]]), kind, at, values[0], payload)

    def _append(self, platform: str, kind: str, at: object, subject: object, payload: str) -> None:
        assert self._last is not None
        seq = self._last[platform] = self._last.get(platform, 0) + 1
        self._rows.append((platform, seq, kind, at, subject, payload))

    def _shown(self, row: Sequence[object]) -> Row:
        """The snapshot of a record that comes from no step, but from what the last run has left."""
        values = [row[_RECORD[name]] if name in _RECORD else "" for name in RECORD_COLUMNS]
        for name in NUMBER_COLUMNS:
            blob = values[_KNOWN[name]]
            hidden = bytes(blob) if isinstance(blob, bytes | bytearray) else b""
            values[_KNOWN[name]] = self._cipher.decrypt(hidden, f"cdr.{name}") if hidden else ""
        return tuple(values)


def _facts(values: Row) -> _Facts:
    """What every event says; numbers masked."""
    facts = {name: values[_KNOWN[name]] for name in _COMMON}
    for name in NUMBER_COLUMNS:
        facts[name] = mask(cast(str, facts[name]))
    return facts


def _some(row: Sequence[object], names: Sequence[str]) -> _Facts:
    return {name: row[_RECORD[name]] for name in names}


@final
class OutboxReader:
    """Opens bindings.db when it is first needed, and again after a fault. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def bring(self, feed: Feed) -> None:
        """All that is there goes into the feed. sqlite3.Error; StoreError when bindings.db cannot be opened."""
        try:
            if self._connection is None:
                self._connection = open_read_only(self._path, None)
                feed.look_again(self._connection)
            while feed.take_outbox(self._connection):
                pass
        except (sqlite3.Error, StoreError):
            self.close()
            raise

    def close(self) -> None:
        """Lets go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
