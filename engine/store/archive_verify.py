"""`cdr verify --archive`: is every archived record there and unchanged, and does the table continue the archive?

Needs no key but the public one of the anchors, and of the data folder only records.db.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from engine.core.records import FIELDS, chain_hash
from engine.store.archive_reader import Archive, gone_up_to
from engine.store.database import open_read_only, store_errors
from engine.store.errors import StoreError
from engine.store.manifest import Manifest, fault_of_file, read_manifest
from engine.store.parquet import need_parquet, read_rows
from engine.store.signing import PublicKeys, is_signed

Progress = Callable[[int, int], None]  # records read so far, of how many

_SEQ: Final = FIELDS.index("seq")
_PREV_HASH: Final = FIELDS.index("prev_hash")
_HASH: Final = FIELDS.index("hash")


@final
@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What was found in a folder."""

    days: int
    records: int
    faults: tuple[str, ...]  # one line each; empty: all is well

    @property
    def is_clean(self) -> bool:
        return not self.faults


def verify_archive(
    folder: Path, path: Path, keys: PublicKeys, progress: Progress | None = None
) -> ArchiveReport:  # fmt: skip
    """Read every file of `folder`, hold it against manifest, chain and signed anchor, and the whole against records.db.

    StoreError when the folder or records.db cannot be read.
    """
    need_parquet()
    manifests, faults = _manifests(folder)
    total = sum(manifest.records for manifest in manifests)
    done = 0
    for manifest in manifests:
        found = next(_faults_of_day(folder, manifest, keys), None)  # behind the first one all may be shifted
        if found is not None:
            faults.append(f"{manifest.node}: {manifest.day}: {found}")
        done += manifest.records
        if progress is not None:
            progress(done, total)
    return ArchiveReport(len(manifests), total, tuple(faults or _faults_of_seam(folder, path)))


def _manifests(folder: Path) -> tuple[list[Manifest], list[str]]:
    if not folder.is_dir():
        raise StoreError(f"{folder}: no such folder")
    manifests, faults = [], []
    for path in sorted(folder.glob("cdr-*.json")):
        try:
            manifests.append(read_manifest(path))
        except StoreError as error:
            faults.append(str(error))
    return manifests, faults


def _faults_of_day(folder: Path, manifest: Manifest, keys: PublicKeys) -> Iterator[str]:
    anchor = manifest.anchor
    if not is_signed(keys, anchor.key_id, anchor.text, anchor.signature):
        yield "the anchor in the manifest is not signed with a known key"
    fault = fault_of_file(folder, manifest)
    if fault is not None:
        yield fault
        return
    last_seq, last_hash = manifest.first_seq - 1, manifest.prev_hash
    try:
        for row in read_rows(folder / manifest.file, FIELDS):
            if row[_SEQ] != last_seq + 1:
                yield f"seq {last_seq + 1}: missing"
            if row[_PREV_HASH] != last_hash or row[_HASH] != chain_hash(last_hash, row[:_PREV_HASH]):
                yield f"seq {last_seq + 1}: changed"
            last_seq, last_hash = last_seq + 1, str(row[_HASH])
    except StoreError as error:
        yield str(error)
    if (last_seq, last_hash) != (manifest.last_seq, manifest.last_hash):
        yield f"ends at seq {last_seq}, the anchor says {manifest.last_seq}, or with another hash"


def _faults_of_seam(folder: Path, path: Path) -> Iterator[str]:
    """Do the days follow each other, and the table them? Is anything in neither?"""
    connection = open_read_only(path, None)
    try:
        with store_errors(path):
            archive = Archive(folder)
            archive.check_seam(connection)
            gone = gone_up_to(connection, archive)
            if gone:
                yield f"{folder}: records up to {gone} are neither here nor in the table"
    except StoreError as error:
        yield str(error)
    finally:
        connection.close()
