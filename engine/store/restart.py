"""What a start does with the attempts that the last run left open.

Calls that are answered are taken over, and served on. A short message whose report is awaited stays open: the node goes
on waiting (`engine.store.pending`). Everything else gets its record, NODE_RESTART.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Final, cast, final

from engine.core.frozen_call import FrozenCall, invite_of, read_frozen
from engine.core.last_run import EndedKey, RepeatKey
from engine.core.records import (
    EXTENSION_COLUMNS,
    NODE_RESTART_ANSWERED,
    RELEASE,
    CallRecord,
    ReleaseCause,
    bill_seconds,
    elapsed_ms,
)
from engine.core.report_relay import ReportEntry
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, lock_records, open_database, store_errors
from engine.store.errors import StoreError
from engine.store.feed import Feed
from engine.store.ledger import Ledger
from engine.store.open_rows import ANSWERED_COLUMNS, read_record
from engine.store.owner import begin_epoch
from engine.store.pending import pending_message
from engine.store.rows import DIALOGS, HASHED, NUMBER_COLUMNS, OPEN_COLUMNS, SEQ, Closing, utc_seconds, utc_text
from engine.store.signing import open_signing_key

ROWS_AT_ONCE: Final = 500  # open rows closed in one transaction
REPEAT_S: Final = 32.0  # 64*T1: so long may a client repeat a request (RFC 3261 §17.1.1.2, §17.1.2.2)
MOST_RECENT: Final = 100_000  # attempts: a clock that was set back must not have a whole day looked at
CLOCK_SLACK_S: Final = 60.0  # spooled records stand later in the chain than their release: look back further

_TAIL_COLUMNS: Final = (
    "kind", "caller_call_id", "caller_cseq", "caller_branch", "sip_status", "q850", "callee_call_id",
    "release_direction", "ingress_peer", "egress_peer",
)  # fmt: skip
_LEFT_OPEN: Final = (
    f"SELECT {ANSWERED_COLUMNS}, call_answer.dialogs FROM call_open JOIN call_answer USING (record_id)"
    " WHERE node = ? UNION ALL"
    f" SELECT {', '.join(OPEN_COLUMNS)}, NULL FROM call_open"
    " WHERE node = ? AND record_id NOT IN (SELECT record_id FROM call_answer) ORDER BY record_id"
)
_TAKE_OVER: Final = "UPDATE call_open SET owner_epoch = ? WHERE node = ?"
_Row = dict[str, object]


@final
class RecentAttempt:
    """An attempt that ended shortly before this start: a repeat of its request gets this answer again."""

    __slots__ = (
        "callee_call_id", "caller_branch", "caller_call_id", "caller_cseq", "egress_peer", "ingress_peer", "kind",
        "q850", "release_direction", "sip_status",
    )  # fmt: skip

    def __init__(
        self, kind: str, caller_call_id: str, caller_cseq: int, caller_branch: str, sip_status: int, q850: int,
        callee_call_id: str, release_direction: str, ingress_peer: str, egress_peer: str,
    ) -> None:  # fmt: skip
        self.kind = kind  # voice | message
        self.caller_call_id = caller_call_id
        self.caller_cseq = caller_cseq
        self.caller_branch = caller_branch
        self.sip_status = sip_status
        self.q850 = q850
        self.callee_call_id = callee_call_id
        self.release_direction = release_direction
        self.ingress_peer = ingress_peer
        self.egress_peer = egress_peer

    @property
    def is_reported(self) -> bool:
        """True when it may be a short message whose report was taken: a repeat of that report is answered, no more."""
        return self.kind == "message" and self.release_direction == "callee"


@final
class TakenOver:
    """What this run goes on with: `answered` calls and `pending` messages, which are open still, and `recent` attempts.

    A pending message is one whose report is awaited. Recent attempts stand latest first.
    `unfinished` are calls without an answer, which have their record now: their INVITEs may be out. `unreadable` says
    how many rows were closed since they could not be read, or not whole.
    """

    __slots__ = ("answered", "epoch", "pending", "recent", "unfinished", "unreadable")

    def __init__(
        self,
        epoch: int,
        answered: list[tuple[CallRecord, FrozenCall]],
        pending: list[tuple[CallRecord, ReportEntry]],
        unfinished: list[CallRecord],
        recent: list[RecentAttempt],
        unreadable: int,
    ) -> None:
        self.epoch = epoch
        self.answered = answered
        self.pending = pending
        self.unfinished = unfinished
        self.recent = recent
        self.unreadable = unreadable

    @property
    def repeats(self) -> dict[RepeatKey, tuple[int, int]]:
        """What repeats of their requests are answered."""
        return {
            (one.ingress_peer, one.kind, one.caller_call_id, one.caller_cseq, one.caller_branch): (
                one.sip_status,
                one.q850,
            )
            for one in self.recent
        }

    @property
    def ended(self) -> set[EndedKey]:
        """Both sides of calls whose BYE may be repeated."""
        calls = [one for one in self.recent if one.kind == "voice"]
        callers = {(one.ingress_peer, one.caller_call_id) for one in calls}
        return callers | {(one.egress_peer, one.callee_call_id) for one in calls if one.callee_call_id}

    @property
    def reported(self) -> set[str]:
        """Call-IDs of ours under which short messages left whose report was taken."""
        return {one.callee_call_id for one in self.recent if one.is_reported}


def take_over(path: Path, cipher: NumberCipher, node: str, wall_s: float, announces: bool = False) -> TakenOver:
    """Begin a run of `node` on records.db at `wall_s`, seconds since the epoch; before a writer starts.

    `announces`: platforms are told of the records that are made.
    Of the rows that earlier runs have left open the answered calls become this run's; the others are closed.
    StoreError when the store cannot be used.
    """
    lock = lock_records(path)
    try:
        connection = open_database(path, RECORDS, cipher)
        try:
            with store_errors(path):
                epoch = begin_epoch(connection)
                left = _LeftOpen(connection, cipher, node)
                feed = Feed(connection, cipher) if announces else None
                ledger = Ledger(connection, node, open_signing_key(path.parent), feed=feed)
                ledger.write([], [], [])  # the anchors of days without a node
                for start in range(0, len(left.others), ROWS_AT_ONCE):
                    rows = left.others[start : start + ROWS_AT_ONCE]
                    ledger.write([], [], [_closing(row, cipher, wall_s) for row in rows])
                connection.execute(_TAKE_OVER, (epoch, node))
                recent = _recent(connection, node, wall_s)
                return TakenOver(epoch, left.answered, left.pending, left.unfinished, recent, left.unreadable)
        finally:
            connection.close()
    finally:
        os.close(lock)


@final
class _LeftOpen:
    """Calls and messages that can be served on, and the rows of `others`, which are closed; `unfinished` are some of
    those.

    A row that cannot be read, whatever is wrong with it, is one of the others: it must not keep the node from starting.
    """

    __slots__ = ("answered", "others", "pending", "unfinished", "unreadable")

    def __init__(self, connection: sqlite3.Connection, cipher: NumberCipher, node: str) -> None:
        self.answered: list[tuple[CallRecord, FrozenCall]] = []
        self.pending: list[tuple[CallRecord, ReportEntry]] = []
        self.unfinished: list[CallRecord] = []
        self.others: list[_Row] = []
        self.unreadable = 0
        for *values, dialogs in connection.execute(_LEFT_OPEN, (node, node)).fetchall():
            row = dict(zip(OPEN_COLUMNS, values, strict=True))
            try:
                goes_on = self._sort(row, dialogs, cipher)
            except Exception:
                self.unreadable += 1
                goes_on = False
            if not goes_on:
                self.others.append(row)

    def _sort(self, row: _Row, dialogs: bytes | None, cipher: NumberCipher) -> bool:
        """True for what goes on. Raises whatever comes of a row that this program has not written."""
        values = tuple(row.values())
        if dialogs is None:
            if _may_ring(row):
                self.unfinished.append(read_record(values, cipher))
            return False
        if row["kind"] == "message":
            self.pending.append(pending_message(values, dialogs, cipher))
        else:
            self.answered.append((read_record(values, cipher), _frozen(dialogs, cipher)))
        return True


def _may_ring(row: _Row) -> bool:
    return row["kind"] == "voice" and row["answer_time"] is None and row["attempts"] != "[]"


def _frozen(dialogs: bytes, cipher: NumberCipher) -> FrozenCall:
    """Raises ValueError for what another version of this program has written, and RemoteSipError for a call whose
    INVITE cannot be made again: its caller has sent longer rows than the node reads."""
    frozen = read_frozen(json.loads(cipher.decrypt(dialogs, DIALOGS)))
    invite_of(frozen)
    return frozen


def _closing(row: _Row, cipher: NumberCipher, wall_s: float) -> Closing:
    """The record of one open row: what the row knows, and an end by restart."""
    for name in NUMBER_COLUMNS:
        blob = row[name]
        if isinstance(blob, bytes):
            row[name] = _for_record(blob, name, cipher)
    answered_s, rang_s = _seconds(row["answer_time"]), _seconds(row["ring_time"])
    duration_ms = elapsed_ms(answered_s, wall_s)
    cause = ReleaseCause.NODE_RESTART
    row["release_time"] = utc_text(wall_s)
    row["ring_ms"] = elapsed_ms(rang_s, answered_s if answered_s is not None else wall_s)
    row["duration_ms"] = duration_ms
    row["duration_source"] = "wall"
    row["bill_seconds"] = bill_seconds(duration_ms)
    row["release_direction"] = "platform"
    row["release_cause"] = cause.value
    row["sip_status"], row["q850"] = RELEASE[cause] if answered_s is None else NODE_RESTART_ANSWERED
    extension = (*[row[name] for name in EXTENSION_COLUMNS], cipher.key_id)
    return Closing([row[name] for name in HASHED[:SEQ]], [row[name] for name in HASHED[SEQ + 1 :]], extension)


def _for_record(blob: bytes, name: str, cipher: NumberCipher) -> bytes | None:
    """The number as the record holds it; None for one that cannot be read any more."""
    try:
        return cipher.encrypt(cipher.decrypt(blob, f"call_open.{name}"), f"cdr.{name}")
    except StoreError:
        return None


def _recent(connection: sqlite3.Connection, node: str, wall_s: float) -> list[RecentAttempt]:
    """From the end of the chain backwards, as far as a repeat may still come."""
    columns = ", ".join(_TAIL_COLUMNS)
    query = f"SELECT coalesce(release_time, call_time), {columns} FROM cdr WHERE node = ? ORDER BY seq DESC LIMIT ?"
    recent = []
    for release_time, *values in connection.execute(query, (node, MOST_RECENT)):
        released_s = utc_seconds(release_time)
        if released_s < wall_s - REPEAT_S - CLOCK_SLACK_S:
            break
        if released_s >= wall_s - REPEAT_S:
            recent.append(RecentAttempt(*values))
    return recent


def _seconds(text: object) -> float | None:
    return None if text is None else utc_seconds(cast(str, text))
