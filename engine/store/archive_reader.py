"""An archive folder as one stream of records that the table continues."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, final

from engine.store.days import purged_up_to
from engine.store.errors import StoreError
from engine.store.manifest import Manifest, fault_of_file, gaps, read_manifests
from engine.store.parquet import need_parquet, read_rows

_FIRST: Final = "SELECT min(seq) FROM cdr WHERE node = ?"
_HASHES: Final = "SELECT prev_hash, hash FROM cdr WHERE node = ? AND seq = ?"
_NODES: Final = "SELECT DISTINCT node FROM anchor"
_DAY_OF: Final = "SELECT min(day) FROM anchor WHERE node = ? AND last_seq >= ?"


@final
class Archive:
    """The days of a folder, in order. Nothing is read from a file that is not byte for byte what was written."""

    def __init__(self, folder: Path) -> None:
        """StoreError when the folder or a manifest cannot be read, or days are missing between two others."""
        need_parquet()
        self._folder = folder
        self._manifests = read_manifests(folder)
        for line in gaps(self._manifests):
            raise StoreError(f"{folder}: {line}")
        self.first: dict[str, Manifest] = {}
        self.last: dict[str, Manifest] = {}
        for manifest in self._manifests:
            self.first.setdefault(manifest.node, manifest)
            self.last[manifest.node] = manifest

    def records(self, columns: tuple[str, ...], since: str, until: str) -> Iterator[dict[str, Any]]:
        """The records whose `call_time`, one of the columns, lies in a period as `utc_period` gives it; StoreError."""
        time_at = columns.index("call_time")
        for manifest in self._manifests:
            if manifest.last_call_time < since or manifest.first_call_time >= until:
                continue
            fault = fault_of_file(self._folder, manifest)
            if fault is not None:
                raise StoreError(f"{self._folder}: {fault}")
            for row in read_rows(self._folder / manifest.file, columns):
                if since <= row[time_at] < until:  # type: ignore[operator]
                    yield dict(zip(columns, row, strict=True))

    def check_seam(self, connection: sqlite3.Connection) -> None:
        """StoreError when the table does not continue what is here; sqlite3.Error as it comes."""
        for node, last in self.last.items():
            (first_left,) = connection.execute(_FIRST, (node,)).fetchone()
            if first_left is None:
                first_left = purged_up_to(connection, node) + 1
            elif first_left < (first_here := self.first[node].first_seq):
                raise StoreError(f"{self._folder}: {node}: begins at seq {first_here}, the table at {first_left}")
            if first_left > last.last_seq + 1:
                missing = f"seq {last.last_seq + 1} to {first_left - 1}"
                raise StoreError(f"{self._folder}: {node}: {missing} are neither here nor in the table")
            if not _continues(connection, last):
                raise StoreError(f"{self._folder}: {node}: is of another chain than the table")


def gone_up_to(connection: sqlite3.Connection, archive: Archive | None) -> str:
    """The last day (UTC, of writing) from which records are neither in the table nor in the archive; "" for none."""
    days = [""]
    for (node,) in connection.execute(_NODES).fetchall():
        if archive is not None and node in archive.first:
            first = archive.first[node].first_seq
        else:
            (first,) = connection.execute(_FIRST, (node,)).fetchone()
            first = max(first or 0, purged_up_to(connection, node) + 1)  # what is being purged counts as gone
        if first > 1:
            days.append(connection.execute(_DAY_OF, (node, first - 1)).fetchone()[0] or "")
    return max(days)


def _continues(connection: sqlite3.Connection, last: Manifest) -> bool:
    """Are the last record of the archive and the one behind it, where they are in the table, of its chain?"""
    held = connection.execute(_HASHES, (last.node, last.last_seq)).fetchone()
    behind = connection.execute(_HASHES, (last.node, last.last_seq + 1)).fetchone()
    return (held is None or held[1] == last.last_hash) and (behind is None or behind[0] == last.last_hash)
