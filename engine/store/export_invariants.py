"""`inventory verify --exports`: what `bindings export` and `cdr export` have written, held against the invariants.

Needs neither store nor key: whoever gets the files can repeat it. What was seen before is kept on disk, so that memory
does not grow with the files.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, final

from engine.core.binding import TRANSIT
from engine.core.numbers import is_privacy_number
from engine.core.records import FIELDS
from engine.domain.gates import BLOCK_DIGITS
from engine.domain.spells import Finding
from engine.store.binding_import import COLUMNS
from engine.store.errors import StoreError

Line = Mapping[str, str]
PROGRESS_LINES: Final = 10_000

_SUFFIXES: Final = (".csv", ".jsonl")
_MASK: Final = "*"
_CACHE_KIB: Final = 65_536
_SEEN: Final = "INSERT OR IGNORE INTO seen VALUES (?)"


@final
class ExportInvariants:
    """One look over the files of a folder."""

    def __init__(self, folder: Path, serves_700: Mapping[str, tuple[str, ...]]) -> None:
        """StoreError when there is no such folder, or no export in it."""
        if not folder.is_dir():
            raise StoreError(f"{folder}: no such folder")
        self._files = [path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES]
        if not self._files:
            raise StoreError(f"{folder}: no export in it: *.csv and *.jsonl are read")
        self._serves_700 = serves_700
        self._users: dict[str, str] = {}  # block -> business user
        self._last_seq: dict[str, int] = {}
        self.bindings = 0
        self.records = 0
        self.masked = 0  # bindings whose parties cannot be told apart

    def findings(self) -> Iterator[Finding]:
        """What does not hold, each with file and line. StoreError for a file that is no export."""
        seen = sqlite3.connect("", isolation_level=None)  # on disk, gone when it is closed
        try:
            seen.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            seen.execute("PRAGMA synchronous = OFF")
            seen.execute("PRAGMA journal_mode = OFF")
            seen.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
            for path in self._files:
                for number, line in _lines(path):
                    found = self._of_record(seen, line) if "record_id" in line else self._of_binding(seen, line)
                    for finding in found:
                        yield Finding(finding.invariant, f"{path.name}:{number}: {finding.detail}")
        finally:
            seen.close()

    def _of_binding(self, seen: sqlite3.Connection, line: Line) -> Iterator[Finding]:
        """I1, I2 and I3 of a binding in force; I1 only where numbers are shown in clear."""
        self.bindings += 1
        x, y, user = line["tel_x"], line["tel_y"], line["business_user"]
        if y and y == x:
            yield Finding("I2", f"{x} is X and Y")
        for number in filter(None, (x, y)):
            if not is_privacy_number(number):
                yield Finding("I3", "has a number that is not one of 700")
            elif (other := self._users.setdefault(number[:BLOCK_DIGITS], user)) != user:
                yield Finding("I3", f"block {number[:BLOCK_DIGITS]} has bindings of {other} and of {user}")
        ways = [(y or x, line["tel_a"]), (x, line["tel_b"])]
        if any(_MASK in caller for _, caller in ways):
            self.masked += 1
            return
        for number, caller in ways:
            if caller and not _is_new(seen, f"{number} {caller}"):
                yield Finding("I1", f"{number} has two targets for one caller")

    def _of_record(self, seen: sqlite3.Connection, line: Line) -> Iterator[Finding]:
        """I7, I8 and I15 of an attempt."""
        self.records += 1
        record_id, node, seq = line["record_id"], line["node"], int(line["seq"])
        if not _is_new(seen, f"record {record_id}"):
            yield Finding("I8", f"record {record_id} stands twice")
        if seq <= self._last_seq.get(node, 0):
            yield Finding("I8", f"record {record_id} of node {node} has seq {seq} behind {self._last_seq[node]}")
        self._last_seq[node] = seq
        if not line["call_out_time"] or line["mode"] == TRANSIT:
            return
        if line["presented_number"] not in (line["tel_x"], line["tel_y"]) or not line["presented_number"]:
            yield Finding("I7", f"call {record_id} showed a number that is neither X nor Y of its binding")
        caller, peer = line["caller"], line["ingress_peer"]
        if is_privacy_number(caller) and caller[:BLOCK_DIGITS] not in self._serves_700.get(peer, ()):
            yield Finding("I15", f"call {record_id} of {caller} came from peer {peer}, which does not serve its block")


def _is_new(seen: sqlite3.Connection, key: str) -> bool:
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return seen.execute(_SEEN, (digest,)).rowcount == 1


def _lines(path: Path) -> Iterator[tuple[int, Line]]:
    """The lines of an export, numbers from 1 on, header counted; StoreError for a file that is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                yield from _csv_lines(path, csv.DictReader(file))
                return
            for number, text in enumerate(file, 1):
                line = json.loads(text)
                known = isinstance(line, dict) and (set(FIELDS) <= set(line) or set(COLUMNS) <= set(line))
                if not known:
                    raise StoreError(f"{path}:{number}: not a line of an export")
                yield number, {name: "" if value is None else str(value) for name, value in line.items()}
    except (ValueError, csv.Error) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise StoreError(f"{path}: no export: {error}") from None


def _csv_lines(path: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, Line]]:
    names = set(reader.fieldnames or ())
    if not (set(COLUMNS) <= names or set(FIELDS) <= names):
        raise StoreError(f"{path}:1: neither the header of `bindings export` nor that of `cdr export`")
    for row in reader:
        if None in row or None in row.values():
            raise StoreError(f"{path}:{reader.line_num}: has not as many values as the header")
        yield reader.line_num, row
