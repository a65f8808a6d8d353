"""The rows of attempts that an earlier run has left open, for the run that goes on with them.

They go to it from the process that writes, as they are stored. What it says cannot be served on, and what nobody has
answered, gets its record: NODE_RESTART.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final, cast, final

from engine.core.records import (
    NODE_RESTART_ANSWERED,
    RELEASE,
    ReleaseCause,
    bill_seconds,
    elapsed_ms,
)
from engine.store.crypto import NumberCipher
from engine.store.database import transaction
from engine.store.errors import StoreError
from engine.store.feed import Feed
from engine.store.ledger import Ledger
from engine.store.open_rows import ANSWERED_COLUMNS
from engine.store.owner import begin_epoch
from engine.store.rows import CDR_COLUMNS, NUMBER_COLUMNS, OPEN_COLUMNS, Row, utc_seconds, utc_text
from engine.store.signing import Signer

ROWS_AT_ONCE: Final = 500  # open rows closed in one transaction
REPEAT_S: Final = 32.0  # 64*T1: so long may a client repeat a request (RFC 3261 §17.1.1.2, §17.1.2.2)
MOST_RECENT: Final = 100_000  # attempts: a clock that was set back must not have a whole day looked at
CLOCK_SLACK_S: Final = 60.0  # spooled records stand later in the chain than their release: look back further

RECENT_COLUMNS: Final = (
    "kind", "caller_call_id", "caller_cseq", "caller_branch", "sip_status", "q850", "callee_call_id",
    "release_direction", "ingress_peer", "egress_peer",
)  # fmt: skip
_LEFT_OPEN: Final = (
    f"SELECT {ANSWERED_COLUMNS}, call_answer.dialogs FROM call_open JOIN call_answer USING (record_id)"
    " WHERE node = ? UNION ALL"
    f" SELECT {', '.join(OPEN_COLUMNS)}, NULL FROM call_open"
    " WHERE node = ? AND record_id NOT IN (SELECT record_id FROM call_answer) ORDER BY record_id"
)
_TAKE_OVER: Final = "UPDATE call_open SET owner_epoch = ? WHERE record_id = ?"
_RECORD_ID: Final = OPEN_COLUMNS.index("record_id")
_TEL_X: Final = OPEN_COLUMNS.index("tel_x")


@final
class LeftRows:
    """What a worker of `node` has left open. For the thread that owns the connection."""

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, node: str, worker: int = 0, workers: int = 1
    ) -> None:  # fmt: skip
        """Reads them: `rows` have the values of OPEN_COLUMNS, and what serving it on needs, None without an answer."""
        self._connection = connection
        self._cipher = cipher
        self._node = node
        rows: list[Row] = connection.execute(_LEFT_OPEN, (node, node)).fetchall()
        self.rows = [row for row in rows if workers == 1 or _owner(row, workers) == worker]

    def begin(
        self, signer: Signer, feed: Feed | None, unreadable: Collection[str], wall_s: float
    ) -> tuple[int, list[Row]]:
        """Begin a run at `wall_s`, seconds since the epoch: all that has no answer is closed, and what is `unreadable`.

        The number of the run, and attempts that ended a short while ago, latest first (RECENT_COLUMNS).
        """
        epoch = begin_epoch(self._connection)
        ledger = Ledger(self._connection, self._node, signer, feed=feed)
        ledger.write([], [], [])  # the anchors of days without a node
        closed = [row for row in self.rows if row[-1] is None or row[_RECORD_ID] in unreadable]
        for start in range(0, len(closed), ROWS_AT_ONCE):
            closings = [_closing(row, self._cipher, wall_s) for row in closed[start : start + ROWS_AT_ONCE]]
            ledger.write([], [], closings)
        with transaction(self._connection):
            self._connection.executemany(_TAKE_OVER, [(epoch, row[_RECORD_ID]) for row in self.rows])
        return epoch, _recent(self._connection, self._node, wall_s)


def _owner(row: Row, workers: int) -> int:
    from engine.core.ownership import owner_of_record  # it brings the parser, which one worker does not need here

    is_answered = row[-1] is not None
    return owner_of_record(str(row[_RECORD_ID]), str(row[_TEL_X] or "") if is_answered else "", workers)


def _closing(values: Row, cipher: NumberCipher, wall_s: float) -> list[object]:
    """The record of one open row, as `RowMaker.closing`: what the row knows, and an end by restart."""
    row: dict[str, object] = dict(zip(OPEN_COLUMNS, values[:-1], strict=True))
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
    row |= {"seq": 0, "prev_hash": "", "hash": "", "key_id": cipher.key_id}
    return [row[name] for name in CDR_COLUMNS]


def _for_record(blob: bytes, name: str, cipher: NumberCipher) -> bytes | None:
    """The number as the record holds it; None for one that cannot be read any more."""
    try:
        return cipher.encrypt(cipher.decrypt(blob, f"call_open.{name}"), f"cdr.{name}")
    except StoreError:
        return None


def _recent(connection: sqlite3.Connection, node: str, wall_s: float) -> list[Row]:
    """From the end of the chain backwards, as far as a repeat may still come."""
    columns = ", ".join(RECENT_COLUMNS)
    query = f"SELECT coalesce(release_time, call_time), {columns} FROM cdr WHERE node = ? ORDER BY seq DESC LIMIT ?"
    recent = []
    for release_time, *values in connection.execute(query, (node, MOST_RECENT)):
        released_s = utc_seconds(release_time)
        if released_s < wall_s - REPEAT_S - CLOCK_SLACK_S:
            break
        if released_s >= wall_s - REPEAT_S:
            recent.append(tuple(values))
    return recent


def _seconds(text: object) -> float | None:
    return None if text is None else utc_seconds(cast(str, text))
