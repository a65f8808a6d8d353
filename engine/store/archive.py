"""`cdr archive`: each day of the chain that is over becomes a Parquet file with a manifest, in a folder of its own.

Numbers stay encrypted as they are stored, so that the hashes can be made again, and whoever has the folder alone reads
none of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, final

from engine.core.records import FIELDS, GENESIS_HASH, chain_hash
from engine.store.anchors import Anchor, read_anchors
from engine.store.crypto import sync_folder
from engine.store.database import open_read_only, store_errors
from engine.store.days import ChainDay, chain_days, chain_nodes, purged_up_to
from engine.store.errors import StoreError
from engine.store.manifest import Manifest, manifest_path, parquet_path, read_manifest
from engine.store.parquet import BATCH_ROWS, COLUMNS, RecordFile, need_parquet
from engine.store.rows import Row

Progress = Callable[[int, int], None]  # records written so far, of how many

_PAGE: Final = f"SELECT {', '.join(COLUMNS)} FROM cdr WHERE node = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9._-]+-[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SEQ: Final = FIELDS.index("seq")
_PREV_HASH: Final = FIELDS.index("prev_hash")
_HASH: Final = FIELDS.index("hash")
_CALL_TIME: Final = FIELDS.index("call_time")


@final
@dataclass(frozen=True, slots=True)
class _Due:
    """A day that is to be archived."""

    day: ChainDay
    prev_hash: str
    anchor: Anchor


def archive(path: Path, folder: Path, until: str, progress: Progress | None = None) -> list[Manifest]:
    """Write every day before `until` (2026-11-24) that is over and not in `folder` yet; what was written.

    The node may go on running. A day is there whole or not at all; what an archive that was killed has left is
    removed. StoreError when the folder is not there, holds a day of another chain, or a record of a day is not as it
    was written: then that day and those behind it are left alone.
    """
    need_parquet()
    with _locked(folder):
        connection = open_read_only(path, None)
        try:
            for left in folder.glob("cdr-*.new"):
                left.unlink()
            with store_errors(path):
                due = [one for node in chain_nodes(connection) for one in _due(connection, folder, node, until)]
                due.sort(key=lambda one: (one.day.day, one.day.node))
                return list(_written(connection, folder, due, progress))
        except OSError as error:
            raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from None
        finally:
            connection.close()


def _due(connection: sqlite3.Connection, folder: Path, node: str, until: str) -> Iterator[_Due]:
    purged = purged_up_to(connection, node)
    prev_hash = GENESIS_HASH
    for day, anchor in zip(chain_days(connection, node), read_anchors(connection, node), strict=False):
        if day.day >= until:
            return
        if _SAFE_NAME.fullmatch(f"{node}-{day.day}") is None:  # somebody has written into the table
            raise StoreError(f"{node!r}, {day.day!r}: cannot be archived: no name of a node and a day; see cdr verify")
        path = manifest_path(folder, node, day.day)
        if path.exists():
            if (known := read_manifest(path)).last_hash != day.last_hash or known.last_seq != day.last_seq:
                raise StoreError(f"{path}: is of another chain than the records of {node}")
        elif day.records and day.last_seq > purged:
            yield _Due(day, prev_hash, anchor)
        prev_hash = day.last_hash


def _written(
    connection: sqlite3.Connection, folder: Path, due: list[_Due], progress: Progress | None
) -> Iterator[Manifest]:
    done, total = 0, sum(one.day.records for one in due)
    for one in due:
        day = one.day
        writer = _Day(connection, one)

        def tell(records: int, before: int = done) -> None:
            if progress is not None:
                progress(before + records, total)

        path = parquet_path(folder, day.node, day.day)
        with _draft(path) as file:
            writer.write(file, tell)
        manifest = writer.manifest(path)
        with _draft(manifest_path(folder, day.node, day.day)) as file:
            file.write(manifest.text.encode())
        done += day.records
        yield manifest


@final
class _Day:
    """One day on its way into its file; each record is checked against the chain."""

    def __init__(self, connection: sqlite3.Connection, due: _Due) -> None:
        self._connection = connection
        self._due = due
        self._seq = due.day.first_seq - 1
        self._hash = due.prev_hash
        self._least, self._greatest = "", ""

    def write(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        """No read transaction stays open from one page to the next: the log of a running node must not grow."""
        day = self._due.day
        with RecordFile(file, {"node": day.node, "day": day.day}) as records:
            while self._seq < day.last_seq:
                rows = self._connection.execute(_PAGE, (day.node, self._seq, day.last_seq, BATCH_ROWS)).fetchall()
                if not rows:
                    raise self._fault(self._seq + 1, "missing")
                for row in rows:
                    self._check(row)
                try:
                    records.write(rows)
                except TypeError as error:
                    raise self._fault(self._seq, f"or one before it: {error}") from None
                tell(self._seq - day.first_seq + 1)
        if self._hash != day.last_hash:
            raise self._fault(self._seq, "its hash is not that of the anchor")

    def manifest(self, path: Path) -> Manifest:
        """What stands beside the file that was written."""
        day, anchor = self._due.day, self._due.anchor
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            octets = file.tell()
        return Manifest(
            node=day.node, day=day.day, file=path.name, octets=octets, sha256=digest, records=day.records,
            first_seq=day.first_seq, last_seq=day.last_seq, prev_hash=self._due.prev_hash, last_hash=day.last_hash,
            first_call_time=self._least, last_call_time=self._greatest, anchor_previous=anchor.previous,
            anchor_key_id=anchor.key_id, anchor_signature=anchor.signature.hex(),
        )  # fmt: skip

    def _check(self, row: Row) -> None:
        seq = self._seq + 1
        if row[_SEQ] != seq:
            raise self._fault(seq, "missing")
        if row[_PREV_HASH] != self._hash or row[_HASH] != _made_again(self._hash, row):
            raise self._fault(seq, "changed")
        self._seq, self._hash = seq, str(row[_HASH])
        call_time = str(row[_CALL_TIME])
        self._least = min(self._least or call_time, call_time)
        self._greatest = max(self._greatest, call_time)

    def _fault(self, seq: int, what: str) -> StoreError:
        day = self._due.day
        return StoreError(f"{day.node}: {day.day} cannot be archived: seq {seq}: {what}; see cdr verify")


def _made_again(prev_hash: str, row: Row) -> str | None:
    try:
        return chain_hash(prev_hash, row[:_PREV_HASH])
    except TypeError:  # a type that no record has
        return None


@contextmanager
def _draft(path: Path) -> Iterator[BinaryIO]:
    """A file under another name, which becomes `path` when all of it is on disk."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)
    sync_folder(path.parent)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One archive at a time in a folder. It is not made here: a disk that is not mounted must not look like one."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}: make the folder first") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(f"{folder}: another archive is being written there") from None
        yield
    finally:
        os.close(descriptor)
