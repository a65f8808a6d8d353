"""The first anchor of a folder of an older program dated its records a day early: a purge took them a day too soon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.records import Attempt, CallRecord
from engine.store.crypto import open_key
from engine.store.purge import last_day_to_go, plan_purge
from tests.store.chain_book import DAY_S, NOON_S, Book


def _record(record_id: str, call_time: float) -> CallRecord:
    record = CallRecord(record_id, "veil-1", "voice")
    record.attempts.append(Attempt("core", "sip:127.0.0.13:5060"))
    record.call_time = call_time
    return record


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "records.db", open_key(tmp_path), _record)
    yield book
    book.connection.close()


def test_what_was_written_before_the_first_one_is_of_the_next_day(book: Book) -> None:
    book.close(2)
    book.tamper("DELETE FROM anchor")  # as the last release has left it
    book.now_s += 3600
    book.start()
    book.close()
    assert book.verify().faults == ()
    book.now_s += DAY_S
    book.close()
    assert book.days() == [("2026-11-23", 1, 0), ("2026-11-24", 1, 3)]
    assert book.verify().faults == ()
    (plan,) = plan_purge(book.path, last_day_to_go(NOON_S + 730 * DAY_S, 730), None)
    assert plan.records == 0
    (plan,) = plan_purge(book.path, last_day_to_go(NOON_S + 731 * DAY_S, 730), None)
    assert plan.records == 3
