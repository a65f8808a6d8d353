"""Days of the chain: the stretches between two anchors. Purge and archive take whole ones."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, final

from engine.store.anchors import read_anchors

_NODES: Final = "SELECT DISTINCT node FROM anchor ORDER BY node"
_LAST: Final = "SELECT node, max(seq) FROM cdr GROUP BY node ORDER BY node"
_LEFT: Final = "SELECT count(*) FROM cdr WHERE node = ? AND seq > ?"
_PURGED: Final = "SELECT coalesce(max(last_seq), 0) FROM purge WHERE node = ?"


@final
@dataclass(frozen=True, slots=True)
class ChainDay:
    """What a node has written on one UTC day: `seq` from `first_seq` to `last_seq`, both inclusive."""

    node: str
    day: str  # 2026-11-24; the second one holds what was written before any day was signed, too
    first_seq: int
    last_seq: int  # first_seq - 1: nothing was written
    last_hash: str  # `hash` of the last record up to and with this day
    records: int


def chain_nodes(connection: sqlite3.Connection) -> list[str]:
    """Nodes that have a day that is over, in the order of their names."""
    return [row[0] for row in connection.execute(_NODES)]


def chain_days(connection: sqlite3.Connection, node: str) -> list[ChainDay]:
    """All days that are over, oldest first, without a gap, empty and purged ones included; sqlite3.Error."""
    days = []
    before = 0
    for anchor in read_anchors(connection, node):
        last = anchor.last_seq
        days.append(ChainDay(node, anchor.day, before + 1, last, anchor.last_hash, last - before))
        before = last
    return days


def purged_up_to(connection: sqlite3.Connection, node: str) -> int:
    """The `seq` up to which records were purged, or are being purged; 0: none."""
    return int(connection.execute(_PURGED, (node,)).fetchone()[0])


def missing_records(connection: sqlite3.Connection) -> dict[str, int]:
    """How many records are not in the table, up to the newest one and behind what was purged, by node; only holes.

    A quick look: that nothing was changed, and that the newest ones are there, is for `verify`.
    """
    found = {}
    for node, last in connection.execute(_LAST).fetchall():
        purged = purged_up_to(connection, node)
        (left,) = connection.execute(_LEFT, (node, purged)).fetchone()
        if missing := last - purged - left:
            found[str(node)] = int(missing)
    return found
