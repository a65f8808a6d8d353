"""Files of records that somebody has made, with manifests that fit: one line says what is wrong with them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from engine.core.records import CallRecord
from engine.store.archive_verify import verify_archive
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.record_forms import ExportFormat
from tests.store.shelf import NODE, Shelf

DAY = f"cdr-{NODE}-2026-11-24"
TYPES = {"seq": pyarrow.string(), "caller": pyarrow.string(), "call_time": pyarrow.int64(), "node": pyarrow.binary()}


@pytest.fixture
def shelf(records_db: Path, cipher: NumberCipher, make_record: Callable[..., CallRecord]) -> Iterator[Shelf]:
    shelf = Shelf(records_db, cipher, make_record)
    shelf.day(2)
    shelf.anchor()
    shelf.archive()
    yield shelf
    shelf.close()


def put(shelf: Shelf, name: str, value: object, kind: pyarrow.DataType) -> None:
    """Another value in a column of all records."""
    path, manifest = shelf.folder / f"{DAY}.parquet", shelf.folder / f"{DAY}.json"
    table = pyarrow.parquet.read_table(path)
    column = pyarrow.array([value] * table.num_rows, kind)
    place = table.schema.get_field_index(name)
    table = table.set_column(place, pyarrow.field(name, kind), column)
    pyarrow.parquet.write_table(table.replace_schema_metadata({"veil700.schema": "1"}), path)
    octets = path.read_bytes()
    facts = {"octets": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | facts))


@pytest.mark.parametrize("name", TYPES)
async def test_a_column_of_another_type(shelf: Shelf, name: str) -> None:
    kind = TYPES[name]
    put(shelf, name, b"x" if kind == pyarrow.binary() else 7 if kind == pyarrow.int64() else "x", kind)
    for form in (ExportFormat.JSONL, ExportFormat.ASTERISK_CSV):
        with pytest.raises(StoreError, match="its columns are not those of schema version 1"):
            await shelf.lines(archived=True, form=form)
    assert not verify_archive(shelf.folder, shelf.path, {}).is_clean


@pytest.mark.parametrize("name", ["seq", "node", "attempts", "caller_call_id", "call_time"])
async def test_a_value_that_is_not_there(shelf: Shelf, name: str) -> None:
    put(shelf, name, None, pyarrow.int64() if name == "seq" else pyarrow.string())
    with pytest.raises(StoreError, match=f"a record without {name}"):
        await shelf.lines(archived=True)


@pytest.mark.parametrize(
    ("name", "form"), [("attempts", ExportFormat.JSONL), ("release_time", ExportFormat.ASTERISK_CSV)]
)
async def test_a_text_that_nobody_reads(shelf: Shelf, name: str, form: ExportFormat) -> None:
    put(shelf, name, "=cmd|\x1b[31m", pyarrow.string())
    with pytest.raises(StoreError, match="r1: damaged: see cdr verify"):
        await shelf.lines(archived=True, form=form)


def test_what_looks_like_a_draft_and_is_a_folder(shelf: Shelf) -> None:
    (shelf.folder / "cdr-x.new").mkdir()
    with pytest.raises(StoreError, match=r"cdr-x\.new: Is a directory"):
        shelf.archive()


def test_a_draft_is_never_written_through_a_link(shelf: Shelf, tmp_path: Path) -> None:
    """Nor is a file that has taken the place of one: whatever the links point to stays as it is."""
    other = tmp_path / "other"
    other.write_text("kept")
    for name in (f"{DAY}.parquet", f"{DAY}.json"):
        (shelf.folder / name).unlink()
    (shelf.folder / f"{DAY}.parquet").symlink_to(other)
    (shelf.folder / f"{DAY}.json.{os.getpid()}.new").symlink_to(other)
    assert len(shelf.archive()) == 1
    assert other.read_text() == "kept"
    assert not any(path.is_symlink() for path in shelf.folder.iterdir())
