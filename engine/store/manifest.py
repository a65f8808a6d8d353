"""What an archive folder holds: for each node and chain day a Parquet file of records, and a manifest beside it.

A day is in the archive when its manifest is: it is written last. A file without one was left by an archive that was
cut short, and is made again. A day without records has neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, final

from engine.store.anchors import Anchor
from engine.store.days import ChainDay
from engine.store.errors import StoreError

FORMAT: Final = "veil700 cdr archive 1"


@final
@dataclass(frozen=True, slots=True)
class Manifest:
    """One day of one node; the same names as keys of its JSON file, beside `format`."""

    node: str
    day: str  # UTC day of writing: 2026-11-24
    file: str  # beside the manifest
    octets: int  # of the file
    sha256: str  # of the file
    records: int
    first_seq: int
    last_seq: int
    prev_hash: str  # `hash` of the record before the first one
    last_hash: str  # `hash` of the last record up to and with this day
    first_call_time: str  # least and greatest `call_time`
    last_call_time: str
    anchor_previous: str  # of the anchor of that day: what it signs beside day, last_seq, last_hash and records
    anchor_key_id: str
    anchor_signature: str  # hex

    @property
    def anchor(self) -> Anchor:
        """The anchor as the table had it."""
        return Anchor(
            self.node, self.day, self.last_seq, self.last_hash, self.records, self.anchor_previous,
            self.anchor_key_id, bytes.fromhex(self.anchor_signature),
        )  # fmt: skip

    @property
    def text(self) -> str:
        """The JSON file."""
        return json.dumps({"format": FORMAT} | asdict(self), ensure_ascii=False, indent=2) + "\n"


_MOST: Final = 2**63 - 1  # what SQLite and Parquet hold
_TYPES: Final = {field.name: int if field.type == "int" else str for field in fields(Manifest)}


def parquet_path(folder: Path, node: str, day: str) -> Path:
    """Where the records of a day are."""
    return folder / f"cdr-{node}-{day}.parquet"


def manifest_path(folder: Path, node: str, day: str) -> Path:
    """Where the manifest of a day is."""
    return folder / f"cdr-{node}-{day}.json"


def read_manifest(path: Path) -> Manifest:
    """StoreError when the file cannot be read, or is no manifest."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise StoreError(f"{path}: damaged: not JSON") from None
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise StoreError(f"{path}: not a manifest of this program ({FORMAT!r})")
    if not _is_whole(found):
        raise StoreError(f"{path}: damaged: a key is missing, unknown or of another type")
    manifest = Manifest(**found)
    if path.name != manifest_path(path.parent, manifest.node, manifest.day).name:
        raise StoreError(f"{path}: says that it is of {manifest.node}, {manifest.day}")
    return manifest


def read_manifests(folder: Path) -> list[Manifest]:
    """All days of an archive by day and node; StoreError when one cannot be read, or there is no such folder."""
    if not folder.is_dir():
        raise StoreError(f"{folder}: no such folder")
    found = [read_manifest(path) for path in folder.glob("cdr-*.json")]
    return sorted(found, key=lambda manifest: (manifest.day, manifest.node))


def fault_of_file(folder: Path, manifest: Manifest) -> str | None:
    """What is wrong with the file of records; None when it is byte for byte what the manifest says."""
    path = folder / manifest.file
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            octets = file.tell()
    except OSError as error:
        return f"{manifest.file}: {error.strerror or error}"
    if octets != manifest.octets:
        return f"{manifest.file}: {octets} octets, the manifest says {manifest.octets}"
    if digest != manifest.sha256:
        return f"{manifest.file}: changed: its SHA-256 is not that of the manifest"
    return None


def is_archived(folder: Path, day: ChainDay) -> bool:
    """True when the archive holds that day whole and undamaged (all of its file is read), or it has no records."""
    if not day.records:
        return True
    path = manifest_path(folder, day.node, day.day)
    if not path.is_file():
        return False
    manifest = read_manifest(path)
    same = (manifest.first_seq, manifest.last_seq, manifest.last_hash) == (day.first_seq, day.last_seq, day.last_hash)
    return same and manifest.records == day.records and fault_of_file(folder, manifest) is None


def gaps(manifests: list[Manifest]) -> Iterator[str]:
    """Where the days of a node do not follow each other: one line for each place."""
    last: dict[str, Manifest] = {}
    for manifest in manifests:
        before = last.get(manifest.node)
        if before is not None and manifest.first_seq != before.last_seq + 1:
            missing = f"seq {before.last_seq + 1} to {manifest.first_seq - 1}"
            yield f"{manifest.node}: between {before.day} and {manifest.day} {missing} are missing in the archive"
        elif before is not None and manifest.prev_hash != before.last_hash:
            yield f"{manifest.node}: {manifest.day} does not continue the chain of {before.day}"
        last[manifest.node] = manifest


def _is_whole(found: dict[str, Any]) -> bool:
    if found.keys() != _TYPES.keys() or any(type(found[name]) is not kind for name, kind in _TYPES.items()):
        return False
    try:
        bytes.fromhex(found["anchor_signature"])
        json.dumps(found, ensure_ascii=False).encode()  # no half of a surrogate pair, which can be nothing's text
    except ValueError:
        return False
    if any(not 0 <= value <= _MOST for value in found.values() if type(value) is int):
        return False
    return bool(found["file"] == parquet_path(Path(), found["node"], found["day"]).name)
