"""`cdr verify --archive`: what was changed, cut out or taken away is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from engine.core.records import FIELDS, CallRecord
from engine.store.archive_verify import ArchiveReport, verify_archive
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.signing import Signer, read_public_keys
from tests.store.shelf import NODE, Shelf

ONE, TWO, THREE = (f"cdr-{NODE}-2026-11-2{day}" for day in (4, 5, 6))


@pytest.fixture
def shelf(records_db: Path, cipher: NumberCipher, make_record: Callable[..., CallRecord]) -> Iterator[Shelf]:
    """Three records, two, one, all archived; the fourth day has begun with one more."""
    shelf = Shelf(records_db, cipher, make_record)
    for records in (3, 2, 1, 1):
        shelf.day(records)
    shelf.archive()
    yield shelf
    shelf.close()


def report(shelf: Shelf) -> ArchiveReport:
    return verify_archive(shelf.folder, shelf.path, read_public_keys(shelf.path.with_name("signing_key.pub")))


def edit(shelf: Shelf, name: str, **changes: Any) -> None:
    path = shelf.folder / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite(shelf: Shelf, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Another file of records, and a manifest that fits its bytes: what somebody with time can do."""
    path = shelf.folder / f"{name}.parquet"
    table = pyarrow.parquet.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), path)
    octets = path.read_bytes()
    edit(shelf, name, octets=len(octets), sha256=hashlib.sha256(octets).hexdigest())


def purge(shelf: Shelf) -> None:
    shelf.spoil(
        f"INSERT INTO purge SELECT '{NODE}', 1, last_seq, last_hash, '2026-11-24', day, '', 'ops', 5 FROM anchor"
        " WHERE day = '2026-11-25'",
        "DELETE FROM cdr WHERE seq <= 5",
    )


def test_what_is_whole_is_clean_before_the_purge_and_after_it(shelf: Shelf) -> None:
    assert report(shelf) == ArchiveReport(3, 6, ())
    purge(shelf)
    assert report(shelf) == ArchiveReport(3, 6, ())


@pytest.mark.parametrize("name", FIELDS)
def test_a_changed_field_is_named(shelf: Shelf, name: str) -> None:
    """Though file and manifest fit each other."""

    def change(rows: list[dict[str, Any]]) -> None:
        value = rows[1][name]
        rows[1][name] = value + 1 if isinstance(value, int) else b"x" if isinstance(value, bytes) else "x"
        if name == "group_member":
            rows[1][name] = b"x"

    rewrite(shelf, ONE, change)
    found = report(shelf)
    assert found.faults == (f"{NODE}: 2026-11-24: seq 2: {'missing' if name == 'seq' else 'changed'}",)


@pytest.mark.parametrize(
    ("name", "at", "told"),
    [(ONE, 0, "seq 1: missing"), (ONE, 1, "seq 2: missing"), (TWO, 1, "ends at seq 4, the anchor says 5")],
)
def test_a_record_that_was_cut_out_is_named(shelf: Shelf, name: str, at: int, told: str) -> None:
    rewrite(shelf, name, lambda rows: rows.pop(at))
    (fault,) = report(shelf).faults
    assert told in fault


def test_a_flipped_bit_is_named(shelf: Shelf) -> None:
    path = shelf.folder / f"{TWO}.parquet"
    octets = bytearray(path.read_bytes())
    octets[50] ^= 1
    path.write_bytes(octets)
    assert report(shelf).faults == (
        f"{NODE}: 2026-11-25: {TWO}.parquet: changed: its SHA-256 is not that of the manifest",
    )


def test_a_manifest_that_tells_another_end_is_not_signed(shelf: Shelf) -> None:
    edit(shelf, TWO, last_seq=4, records=1)
    assert report(shelf).faults == (f"{NODE}: 2026-11-25: the anchor in the manifest is not signed with a known key",)


def test_the_key_of_somebody_else_is_not_known(shelf: Shelf) -> None:
    stranger = shelf.path.with_name("other.pub")
    stranger.write_text(Signer(b"s" * 32).public_pem)
    assert len(verify_archive(shelf.folder, shelf.path, read_public_keys(stranger)).faults) == 3


def test_each_fault_has_its_line(shelf: Shelf) -> None:
    (shelf.folder / f"{ONE}.json").write_text("{")
    (shelf.folder / f"{TWO}.parquet").unlink()
    faults = report(shelf).faults
    assert len(faults) == 2
    assert f"{ONE}.json: damaged: not JSON" in faults[0]
    assert faults[1] == f"{NODE}: 2026-11-25: {TWO}.parquet: No such file or directory"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([ONE], "records up to 2026-11-24 are neither here nor in the table"),
        ([TWO], "between 2026-11-24 and 2026-11-26 seq 4 to 5 are missing in the archive"),
        ([TWO, THREE], "seq 4 to 5 are neither here nor in the table"),
        ([ONE, TWO, THREE], "records up to 2026-11-25 are neither here nor in the table"),
    ],
)
def test_a_day_that_was_taken_away_is_named(shelf: Shelf, names: list[str], told: str) -> None:
    purge(shelf)
    for name in names:
        (shelf.folder / f"{name}.json").unlink()
        (shelf.folder / f"{name}.parquet").unlink()
    (fault,) = report(shelf).faults
    assert told in fault


def test_a_table_of_another_chain_is_named(shelf: Shelf) -> None:
    shelf.spoil("UPDATE cdr SET hash = 'x' WHERE seq = 6")
    (fault,) = report(shelf).faults
    assert fault.endswith("veil-1: is of another chain than the table")


def test_progress_counts_records(shelf: Shelf) -> None:
    told: list[tuple[int, int]] = []
    keys = read_public_keys(shelf.path.with_name("signing_key.pub"))
    verify_archive(shelf.folder, shelf.path, keys, lambda done, total: told.append((done, total)))
    assert told == [(3, 6), (5, 6), (6, 6)]


def test_no_folder(shelf: Shelf) -> None:
    with pytest.raises(StoreError, match="none: no such folder"):
        verify_archive(shelf.folder / "none", shelf.path, {})
