"""Each day that is over has one signed row that says how far the chain had come."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.records import GENESIS_HASH
from engine.store.anchors import read_anchors
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.days import ChainDay, chain_days, chain_nodes, purged_up_to
from engine.store.signing import is_signed, open_signing_key, read_public_keys
from tests.store.chain_book import DAY_S, NODE, NOON_S, Book, MakeRecord
from tests.store.desk import Desk
from tests.store.writing import take_over


@pytest.fixture
def book(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Book]:
    book = Book(records_db, cipher, make_record)
    yield book
    book.connection.close()


def test_the_first_group_anchors_the_day_before(book: Book) -> None:
    book.close(3)
    (first,) = book.anchors()
    assert (first.day, first.last_seq, first.last_hash, first.records) == ("2026-11-23", 0, GENESIS_HASH, 0)
    assert first.previous == GENESIS_HASH


def test_a_day_is_anchored_by_the_first_group_of_the_next(book: Book) -> None:
    book.close(3)
    book.now_s += DAY_S / 2 - 0.001  # the last millisecond of the day
    book.close(2)
    assert book.days() == [("2026-11-23", 1, 0)]
    book.now_s += 0.001
    book.close(4)
    assert book.days() == [("2026-11-23", 1, 0), ("2026-11-24", 1, 5)]
    (last_hash,) = book.connection.execute("SELECT hash FROM cdr WHERE seq = 5").fetchone()
    anchor = book.anchors()[-1]
    assert (anchor.last_hash, anchor.records) == (last_hash, 5)
    assert anchor.previous == book.anchors()[0].digest
    assert chain_days(book.connection, NODE)[-1] == ChainDay(NODE, "2026-11-24", 1, 5, last_hash, 5)
    assert chain_nodes(book.connection) == [NODE]
    assert purged_up_to(book.connection, NODE) == 0


def test_anchors_are_signed_with_the_node_key(book: Book) -> None:
    book.close()
    book.now_s += 2 * DAY_S
    book.close()
    keys = read_public_keys(book.path.with_name("signing_key.pub"))
    anchors = book.anchors()
    assert [is_signed(keys, one.key_id, one.text, one.signature) for one in anchors] == [True] * 3
    other = read_public_keys(_published(book.path.parent / "other"))
    assert not is_signed(other, anchors[0].key_id, anchors[0].text, anchors[0].signature)
    assert not is_signed(keys, anchors[0].key_id, anchors[1].text, anchors[0].signature)


def _published(folder: Path) -> Path:
    folder.mkdir()
    open_signing_key(folder)
    return folder / "signing_key.pub"


def test_days_without_records_or_without_a_node_are_anchored_too(book: Book) -> None:
    book.close(2)
    book.now_s += 4 * DAY_S
    book.start()  # it was down for three days
    book.ledger.write([], [], [])
    assert book.days() == [
        ("2026-11-23", 1, 0),
        ("2026-11-24", 1, 2),
        ("2026-11-25", 3, 2),
        ("2026-11-26", 3, 2),
        ("2026-11-27", 3, 2),
    ]


def test_a_start_anchors_what_was_missed(records_db: Path, cipher: NumberCipher) -> None:
    take_over(records_db, cipher, NODE, NOON_S)
    connection = open_database(records_db, RECORDS, cipher)
    assert len(list(read_anchors(connection, NODE))) == 1
    connection.close()


def test_each_day_has_one_anchor_however_often_the_node_starts_and_writes(book: Book) -> None:
    for _ in range(5):
        book.start()
        book.close()
        book.close()
        book.now_s += DAY_S / 2
    assert [day for day, _, _ in book.days()] == ["2026-11-23", "2026-11-24", "2026-11-25"]


def test_a_clock_that_goes_back_anchors_nothing_twice(book: Book) -> None:
    book.close()
    book.now_s += DAY_S
    book.close()
    book.now_s -= 3 * DAY_S
    book.close()
    book.start()
    book.close()
    assert book.days() == [("2026-11-23", 1, 0), ("2026-11-24", 1, 1)]
    book.now_s += 4 * DAY_S
    book.close()
    assert book.days()[2:] == [("2026-11-25", 2, 4)]


def test_a_group_that_fails_leaves_no_anchor_and_the_next_one_makes_it(book: Book) -> None:
    book.close()
    book.now_s += DAY_S
    twice = book.maker.closing(book.make("r1").snapshot())
    with pytest.raises(sqlite3.IntegrityError):
        book.ledger.write([], [], [twice])
    assert len(book.anchors()) == 1
    book.close()
    assert book.days()[-1] == ("2026-11-24", 1, 1)


def test_the_chain_goes_on_behind_the_last_anchor_when_its_end_was_cut_off(book: Book) -> None:
    """No `seq` is given twice: the gap stays."""
    book.close(3)
    book.now_s += DAY_S
    book.close()
    book.connection.execute("DROP TRIGGER cdr_is_never_deleted")
    book.connection.execute("DELETE FROM cdr WHERE seq >= 2")
    book.start()
    book.close()
    rows = book.connection.execute("SELECT seq, prev_hash FROM cdr ORDER BY seq").fetchall()
    assert [seq for seq, _ in rows] == [1, 4]
    assert rows[-1][1] == book.anchors()[-1].last_hash


@pytest.mark.parametrize("table", ["anchor", "purge"])
@pytest.mark.parametrize("sql", ["DELETE FROM {}", "UPDATE {} SET records = 7"])
def test_anchors_and_purges_cannot_be_changed(book: Book, table: str, sql: str) -> None:
    book.close()
    book.connection.execute("DROP TRIGGER purge_takes_whole_days_of_two_years_ago")
    book.connection.execute("INSERT INTO purge VALUES ('veil-1', 1, 1, 'h', 'd', 'd', 't', 'a', 1)")
    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        book.connection.execute(sql.format(table))


def test_a_node_without_calls_signs_its_day_too(
    desk: Desk, cipher: NumberCipher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.loading.IDLE_S", 0.01)
    desk.writer.start()
    desk.close_many("a")
    desk.outcomes(1)
    connection = open_database(desk.path, RECORDS, cipher)
    try:
        desk.until(lambda: desk.stored() == ["a"])
        assert len(list(read_anchors(connection, NODE))) == 1
        books = desk.writer.group_writer._loader._books
        assert books is not None
        books.ledger._anchors._clock = lambda: time.time() + DAY_S
        desk.until(lambda: len(list(read_anchors(connection, NODE))) == 2)
    finally:
        connection.close()
