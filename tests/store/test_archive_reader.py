"""An archive and the table behind it read as one: exports, settlements, and what must not be taken for whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.records import CallRecord
from engine.store.anchors import DAY_S
from engine.store.archive_reader import Archive
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.export import open_records
from engine.store.record_forms import ExportFormat
from engine.store.settlement import Settlement
from tests.store.shelf import FIRST_NOON_S, NODE, Shelf

ALL = [f"r{number}" for number in range(1, 8)]
PURGED = (
    f"INSERT INTO purge SELECT '{NODE}', 1, 5, last_hash, '2026-11-24', day, '', 'ops', 5 FROM anchor"
    " WHERE day = '2026-11-25'",
    "DELETE FROM cdr WHERE seq <= 5",
)


@pytest.fixture
def shelf(records_db: Path, cipher: NumberCipher, make_record: Callable[..., CallRecord]) -> Iterator[Shelf]:
    """Three records, two, one, all archived; the fourth day has begun with one more."""
    shelf = Shelf(records_db, cipher, make_record)
    for records in (3, 2, 1, 1):
        shelf.day(records)
    shelf.archive()
    yield shelf
    shelf.close()


@pytest.mark.parametrize("form", ExportFormat)
@pytest.mark.parametrize("asker", [None, Asker("ops")])
async def test_the_same_lines_after_the_purge(shelf: Shelf, form: ExportFormat, asker: Asker | None) -> None:
    before = await shelf.lines(form=form, asker=asker)
    assert await shelf.lines(form=form, asker=asker, archived=True) == before
    shelf.spoil(*PURGED)
    assert await shelf.lines(form=form, asker=asker, archived=True) == before
    assert len(await shelf.lines(form=form, asker=asker)) == len(before) - 5


async def test_the_same_settlement_after_the_purge(shelf: Shelf) -> None:
    before = await shelf.settled()
    assert sum(line.attempts for line in before if line.direction == "in") == 7
    assert await shelf.settled(archived=True) == before
    shelf.spoil(*PURGED)
    assert await shelf.settled(archived=True) == before


async def test_a_settlement_of_purged_days_wants_their_archive(shelf: Shelf) -> None:
    shelf.spoil(*PURGED)
    with pytest.raises(StoreError, match="records up to 2026-11-25 were purged: name their archive"):
        await shelf.settled()
    midnight_s = FIRST_NOON_S + 1.5 * DAY_S
    with pytest.raises(StoreError, match="were purged"):
        await shelf.settled(since_s=midnight_s - 0.001)
    assert [line.attempts for line in await shelf.settled(since_s=midnight_s)] == [1] * 4


async def test_progress_counts_what_is_in_both(
    shelf: Shelf, cipher: NumberCipher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.export.PAGE", 2)
    shelf.spoil(*PURGED)
    told: list[tuple[int, int]] = []
    sums = Settlement("minute", "+08:00", 8 * 3600)
    async with open_records(shelf.path.parent, cipher, archive=Archive(shelf.folder)) as reader:
        since_s, until_s = FIRST_NOON_S + 2, FIRST_NOON_S + 4 * DAY_S
        await reader.settle(sums, since_s, until_s, lambda done, total: told.append((done, total)))
    assert told == [(2, 6), (4, 6), (6, 6)]


async def test_what_is_being_purged_is_not_settled(shelf: Shelf) -> None:
    """The purge has begun, its records are still there."""
    shelf.spoil(PURGED[0])
    with pytest.raises(StoreError, match="records up to 2026-11-25 were purged"):
        await shelf.settled()


async def test_a_purge_that_begins_meanwhile_spoils_a_settlement(shelf: Shelf, cipher: NumberCipher) -> None:
    class Slow:
        needed = ("call_time",)

        def add(self, record: object) -> None:
            shelf.spoil(*PURGED)

    async with open_records(shelf.path.parent, cipher) as reader:
        with pytest.raises(StoreError, match="a purge has begun meanwhile: try again"):
            await reader.settle(Slow(), FIRST_NOON_S + 3 * DAY_S, FIRST_NOON_S + 4 * DAY_S)


async def test_a_settlement_wants_the_first_days_of_an_archive_too(shelf: Shelf) -> None:
    shelf.spoil(*PURGED)
    for name in ("cdr-veil-1-2026-11-24.json", "cdr-veil-1-2026-11-24.parquet"):
        (shelf.folder / name).unlink()
    with pytest.raises(StoreError, match="records up to 2026-11-24 were purged"):
        await shelf.settled(archived=True)
    assert await shelf.ids(archived=True) == ALL[3:]


async def test_when_all_is_purged_the_archive_is_all(shelf: Shelf) -> None:
    shelf.anchor()
    shelf.archive()
    before = await shelf.lines()
    shelf.spoil(
        f"INSERT INTO purge SELECT '{NODE}', 1, 7, last_hash, '', day, '', 'ops', 7 FROM anchor WHERE last_seq = 7",
        "DELETE FROM cdr",
    )
    assert await shelf.lines(archived=True) == before
    with pytest.raises(StoreError, match="records up to 2026-11-27 were purged"):
        await shelf.settled()


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (2, None, ALL[1:]),  # r2 began 2 s after noon
        (None, 2, ALL[:1]),
        (DAY_S + 4, DAY_S + 5, ALL[3:4]),
        (DAY_S + 5, 3 * DAY_S + 7, ALL[4:6]),
        (3 * DAY_S + 7, None, ALL[6:]),
    ],
)
async def test_a_period_is_of_call_times(
    shelf: Shelf, since: float | None, until: float | None, expected: list[str]
) -> None:
    options = {
        "since_s": None if since is None else FIRST_NOON_S + since,
        "until_s": None if until is None else FIRST_NOON_S + until,
    }
    shelf.spoil(*PURGED)
    assert await shelf.ids(archived=True, **options) == expected


async def test_revealing_names_what_is_in_both(shelf: Shelf) -> None:
    shelf.spoil(*PURGED)
    await shelf.ids(archived=True, asker=Asker("ops"))
    await shelf.ids(archived=True, asker=Asker("ops"), until_s=FIRST_NOON_S + 3)
    await shelf.ids(archived=True, asker=Asker("ops"), since_s=FIRST_NOON_S + 3 * DAY_S)
    connection = sqlite3.connect(shelf.path.with_name("bindings.db"))
    details = [
        detail.split(",")[0]
        for (detail,) in connection.execute("SELECT detail FROM audit WHERE action != 'inventory.apply' ORDER BY id")
    ]
    connection.close()
    assert details == [
        "reveal 7 records from r1 to r7", "reveal 2 records from r1 to r2", "reveal 1 records from r7 to r7",
    ]  # fmt: skip


async def test_a_file_that_was_changed_is_not_read(shelf: Shelf) -> None:
    file = shelf.folder / "cdr-veil-1-2026-11-25.parquet"
    octets = bytearray(file.read_bytes())
    octets[100] ^= 1
    file.write_bytes(octets)
    with pytest.raises(StoreError, match=r"cdr-veil-1-2026-11-25\.parquet: changed"):
        await shelf.lines(archived=True)
    file.write_bytes(bytes(octets)[:-1])
    with pytest.raises(StoreError, match="octets, the manifest says"):
        await shelf.settled(archived=True)
    file.unlink()
    with pytest.raises(StoreError, match=r"2026-11-25\.parquet: No such file"):
        await shelf.lines(archived=True)


def test_a_day_that_is_missing_between_two_others(shelf: Shelf) -> None:
    (shelf.folder / "cdr-veil-1-2026-11-25.json").unlink()
    told = "veil-1: between 2026-11-24 and 2026-11-26 seq 4 to 5 are missing in the archive"
    with pytest.raises(StoreError, match=told):
        Archive(shelf.folder)


def test_days_that_do_not_continue_each_other(shelf: Shelf) -> None:
    path = shelf.folder / "cdr-veil-1-2026-11-25.json"
    text = path.read_text()
    at = text.index('"prev_hash": "') + 14
    path.write_text(f"{text[:at]}{'0' * 64}{text[at + 64 :]}")
    with pytest.raises(StoreError, match="veil-1: 2026-11-25 does not continue the chain of 2026-11-24"):
        Archive(shelf.folder)


async def test_a_gap_between_archive_and_table(shelf: Shelf) -> None:
    (shelf.folder / "cdr-veil-1-2026-11-26.json").unlink()
    shelf.spoil("DELETE FROM cdr WHERE seq <= 6")
    with pytest.raises(StoreError, match="veil-1: seq 6 to 6 are neither here nor in the table"):
        await shelf.lines(archived=True)


async def test_an_archive_that_begins_behind_the_table(shelf: Shelf) -> None:
    (shelf.folder / "cdr-veil-1-2026-11-24.json").unlink()
    with pytest.raises(StoreError, match="veil-1: begins at seq 4, the table at 1"):
        await shelf.lines(archived=True)


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE cdr SET hash = 'x' WHERE seq = 6"],
        ["DELETE FROM cdr WHERE seq <= 6", "UPDATE cdr SET prev_hash = 'x'"],
    ],
)
async def test_another_chain(shelf: Shelf, statements: list[str]) -> None:
    shelf.spoil(*statements)
    with pytest.raises(StoreError, match="veil-1: is of another chain than the table"):
        await shelf.lines(archived=True)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none: no such folder"):
        Archive(tmp_path / "none")
