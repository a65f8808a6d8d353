"""Anchors: one signed row for each node and UTC day that says how far the chain had come when the day was over.

The day is that of writing. Each anchor names the hash of the one before, so that anchors are a chain of their own.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, final

from engine.core.records import GENESIS_HASH
from engine.store.signing import Signer

DAY_S: Final = 86_400

_EPOCH: Final = date(1970, 1, 1).toordinal()
_COLUMNS: Final = "node, day, last_seq, last_hash, records, previous, key_id, signature"
_INSERT: Final = f"INSERT INTO anchor ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LAST: Final = f"SELECT {_COLUMNS} FROM anchor WHERE node = ? ORDER BY day DESC LIMIT 1"
_ALL: Final = f"SELECT {_COLUMNS} FROM anchor WHERE node = ? ORDER BY day"


@final
@dataclass(frozen=True, slots=True)
class Anchor:
    """All records of `node` up to `last_seq` were written on `day` (UTC, 2026-11-24) or before it."""

    node: str
    day: str
    last_seq: int  # 0: none yet
    last_hash: str  # `hash` of that record
    records: int  # written since the anchor before
    previous: str  # `digest` of the anchor before; 64 zeros in the first one
    key_id: str
    signature: bytes

    @property
    def text(self) -> bytes:
        """What is signed: a line for each field in ASCII, a node's name in UTF-8."""
        return (
            f"veil700 anchor 1\nnode {self.node}\nday {self.day}\nlast_seq {self.last_seq}\n"
            f"last_hash {self.last_hash}\nrecords {self.records}\nprevious {self.previous}\nkey {self.key_id}\n"
        ).encode("utf-8", "surrogateescape")

    @property
    def digest(self) -> str:
        """SHA-256 of `text` in hex."""
        return hashlib.sha256(self.text).hexdigest()


@final
class Anchors:
    """Writes the anchors of one node, inside the transactions of its ledger. For one thread."""

    def __init__(self, connection: sqlite3.Connection, node: str, signer: Signer, clock: Callable[[], float]) -> None:
        """`clock` tells seconds since the epoch."""
        self._connection = connection
        self._node = node
        self._signer = signer
        self._clock = clock
        self._last: Anchor | None = None
        self._next_s = 0.0  # from then on the next one is due

    def read(self) -> tuple[int, str]:
        """Forget what is in memory: the table tells it. Returns `last_seq` and `last_hash` of the last anchor."""
        row = self._connection.execute(_LAST, (self._node,)).fetchone()
        self._last = None if row is None else Anchor(*row)
        # The day behind the last anchor is running: when it is over its anchor is due.
        self._next_s = 0.0 if row is None else float((day_number(row[1]) + 2) * DAY_S)
        return (0, GENESIS_HASH) if self._last is None else (self._last.last_seq, self._last.last_hash)

    def due(self, last_seq: int, last_hash: str) -> None:
        """Write one for each day that is over and has none; the chain ends at `last_seq` so far.

        The first start writes that of the day before, so that no node is without one, and it covers nothing: what an
        older program has left may be of this very day, and stands in the next. A clock that was set back writes none
        twice. sqlite3.Error as it comes.
        """
        now_s = self._clock()
        if now_s < self._next_s:
            return
        today = int(now_s // DAY_S)
        if self._last is None:
            self._write(day_text(today - 1), 0, GENESIS_HASH)
        else:
            for number in range(day_number(self._last.day) + 1, today):
                self._write(day_text(number), last_seq, last_hash)
        self._next_s = float((today + 1) * DAY_S)

    def _write(self, day: str, last_seq: int, last_hash: str) -> None:
        before = self._last
        records, previous = (last_seq, GENESIS_HASH) if before is None else (last_seq - before.last_seq, before.digest)
        bare = Anchor(self._node, day, last_seq, last_hash, records, previous, self._signer.key_id, b"")
        values = (self._node, day, last_seq, last_hash, records, previous, bare.key_id, self._signer.sign(bare.text))
        self._connection.execute(_INSERT, values)
        self._last = bare


def read_anchors(connection: sqlite3.Connection, node: str) -> Iterator[Anchor]:
    """Those of one node, oldest first; sqlite3.Error as it comes."""
    for row in connection.execute(_ALL, (node,)):
        yield Anchor(*row)


def day_text(number: int) -> str:
    """A day counted from the epoch as 2026-11-24."""
    return date.fromordinal(_EPOCH + number).isoformat()


def day_number(text: str) -> int:
    """Days since the epoch; ValueError when it is no day."""
    return date.fromisoformat(text).toordinal() - _EPOCH
