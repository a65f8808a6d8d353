"""What reading a file of records takes in memory depends on its row groups, not on its length."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow

from engine.store.parquet import COLUMNS, INTEGER_COLUMNS, RecordFile, read_rows
from engine.store.rows import NUMBER_COLUMNS, Row

GROUP_ROWS = 1000


def rows_of(chance: random.Random) -> list[Row]:
    """A row group that does not become smaller by compression."""

    def value(name: str) -> object:
        if name in INTEGER_COLUMNS:
            return chance.getrandbits(62)
        octets = chance.randbytes(16)
        return octets if name in NUMBER_COLUMNS else octets.hex()

    return [tuple(value(name) for name in COLUMNS) for _ in range(GROUP_ROWS)]


def peak_octets(path: Path, groups: int) -> int:
    """The most that pyarrow holds while the file is read."""
    chance = random.Random(5)
    with path.open("wb") as file, RecordFile(file, {}) as records:
        for _ in range(groups):
            records.write(rows_of(chance))
    pool = pyarrow.default_memory_pool()
    before, peak, count = pool.bytes_allocated(), 0, 0
    for _ in read_rows(path, COLUMNS):
        count += 1
        if count % 100 == 0:
            peak = max(peak, pool.bytes_allocated() - before)
    assert count == groups * GROUP_ROWS
    return peak


def test_ten_times_the_records_take_the_same_memory(tmp_path: Path) -> None:
    short = peak_octets(tmp_path / "short.parquet", 2)
    assert short > 0
    assert peak_octets(tmp_path / "long.parquet", 20) < 1.5 * short
