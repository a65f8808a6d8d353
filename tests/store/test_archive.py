"""`cdr archive`: which days, what is in the files, and that nothing half-written counts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest

from engine.core.records import FIELDS, CallRecord, chain_hash
from engine.store import archive as archive_module
from engine.store import parquet
from engine.store.archive import archive
from engine.store.crypto import NumberCipher
from engine.store.database import open_read_only
from engine.store.days import chain_days
from engine.store.errors import StoreError
from engine.store.manifest import is_archived, manifest_path, read_manifest
from engine.store.signing import is_signed, read_public_keys
from tests.store.shelf import FIRST_NOON_S, FOR_EVER, NODE, Shelf

DAY_1, DAY_2, DAY_4 = "2026-11-24", "2026-11-25", "2026-11-27"
ONE, TWO, FOUR = (f"cdr-{NODE}-{day}" for day in (DAY_1, DAY_2, DAY_4))


@pytest.fixture
def shelf(records_db: Path, cipher: NumberCipher, make_record: Callable[..., CallRecord]) -> Iterator[Shelf]:
    """Three records, two, none, one; the fifth day has begun with one more."""
    shelf = Shelf(records_db, cipher, make_record)
    for records in (3, 2, 0, 1, 1):
        shelf.day(records)
    yield shelf
    shelf.close()


def stored(shelf: Shelf) -> list[tuple[Any, ...]]:
    connection = open_read_only(shelf.path, None)
    try:
        return connection.execute(f"SELECT {', '.join(parquet.COLUMNS)} FROM cdr ORDER BY seq").fetchall()
    finally:
        connection.close()


def test_each_day_that_is_over_and_has_records_is_a_file(shelf: Shelf) -> None:
    written = shelf.archive()
    assert shelf.files() == sorted(f"{name}.{end}" for name in (ONE, TWO, FOUR) for end in ("json", "parquet"))
    assert [(one.day, one.records, one.first_seq, one.last_seq) for one in written] == [
        (DAY_1, 3, 1, 3), (DAY_2, 2, 4, 5), (DAY_4, 1, 6, 6),
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in shelf.folder.iterdir()} == {0o600}


def test_until_is_the_day_behind_the_last(shelf: Shelf) -> None:
    assert [one.day for one in shelf.archive(until=DAY_2)] == [DAY_1]
    assert [one.day for one in shelf.archive(until=DAY_4)] == [DAY_2]


def test_a_second_time_nothing_is_to_be_done(shelf: Shelf) -> None:
    def written() -> dict[str, tuple[int, int]]:
        found = {path.name: path.stat() for path in shelf.folder.iterdir()}
        return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}

    shelf.archive()
    before = written()
    assert shelf.archive() == []
    assert written() == before


def test_a_file_holds_what_was_stored_and_hashed(shelf: Shelf) -> None:
    shelf.archive()
    table = pyarrow.parquet.read_table(shelf.folder / f"{ONE}.parquet")
    assert tuple(table.column_names) == (*FIELDS, "key_id")
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert rows == stored(shelf)[:3]
    prev_hash = "0" * 64
    for row in rows:
        prev_hash = chain_hash(prev_hash, row[: FIELDS.index("prev_hash")])
        assert row[FIELDS.index("hash")] == prev_hash
    assert table.schema.metadata == {
        b"veil700.schema": b"1",
        b"veil700.node": b"veil-1",
        b"veil700.day": DAY_1.encode(),
    }


def test_no_number_is_in_clear(shelf: Shelf) -> None:
    shelf.archive()
    octets = b"".join(path.read_bytes() for path in shelf.folder.iterdir())
    assert b"13800138000" not in octets
    rows = duckdb.sql(f"SELECT caller FROM '{shelf.folder}/*.parquet'").fetchall()
    assert len(rows) == 6
    assert all(isinstance(caller, bytes) and b"13800138" not in caller for (caller,) in rows)


def test_types_are_those_of_the_table(shelf: Shelf) -> None:
    connection = open_read_only(shelf.path, None)
    kinds = {name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_info(cdr)")}
    connection.close()
    shelf.archive()
    schema = pyarrow.parquet.read_schema(shelf.folder / f"{ONE}.parquet")
    words = {"int64": "INTEGER", "binary": "BLOB", "string": "TEXT"}
    assert {field.name: words[str(field.type)] for field in schema} == {name: kinds[name] for name in schema.names}


def test_duckdb_reads_the_files_as_they_are(shelf: Shelf) -> None:
    shelf.archive()
    found = duckdb.sql(
        f"SELECT count(*), sum(duration_ms), min(seq), max(call_time::TIMESTAMP) FROM '{shelf.folder}/*.parquet'"
        f" WHERE call_time >= '{DAY_2}' AND release_cause = 'NORMAL'"
    ).fetchall()
    assert found == [(3, 15_000, 4, datetime(2026, 11, 27, 12, 0, 6))]  # noqa: DTZ001


def test_a_manifest_tells_the_file_and_the_anchor(shelf: Shelf) -> None:
    shelf.archive()
    manifest = read_manifest(manifest_path(shelf.folder, NODE, DAY_2))
    octets = (shelf.folder / manifest.file).read_bytes()
    assert (manifest.octets, manifest.sha256) == (len(octets), hashlib.sha256(octets).hexdigest())
    rows = stored(shelf)
    at = FIELDS.index("hash")
    assert (manifest.prev_hash, manifest.last_hash) == (rows[2][at], rows[4][at])
    assert (manifest.first_call_time, manifest.last_call_time) == (
        "2026-11-25T12:00:04.000Z", "2026-11-25T12:00:05.000Z",
    )  # fmt: skip
    anchor = manifest.anchor
    keys = read_public_keys(shelf.path.parent / "signing_key.pub")
    assert is_signed(keys, anchor.key_id, anchor.text, anchor.signature)


def test_the_same_records_make_the_same_files(shelf: Shelf, tmp_path: Path) -> None:
    shelf.archive()
    other = tmp_path / "other"
    other.mkdir()
    archive(shelf.path, other, FOR_EVER)
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {
        path.name: path.read_bytes() for path in shelf.folder.iterdir()
    }


def test_row_groups_bound_what_is_in_memory(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "BATCH_ROWS", 2)
    told: list[tuple[int, int]] = []
    archive(shelf.path, shelf.folder, FOR_EVER, lambda done, total: told.append((done, total)))
    assert pyarrow.parquet.ParquetFile(shelf.folder / f"{ONE}.parquet").num_row_groups == 2
    assert told == [(2, 6), (3, 6), (5, 6), (6, 6)]


def test_a_node_writes_on_meanwhile(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is locked between two pages, and its log can be cleared: no read transaction holds it."""
    monkeypatch.setattr(archive_module, "BATCH_ROWS", 1)
    busy: list[int] = []

    def write(_done: int, _total: int) -> None:
        shelf.day(1)
        busy.append(shelf.clear_log())

    archive(shelf.path, shelf.folder, FOR_EVER, write)
    assert busy == [0] * 6


def test_a_file_is_on_disk_before_it_has_its_name(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the folder that names it after that; the manifest comes last."""
    done: list[tuple[str, int, int]] = []

    def sync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        done.append(("sync", status.st_ino, status.st_size))

    def replace(draft: Path, path: Path) -> None:
        status = draft.stat()
        done.append((path.name, status.st_ino, status.st_size))
        os.replace(draft, path)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    shelf.archive(until=DAY_2)
    assert [name for name, _, _ in done] == ["sync", f"{ONE}.parquet", "sync", "sync", f"{ONE}.json", "sync"]
    assert done[0][1:] == done[1][1:]
    assert done[3][1:] == done[4][1:]
    assert done[2][1] == done[5][1] == shelf.folder.stat().st_ino


@pytest.mark.parametrize("at", ["parquet", "json"])
def test_what_was_cut_short_is_made_again(shelf: Shelf, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before a file of the second day had its name: whatever lies there is not taken for it."""

    class Killed(BaseException):
        pass

    def replace(draft: Path, path: Path) -> None:
        if path.name == f"{TWO}.{at}":
            raise Killed
        os.replace(draft, path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        patch.setattr(Path, "unlink", lambda *_args, **_options: None)
        with pytest.raises(Killed):
            shelf.archive()
    assert f"{TWO}.json" not in shelf.files()
    assert f"{TWO}.{at}.{os.getpid()}.new" in shelf.files()
    if at == "json":
        (shelf.folder / f"{TWO}.parquet").write_bytes(b"torn")
    assert [one.day for one in shelf.archive()] == [DAY_2, DAY_4]
    assert shelf.files() == sorted(f"{name}.{end}" for name in (ONE, TWO, FOUR) for end in ("json", "parquet"))
    assert pyarrow.parquet.read_table(shelf.folder / f"{TWO}.parquet").num_rows == 2


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE cdr SET q850 = 99 WHERE seq = 5",
            f"{NODE}: {DAY_2} cannot be archived: seq 5: changed; see cdr verify",
        ),
        ("UPDATE cdr SET caller = 'x' WHERE seq = 5", "seq 5: changed"),
        ("UPDATE cdr SET parts = CAST('0' AS BLOB) WHERE seq = 5", "seq 5: or one before it: "),
        ("UPDATE cdr SET duration_ms = 5000.5 WHERE seq = 5", "seq 5: changed"),
        ("UPDATE cdr SET prev_hash = 'x' WHERE seq = 5", "seq 5: changed"),
        ("DELETE FROM cdr WHERE seq = 4", "seq 4: missing"),
        ("DELETE FROM cdr WHERE seq = 5", "seq 5: missing"),
        (f"UPDATE anchor SET last_hash = 'x' WHERE day = '{DAY_2}'", "seq 5: its hash is not that of the anchor"),
    ],
)
def test_a_broken_day_is_not_archived(shelf: Shelf, statement: str, told: str) -> None:
    shelf.spoil(statement)
    with pytest.raises(StoreError, match=told):
        shelf.archive()
    assert shelf.files() == [f"{ONE}.json", f"{ONE}.parquet"]


@pytest.mark.parametrize("column", ["node", "day"])
@pytest.mark.parametrize("name", ["'../2026'", "'2026' || char(0)"])
def test_no_name_leads_out_of_the_folder(shelf: Shelf, column: str, name: str) -> None:
    shelf.spoil(f"UPDATE anchor SET {column} = {name} WHERE day = '{DAY_1}'")
    with pytest.raises(StoreError, match="cannot be archived: no name of a node and a day"):
        shelf.archive()
    assert shelf.files() == []


def test_a_folder_of_another_chain_is_refused(shelf: Shelf) -> None:
    shelf.archive()
    path = manifest_path(shelf.folder, NODE, DAY_1)
    path.write_text(path.read_text().replace('"last_seq": 3', '"last_seq": 2'))
    with pytest.raises(StoreError, match="is of another chain than the records of veil-1"):
        shelf.archive()


def test_a_folder_that_is_not_there_is_not_made(shelf: Shelf) -> None:
    """A disk that is not mounted."""
    shelf.folder.rmdir()
    with pytest.raises(StoreError, match="shelf: No such file or directory: make the folder first"):
        shelf.archive()
    assert not shelf.folder.exists()


def test_one_archive_at_a_time(shelf: Shelf) -> None:
    descriptor = os.open(shelf.folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="another archive is being written there"):
        shelf.archive()
    os.close(descriptor)
    assert len(shelf.archive()) == 3


def test_is_archived_reads_all_of_it(shelf: Shelf) -> None:
    connection = open_read_only(shelf.path, None)
    days = {day.day: day for day in chain_days(connection, NODE)}
    connection.close()
    assert not is_archived(shelf.folder, days[DAY_1])
    shelf.archive()
    assert all(is_archived(shelf.folder, day) for day in days.values())
    file = shelf.folder / f"{ONE}.parquet"
    octets = bytearray(file.read_bytes())
    octets[len(octets) // 2] ^= 1
    file.write_bytes(octets)
    assert not is_archived(shelf.folder, days[DAY_1])
    file.unlink()
    assert not is_archived(shelf.folder, days[DAY_1])
    assert is_archived(shelf.folder, days["2026-11-26"])  # has no records


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda text: text[:-9], "damaged: not JSON"),
        (lambda text: text.replace("archive 1", "archive 2"), "not a manifest of this program"),
        (lambda text: text.replace('"records"', '"lines"'), "damaged: a key is missing, unknown or of another type"),
        (lambda text: text.replace('"octets": ', '"octets": true, "x": '), "of another type"),
        (lambda text: text.replace('"anchor_signature": "', '"anchor_signature": "x'), "of another type"),
        (lambda text: text.replace('"file": "', '"file": "../'), "of another type"),
        (lambda text: text.replace('"octets": ', '"octets": 1000000000000000000'), "of another type"),
        (lambda text: text.replace('"octets": ', '"octets": -'), "of another type"),
        (lambda text: text.replace('"prev_hash": "', '"prev_hash": "\\ud800'), "of another type"),
        (lambda text: "[" * 100_000, "damaged: not JSON"),
        (lambda text: text.replace(DAY_1, DAY_2), f"says that it is of veil-1, {DAY_2}"),
        (lambda _: json.dumps([]), "not a manifest"),
    ],
)
def test_a_manifest_that_is_none(shelf: Shelf, spoil: Callable[[str], str], told: str) -> None:
    shelf.archive()
    path = manifest_path(shelf.folder, NODE, DAY_1)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(StoreError, match=told):
        read_manifest(path)


def test_what_was_purged_before_is_not_missed(shelf: Shelf) -> None:
    """A purge that has begun: its rows may be there or not."""
    later_s = FIRST_NOON_S + 800 * 86_400
    hash_of_day_1 = stored(shelf)[2][FIELDS.index("hash")]
    shelf.spoil(
        f"INSERT INTO purge VALUES ('{NODE}', 1, 3, '{hash_of_day_1}', '{DAY_1}', '{DAY_1}', '{later_s}', 'ops', 3)",
        "DELETE FROM cdr WHERE seq <= 2",
    )
    assert [one.day for one in shelf.archive()] == [DAY_2, DAY_4]


def test_without_pyarrow_one_line_says_what_to_install(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    command = re.escape(f"which is not installed: {sys.executable} -m pip install 'veil700[archive]'")
    with pytest.raises(StoreError, match=command):
        shelf.archive()
