"""The daily job archives and purges once a day, in a process of its own that the node ends when it ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine import daily as shell
from engine.daily import HOUR_UTC, DailyJob, last_slot
from engine.store.crypto import NumberCipher
from engine.store.daily import daily_job
from engine.store.database import BINDINGS, open_database, open_read_only
from engine.store.feed import Feed
from engine.store.history import publish
from tests.store.chain_book import DAY_S, NOON_S, Book, MakeRecord

MIDNIGHT_S = NOON_S - DAY_S / 2


@pytest.fixture
def book(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Book]:
    """Four records that are 800 days old, two of today."""
    book = Book(records_db, cipher, make_record, now_s=NOON_S - 800 * DAY_S)
    book.close(4)
    book.now_s = NOON_S
    book.close(2)
    yield book
    book.connection.close()


def count(book: Book) -> int:
    return int(book.connection.execute("SELECT count(*) FROM cdr").fetchone()[0])


def test_it_purges_and_is_done_for_the_day(book: Book) -> None:
    folder = book.path.parent
    done = daily_job(folder, 730, 90, NOON_S - 3600, None, NOON_S)
    assert (done["purged_days"], done["purged_records"]) == (1, 4)
    assert count(book) == 2
    assert book.verify().faults == ()
    assert daily_job(folder, 730, 90, NOON_S - 3600, None, NOON_S + 60) == {}
    done = daily_job(folder, 730, 90, NOON_S + 1, None, NOON_S + 60)
    assert (done["purged_days"], done["purged_records"]) == (0, 0)


def test_a_job_that_was_done_when_the_clock_was_ahead_is_done_again(book: Book) -> None:
    folder = book.path.parent
    ahead_s = NOON_S + 365 * DAY_S
    daily_job(folder, 10_000, 90, ahead_s, None, ahead_s)
    assert daily_job(folder, 730, 90, NOON_S - 3600, None, NOON_S)["purged_records"] == 4


def test_it_archives_before_it_purges(book: Book, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    done = daily_job(book.path.parent, 730, 90, 1.0, shelf, NOON_S)
    assert (done["archived_days"], done["archived_records"], done["purged_records"]) == (1, 4, 4)
    assert len(list(shelf.glob("*.parquet"))) == 1


def test_without_its_archive_it_keeps_what_it_has_and_tries_again(book: Book, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    done = daily_job(book.path.parent, 730, 90, 1.0, shelf, NOON_S)
    assert [str(shelf) in str(fault) for fault in done["faults"]] == [True, False]  # type: ignore[attr-defined]
    assert count(book) == 6
    shelf.mkdir()
    assert daily_job(book.path.parent, 730, 90, 1.0, shelf, NOON_S)["purged_records"] == 4


def test_a_longer_retention_keeps_them(book: Book) -> None:
    assert daily_job(book.path.parent, 900, 90, 1.0, None, NOON_S)["purged_records"] == 0
    assert count(book) == 6


def test_old_events_go_taken_or_not(book: Book, cipher: NumberCipher) -> None:
    folder = book.path.parent
    bindings = open_database(folder / "bindings.db", BINDINGS, cipher)
    feed = Feed(book.connection, cipher)
    with closing(bindings), closing(open_read_only(folder / "bindings.db", None)) as reader:
        for days in (91, 89):
            publish(bindings, "ap", "number.status", f"{days} days old", {}, NOON_S - days * DAY_S)
        assert feed.take_outbox(reader)
        assert daily_job(folder, 730, 90, NOON_S - 3600, None, NOON_S)["removed_events"] == 2
        left = book.connection.execute("SELECT seq, subject FROM event").fetchall()
        assert left == [(2, "89 days old")]
        assert bindings.execute("SELECT subject FROM outbox").fetchall() == [("89 days old",)]


@pytest.mark.parametrize(
    ("after_midnight_s", "days_ago"), [(0, 1), (HOUR_UTC * 3600 + 99, 1), (HOUR_UTC * 3600 + 100, 0), (DAY_S - 1, 0)]
)
def test_the_last_time_at_which_it_was_due(after_midnight_s: float, days_ago: int) -> None:
    due_s = MIDNIGHT_S - days_ago * DAY_S + HOUR_UTC * 3600 + 100
    assert last_slot(MIDNIGHT_S + after_midnight_s, 100) == due_s


class Told:
    """What the log was told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self.heard = asyncio.Event()
        monkeypatch.setattr(shell, "AFTER_START_S", 0.0)
        self.job = DailyJob("veil-1", folder, 730, 90, None, self.note, self.note)

    def note(self, event: str, **figures: object) -> None:
        self.events.append((event, figures))
        self.heard.set()


async def test_the_node_starts_it_and_tells_its_figures(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(book.path.parent, monkeypatch)
    told.job.start()
    await asyncio.wait_for(told.heard.wait(), 60)
    await told.job.stop()
    ((event, figures),) = told.events
    assert event == "daily job"
    assert figures["purged_days"] in (0, 1, 2)  # by the clock of this machine
    assert figures.keys() == {"purged_days", "purged_records", "longest_lock_ms"}


async def test_what_goes_wrong_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"short")
    (tmp_path / "key").chmod(0o600)
    told = Told(tmp_path, monkeypatch)
    told.job.start()
    await asyncio.wait_for(told.heard.wait(), 60)
    await told.job.stop()
    ((event, figures),) = told.events
    assert event == "daily job failed"
    assert "not a key" in str(figures["reason"])


async def test_the_node_ends_though_its_job_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(tmp_path, monkeypatch)

    async def fails(_slot_s: float) -> None:
        told.heard.set()
        raise ProcessLookupError

    monkeypatch.setattr(told.job, "_do", fails)
    told.job.start()
    await asyncio.wait_for(told.heard.wait(), 60)
    await told.job.stop()


async def test_a_clock_that_is_set_back_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([NOON_S + 365 * DAY_S, NOON_S, NOON_S])
    asked: list[float] = []
    told = Told(tmp_path, monkeypatch)

    async def note(slot_s: float) -> None:
        asked.append(slot_s)
        if len(asked) == 2:
            told.heard.set()

    monkeypatch.setattr(shell, "LOOK_S", 0.0)
    monkeypatch.setattr(shell.time, "time", lambda: next(clock, NOON_S))
    monkeypatch.setattr(told.job, "_do", note)
    told.job.start()
    await asyncio.wait_for(told.heard.wait(), 60)
    await told.job.stop()
    assert asked[0] - asked[1] == 365 * DAY_S


async def test_a_job_that_runs_is_ended_with_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    pipe = tmp_path / "began"
    program.write_text(f"#!/bin/sh\necho $$ > {pipe}\nexec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    told = Told(tmp_path, monkeypatch)
    told.job.start()
    async with asyncio.timeout(60):
        while not (pipe.exists() and pipe.read_text().strip()):
            await asyncio.sleep(0.01)
        await told.job.stop()
    assert not Path(f"/proc/{pipe.read_text().strip()}").exists()
    assert told.events == []
