"""A purge removes whole days that are old enough and nothing else, and the chain stays whole at every moment."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.store import purge as module
from engine.store.audit import Asker, read_audit
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import RECORDS, open_database
from engine.store.days import ChainDay, purged_up_to
from engine.store.errors import StoreError
from engine.store.purge import NodePurge, Purged, last_day_to_go, plan_purge, purge
from engine.store.records import BUSY_MS
from engine.store.rows import utc_text
from engine.store.verify import verify
from tests.store.chain_book import DAY_S, NODE, NOON_S, Book, MakeRecord

WHO = Asker("ops")
DUE_S = NOON_S + 733 * DAY_S  # 2026-11-26 is 731 days old


@pytest.fixture
def book(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Book]:
    """11-24: five records, 11-25: none, 11-26: four, one of which began on 11-25; 11-27: three; now: 733 days later."""
    book = Book(records_db, cipher, make_record)
    book.close(5)
    book.now_s += 2 * DAY_S
    book.close(1, call_time=book.now_s - DAY_S)
    book.close(3)
    book.now_s += DAY_S
    book.close(3)
    book.now_s = DUE_S
    book.start()
    book.close(2)
    yield book
    book.connection.close()


def plan(book: Book, last_day: str | None = None, is_archived: Callable[[ChainDay], bool] | None = None) -> NodePurge:
    (found,) = plan_purge(book.path, last_day or last_day_to_go(book.now_s, 730), is_archived)
    return found


def run(book: Book, found: NodePurge) -> Purged:
    return purge(book.path, open_key(book.path.parent), [found], WHO, book.now_s)


def seqs(book: Book) -> list[int]:
    return [row[0] for row in book.connection.execute("SELECT seq FROM cdr ORDER BY seq")]


@pytest.mark.parametrize(("days_later", "last"), [(729, "2026-11-22"), (730, "2026-11-23"), (731, "2026-11-24")])
def test_a_day_goes_when_all_of_it_is_old_enough(days_later: int, last: str) -> None:
    midnight_s = NOON_S - DAY_S / 2
    assert last_day_to_go(midnight_s + days_later * DAY_S, 730) == last
    assert last_day_to_go(midnight_s + (days_later + 1) * DAY_S - 0.001, 730) == last


def test_no_configuration_purges_what_is_younger_than_two_years() -> None:
    assert last_day_to_go(NOON_S, 0) == last_day_to_go(NOON_S, 730) == "2024-11-23"
    assert last_day_to_go(NOON_S, 1000) == "2024-02-27"


def test_a_plan_says_what_would_go_and_changes_nothing(book: Book) -> None:
    before = book.path.read_bytes()
    found = plan(book)
    assert (found.node, found.records, found.last_seq, found.not_archived) == (NODE, 9, 9, "")
    assert [day.day for day in found.days] == ["2026-11-24", "2026-11-25", "2026-11-26"]
    assert found.octets > 9 * 500
    assert book.path.read_bytes() == before
    assert plan(book, "2026-11-25").records == 5
    assert plan(book, "2026-11-23") == NodePurge(NODE, (), 0, 0, 0, "")


def test_a_purge_leaves_a_row_and_a_chain_that_is_whole(book: Book) -> None:
    anchors = book.anchors()
    (last_hash,) = book.connection.execute("SELECT hash FROM cdr WHERE seq = 9").fetchone()
    done = run(book, plan(book))
    assert done.records == 9
    assert seqs(book) == [10, 11, 12, 13, 14]
    assert book.connection.execute("SELECT * FROM purge").fetchall() == [
        (NODE, 1, 9, last_hash, "2026-11-24", "2026-11-26", "2028-11-26T12:00:00.000Z", "ops", 9)
    ]
    assert book.connection.execute("SELECT prev_hash FROM cdr WHERE seq = 10").fetchone() == (last_hash,)
    assert book.anchors() == anchors
    node = book.verify()
    assert (node.faults, node.records, node.purged, node.last_seq) == ((), 5, 9, 14)
    (audit,) = read_audit(book.path.with_name("bindings.db"))
    assert (audit.actor, audit.action) == ("ops", "cdr.purge")
    assert audit.detail == "veil-1: 9 records, 2026-11-24 to 2026-11-26, up to seq 9"


def test_what_is_purged_twice_is_purged_once(book: Book) -> None:
    run(book, plan(book))
    again = plan(book)
    assert (again.days, again.records) == ((), 0)
    assert run(book, again) == Purged(0, 0.0)
    assert len(list(read_audit(book.path.with_name("bindings.db")))) == 1


def test_one_purge_follows_the_other(book: Book) -> None:
    run(book, plan(book, "2026-11-24"))
    run(book, plan(book))
    rows = book.connection.execute("SELECT first_seq, last_seq, first_day, last_day FROM purge").fetchall()
    assert rows == [(1, 5, "2026-11-24", "2026-11-24"), (6, 9, "2026-11-26", "2026-11-26")]
    assert book.verify().faults == ()


def test_the_node_writes_on_behind_a_purge_of_everything(book: Book) -> None:
    book.now_s += 800 * DAY_S
    book.start()
    book.ledger.write([], [], [])
    run(book, plan(book))
    assert seqs(book) == []
    assert book.verify().faults == ()
    book.start()
    book.close(2)
    assert seqs(book) == [15, 16]
    node = book.verify()
    assert (node.faults, node.purged) == ((), 14)


def test_a_file_that_was_made_smaller_is_the_same(book: Book) -> None:
    """As docs/retention.md says how to give space back."""
    run(book, plan(book))
    book.connection.execute("VACUUM")
    assert book.verify().faults == ()
    book.start()
    book.close(1)
    assert (book.verify().faults, seqs(book)[-1]) == ((), 15)


def test_what_was_purged_is_gone_from_the_file(book: Book) -> None:
    """Overwritten, not only unlinked."""
    needle = b"r3@127.0.0.12"
    book.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert needle in book.path.read_bytes()
    run(book, plan(book))
    book.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert needle not in book.path.read_bytes()


def test_the_purged_part_cannot_be_filled_again(book: Book) -> None:
    run(book, plan(book))
    columns = [row[1] for row in book.connection.execute("PRAGMA table_info(cdr)")]
    values = ["1" if name == "seq" else "'new'" if name == "record_id" else name for name in columns]
    book.tamper(f"INSERT INTO cdr SELECT {', '.join(values)} FROM cdr WHERE seq = 10")
    assert book.verify().faults != ()


class Cut(Exception):
    """The process ends here."""


@pytest.mark.parametrize("slices", [1, 2, 3, 8])
def test_a_purge_that_was_cut_short_is_clean_and_finished_by_the_next(
    book: Book, slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SLICE", 1)
    monkeypatch.setattr(module._Purge, "_adapt", lambda self, took_s: None)
    left = [slices]

    def pause(seconds: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise Cut

    monkeypatch.setattr(module.time, "sleep", pause)
    with pytest.raises(Cut):
        run(book, plan(book))
    assert seqs(book) == list(range(slices + 1, 15))
    node = book.verify()
    assert (node.faults, node.purged) == ((), slices)
    book.tamper(f"UPDATE cdr SET q850 = q850 + 1 WHERE seq = {slices + 1}")  # what is still there is still held
    assert book.verify().bad_seq == slices + 1
    book.tamper(f"UPDATE cdr SET q850 = q850 - 1 WHERE seq = {slices + 1}")
    rest = plan(book)
    assert (rest.days, rest.records) == ((), 9 - slices)
    left[0] = 1000
    assert run(book, rest).records == 9 - slices
    assert seqs(book) == [10, 11, 12, 13, 14]
    assert book.verify().faults == ()


def test_a_day_that_is_in_no_archive_stops_the_purge(book: Book) -> None:
    found = plan(book, is_archived=lambda day: day.day < "2026-11-26")
    assert ([day.day for day in found.days], found.not_archived) == (["2026-11-24"], "2026-11-26")
    run(book, found)
    assert seqs(book)[0] == 6
    assert plan(book, is_archived=lambda day: False).records == 0


@pytest.mark.parametrize("seq", [5, 9, 10])
def test_nothing_can_be_deleted_that_no_purge_row_covers(book: Book, seq: int) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="cdr is append-only"):
        book.connection.execute("DELETE FROM cdr WHERE seq = ?", (seq,))
    run(book, plan(book, "2026-11-24"))
    if seq > 5:
        with pytest.raises(sqlite3.IntegrityError, match="cdr is append-only"):
            book.connection.execute("DELETE FROM cdr WHERE seq = ?", (seq,))


@pytest.mark.parametrize(
    ("last_seq", "last_hash", "last_day", "at"),
    [
        (10, "real", "2026-11-26", "2028-11-26T12:00:00.000Z"),  # not where the day ended
        (9, "other", "2026-11-26", "2028-11-26T12:00:00.000Z"),
        (9, "real", "2026-11-25", "2028-11-26T12:00:00.000Z"),
        (9, "real", "2026-11-26", "2028-11-24T12:00:00.000Z"),  # two years less two days
        (9, "real", "2026-11-26", "long ago"),
    ],
)
def test_a_purge_row_that_does_not_fit_is_refused(
    book: Book, last_seq: int, last_hash: str, last_day: str, at: str
) -> None:
    (real,) = book.connection.execute("SELECT hash FROM cdr WHERE seq = 9").fetchone()
    values = (NODE, 1, last_seq, real if last_hash == "real" else last_hash, "2026-11-24", last_day, at, "x", last_seq)
    with pytest.raises(sqlite3.IntegrityError, match="two years old"):
        book.connection.execute("INSERT INTO purge VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    assert purged_up_to(book.connection, NODE) == 0


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE purge SET at = '2028-11-24T00:00:00.000Z'", "2026-11-26: purged before two years were over"),
        ("UPDATE purge SET last_hash = 'h'", "2026-11-26: the purge row does not end at the anchor of its day"),
        ("UPDATE purge SET records = 8", "2026-11-26: the purge row does not follow what was purged before"),
        ("UPDATE purge SET first_seq = 2, records = 8", "2026-11-26: the purge row does not follow"),
        ("UPDATE purge SET last_seq = 'x'", "2026-11-26: the purge row is damaged"),
        ("DELETE FROM purge", "seq 1: missing, seq 10"),
        ("DELETE FROM purged_day", "2026-11-24: 0 records, 5 were written"),
        (
            "UPDATE purged_day SET records = 6 WHERE day = '2026-11-24'",
            "2026-11-24: 0 records, 6 purged, 5 were written",
        ),
        ("DELETE FROM cdr WHERE seq = 10", "seq 10: missing, seq 11"),
    ],
)
def test_a_purge_that_does_not_fit_is_found(book: Book, statement: str, reason: str) -> None:
    run(book, plan(book))
    book.tamper(statement)
    faults = book.verify().faults
    assert any(fault.startswith(reason) for fault in faults), faults


def test_a_purge_of_young_records_is_found_whatever_its_row_says(book: Book) -> None:
    """The clock of whoever verifies counts, not only the time in the row."""
    run(book, plan(book))
    (node,) = verify(book.path, wall_s=DUE_S - 3 * DAY_S).nodes
    assert "2026-11-26: purged before two years were over" in node.faults


def test_a_purge_waits_for_no_key_and_asks_for_its_own(book: Book, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(StoreError, match="written with key"):
        purge(book.path, open_key(other), [plan(book)], WHO, book.now_s)
    assert len(seqs(book)) == 14


@pytest.mark.timeout(300)  # twenty-five data folders, each flushed to the disk again and again
@given(cuts=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), max_size=5), data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_days_purges_and_cuts_in_any_order_stay_clean(
    tmp_path_factory: pytest.TempPathFactory, make_record: MakeRecord, cuts: list[tuple[int, int]], data: st.DataObject
) -> None:
    """A node that writes, idles, and is purged in slices that end anywhere."""
    folder = tmp_path_factory.mktemp("purge")
    book = Book(folder / "records.db", open_key(folder), make_record)
    book.connection.execute("PRAGMA synchronous = OFF")
    try:
        for records, days in cuts:
            book.close(records)
            book.now_s += days * DAY_S
        book.now_s += 733 * DAY_S
        book.close(1)
        for _ in range(data.draw(st.integers(0, 3))):
            whole = plan(book)
            kept = data.draw(st.integers(0, len(whole.days)))
            part = plan(book, whole.days[kept - 1].day) if kept else whole
            module._Purge(book.connection, part.records, None)._slice(NODE, part.last_seq, _row(part, book))
            assert book.verify().faults == ()
        run(book, plan(book))
        node = book.verify()
        assert node.faults == ()
        assert node.records + node.purged == book.records
    finally:
        book.connection.close()


def _row(part: NodePurge, book: Book) -> tuple[object, ...] | None:
    if not part.days:
        return None
    first, last = part.days[0], part.days[-1]
    at = utc_text(book.now_s)
    count = last.last_seq - first.first_seq + 1
    return (NODE, first.first_seq, last.last_seq, last.last_hash, first.day, last.day, at, "ops", count)


@pytest.mark.long
def test_a_writer_never_waits_long_for_a_purge(tmp_path: Path, make_record: MakeRecord) -> None:
    """100,000 records go while groups are written as a node does; none waits half as long as the writer would."""
    book = Book(tmp_path / "records.db", open_key(tmp_path), make_record)
    book.connection.execute("PRAGMA synchronous = OFF")
    for _ in range(100):
        book.close(1000)
    book.now_s += 740 * DAY_S
    book.close(1)
    book.connection.execute("PRAGMA synchronous = FULL")
    found = plan(book)
    purging = threading.Thread(target=run, args=(book, found))
    waits = []
    connection = open_database(book.path, RECORDS, open_key(tmp_path), busy_ms=10_000)
    purging.start()
    while purging.is_alive():
        began_s = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        waits.append(time.monotonic() - began_s)
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('test', ?)", (str(len(waits)),))
        connection.execute("COMMIT")
        time.sleep(0.002)
    purging.join()
    connection.close()
    assert found.records == 100_000
    assert len(seqs(book)) == 1
    assert max(waits) < BUSY_MS / 2000, f"{max(waits):.3f} s"
    book.connection.close()
