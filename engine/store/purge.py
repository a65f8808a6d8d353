"""`cdr purge`: removes whole chain days whose time is over, oldest first, while the node goes on writing.

A purge row says what goes, in the transaction of the first deletes; it keeps the chain whole, since it has the hash
from which the first record begins that is left. A purge that was cut short is finished by the next one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from engine.store.anchors import DAY_S, day_text
from engine.store.audit import Asker, audit_row, write_audit
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database, open_read_only, store_errors
from engine.store.day_check import MIN_RETENTION_DAYS
from engine.store.days import ChainDay, chain_days, chain_nodes, purged_up_to
from engine.store.rows import utc_text

FIRST_SLICE: Final = 100  # records in a transaction; then as many as take SLICE_S
SLICE_S: Final = 0.010  # so long a writer may find the file locked
PAUSE_S: Final = 0.020  # between two slices: sqlite's own retries come every 25 ms at the latest

_LEFT: Final = "SELECT count(*) FROM cdr WHERE node = ? AND seq <= ?"
_SLICE: Final = (
    "SELECT substr(call_time, 1, 10), count(*), max(seq) FROM"
    " (SELECT call_time, seq FROM cdr WHERE node = ? AND seq <= ? ORDER BY seq LIMIT ?) GROUP BY 1"
)
_COUNT: Final = (
    "INSERT INTO purged_day VALUES (?, ?, ?) ON CONFLICT (node, day) DO UPDATE SET records = records + excluded.records"
)
_DELETE: Final = "DELETE FROM cdr WHERE node = ? AND seq <= ?"
_INSERT: Final = "INSERT INTO purge VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OCTETS: Final = (
    "SELECT (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)"
    " / max(1, (SELECT max(rowid) FROM cdr) - (SELECT min(rowid) FROM cdr) + 1)"
)

IsArchived = Callable[[ChainDay], bool]
Progress = Callable[[int, int], None]  # records removed, in all


@final
@dataclass(frozen=True, slots=True)
class NodePurge:
    """What goes of one node; `records` are still there, those included that an earlier purge has left over."""

    node: str
    days: tuple[ChainDay, ...]  # none: only what an earlier purge has left
    records: int
    octets: int  # about so many become free in the file
    last_seq: int
    not_archived: str  # the day at which it stops because it is in no archive; "" for none


@final
@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge has done."""

    records: int
    longest_lock_s: float  # for which nobody else could write


def last_day_to_go(wall_s: float, retention_days: int) -> str:
    """The youngest UTC day that may be purged: all that was written on it is `retention_days` old."""
    return day_text(int(wall_s // DAY_S) - max(retention_days, MIN_RETENTION_DAYS) - 1)


def plan_purge(path: Path, last_day: str, is_archived: IsArchived | None) -> list[NodePurge]:
    """What would go of each node up to and with `last_day`; only reads. StoreError as it comes.

    `is_archived` is asked for each day; at the first that is not, the purge of that node stops.
    """
    connection = open_read_only(path, None)
    try:
        with store_errors(path):
            (octets,) = connection.execute(_OCTETS).fetchone()
            return [_plan(connection, node, last_day, is_archived, octets or 0) for node in chain_nodes(connection)]
    finally:
        connection.close()


def _plan(
    connection: sqlite3.Connection, node: str, last_day: str, is_archived: IsArchived | None, octets: int
) -> NodePurge:
    purged_seq = purged_up_to(connection, node)
    due: list[ChainDay] = []
    not_archived = ""
    for day in chain_days(connection, node):
        if day.last_seq <= purged_seq or day.day > last_day:
            continue
        if is_archived is not None and not is_archived(day):
            not_archived = day.day
            break
        due.append(day)
    while due and not due[-1].records:  # a purge ends at a record
        due.pop()
    last_seq = due[-1].last_seq if due else purged_seq
    (records,) = connection.execute(_LEFT, (node, last_seq)).fetchone()
    return NodePurge(node, tuple(due), records, records * octets, last_seq, not_archived)


def purge(
    path: Path, cipher: NumberCipher, plans: list[NodePurge], asker: Asker, wall_s: float,
    progress: Progress | None = None,
) -> Purged:  # fmt: skip
    """Do what `plan_purge` has found; a running node writes between the slices.

    An audit row is durable before the first record goes. StoreError as it comes; what is done until then stays done.
    """
    plans = [plan for plan in plans if plan.records or plan.days]
    if not plans:
        return Purged(0, 0.0)
    detail = ", ".join(_detail(plan) for plan in plans)
    write_audit(path.with_name("bindings.db"), cipher, audit_row(wall_s, asker, "cdr.purge", detail))
    connection = open_database(path, RECORDS, cipher)
    try:
        with store_errors(path):
            # No file need be synced under the lock: what is lost by a crash is deleted by the next purge.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")
            work = _Purge(connection, sum(plan.records for plan in plans), progress)
            for plan in plans:
                work.run(plan, asker.actor, wall_s)
            return Purged(work.removed, work.longest_lock_s)
    finally:
        connection.close()


def _detail(plan: NodePurge) -> str:
    days = f"{plan.days[0].day} to {plan.days[-1].day}" if plan.days else "the rest of an earlier purge"
    return f"{plan.node}: {plan.records} records, {days}, up to seq {plan.last_seq}"


@final
class _Purge:
    """Slices of deletes, each a transaction, with a pause behind it."""

    def __init__(self, connection: sqlite3.Connection, total: int, progress: Progress | None) -> None:
        self.removed = 0
        self.longest_lock_s = 0.0
        self._connection = connection
        self._total = total
        self._progress = progress
        self._size = FIRST_SLICE

    def run(self, plan: NodePurge, actor: str, wall_s: float) -> None:
        row: tuple[object, ...] | None = None
        if plan.days:
            first, last = plan.days[0], plan.days[-1]
            count = last.last_seq - first.first_seq + 1
            row = (
                plan.node, first.first_seq, last.last_seq, last.last_hash, first.day, last.day, utc_text(wall_s), actor,
                count,
            )  # fmt: skip
        while self._slice(plan.node, plan.last_seq, row):
            row = None
            time.sleep(PAUSE_S)

    def _slice(self, node: str, last_seq: int, purge_row: tuple[object, ...] | None) -> int:
        """Remove the oldest ones; how many there were."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        locked_s = time.monotonic()
        try:
            if purge_row is not None:
                connection.execute(_INSERT, purge_row)
            found = connection.execute(_SLICE, (node, last_seq, self._size)).fetchall()
            connection.executemany(_COUNT, [(node, day, records) for day, records, _ in found])
            if found:
                connection.execute(_DELETE, (node, max(seq for _, _, seq in found)))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._adapt(time.monotonic() - locked_s)
        records = sum(int(row[1]) for row in found)
        self.removed += records
        if self._progress is not None:
            self._progress(self.removed, self._total)
        return records

    def _adapt(self, took_s: float) -> None:
        self.longest_lock_s = max(self.longest_lock_s, took_s)
        if took_s > SLICE_S:
            self._size = max(1, self._size // 2)
        elif took_s < SLICE_S / 2:
            self._size += self._size // 4 + 1
