"""One transaction for a group of steps: rows, chain, counters, open rows."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.records import EXTENSION_COLUMNS, FIELDS, GENESIS_HASH, CallRecord, ReleaseCause, Step, chain_hash
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import RECORDS, open_database
from engine.store.ledger import Ledger, Unfit
from engine.store.rows import RowMaker
from engine.store.signing import open_signing_key
from engine.store.verify import verify

MakeRecord = Callable[..., CallRecord]
Steps = list[tuple[Step, str]]


class Book:
    """A ledger that takes (step, record_id) pairs of ordinary calls."""

    def __init__(self, path: Path, cipher: NumberCipher, make: MakeRecord, node: str = "veil-1") -> None:
        self.path = path
        self.node = node
        self.connection = open_database(path, RECORDS, cipher)
        self.ledger = Ledger(self.connection, node, open_signing_key(path.parent))
        self.maker = RowMaker(cipher, "boot")
        self.make = make

    def write(self, steps: Steps, **changes: object) -> None:
        groups: dict[Step, list] = {Step.OPEN: [], Step.ANSWER: [], Step.CLOSE: []}
        ended = {record_id for step, record_id in steps if step is Step.CLOSE}
        for step, record_id in steps:
            if record_id in ended and step is not Step.CLOSE:
                continue  # as the loader has it: what begins and ends in one group is only recorded
            snapshot = self.make(record_id, node=self.node, **changes).snapshot()
            if step is Step.OPEN:
                groups[step].append(self.maker.open_row(snapshot))
            elif step is Step.ANSWER:
                groups[step].append(self.maker.answer_row(snapshot, '["dialogs"]'))
            else:
                groups[step].append(self.maker.closing(snapshot))
        self.ledger.write(groups[Step.OPEN], groups[Step.ANSWER], groups[Step.CLOSE])

    def column(self, sql: str) -> list[object]:
        return [row[0] for row in self.connection.execute(sql)]


@pytest.fixture
def book(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Book]:
    book = Book(records_db, cipher, make_record)
    yield book
    book.connection.close()


def opened(book: Book) -> list[object]:
    return book.column("SELECT record_id FROM call_open ORDER BY record_id")


def answered(book: Book) -> list[object]:
    return book.column("SELECT record_id FROM call_answer ORDER BY record_id")


def ended(book: Book) -> list[object]:
    return book.column("SELECT record_id FROM cdr ORDER BY seq")


def counters(book: Book) -> list[tuple[object, ...]]:
    return book.connection.execute("SELECT * FROM counter ORDER BY node, day").fetchall()


def test_the_three_steps(book: Book) -> None:
    book.write([(Step.OPEN, "a")])
    assert (opened(book), answered(book), ended(book)) == (["a"], [], [])
    book.write([(Step.ANSWER, "a")])
    assert (opened(book), answered(book), ended(book)) == (["a"], ["a"], [])
    book.write([(Step.CLOSE, "a")])
    assert (opened(book), answered(book), ended(book)) == ([], [], ["a"])
    assert counters(book) == [("veil-1", "2026-11-24", 1, 1)]


def test_columns_of_cdr_are_those_of_the_contract(book: Book) -> None:
    names = [row[1] for row in book.connection.execute("PRAGMA table_info(cdr)")]
    assert names == [*FIELDS, *EXTENSION_COLUMNS, "key_id"]


def test_the_chain_is_over_what_is_stored(book: Book) -> None:
    book.write([(Step.CLOSE, "a"), (Step.CLOSE, "b")])
    book.write([(Step.CLOSE, "c")])
    rows = book.connection.execute(f"SELECT {', '.join(FIELDS)} FROM cdr ORDER BY seq").fetchall()
    prev_hash = GENESIS_HASH
    for seq, row in enumerate(rows, 1):
        assert row[FIELDS.index("seq")] == seq
        assert row[-2] == prev_hash
        assert row[-1] == chain_hash(prev_hash, row[:-2])
        prev_hash = row[-1]
    assert len(rows) == 3


def test_members_of_an_enumeration_are_stored_as_their_text(book: Book) -> None:
    book.write([(Step.CLOSE, "a")], release_cause=ReleaseCause.BUSY)
    assert book.column("SELECT typeof(release_cause) || release_cause FROM cdr") == ["textBUSY"]
    assert verify(book.path).is_clean


def test_the_chain_goes_on_after_a_restart(
    book: Book, records_db: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    book.write([(Step.OPEN, "a"), (Step.OPEN, "b"), (Step.CLOSE, "c")])
    again = Book(records_db, cipher, make_record)
    again.write([(Step.CLOSE, "a"), (Step.OPEN, "d")])
    again.connection.close()
    assert (opened(book), ended(book)) == (["b", "d"], ["c", "a"])
    assert verify(records_db).is_clean


def test_each_node_has_its_own_chain(
    book: Book, records_db: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    other = Book(records_db, cipher, make_record, node="veil-2")
    book.write([(Step.CLOSE, "a")])
    other.write([(Step.CLOSE, "b"), (Step.CLOSE, "c")])
    other.connection.close()
    assert book.connection.execute("SELECT node, seq FROM cdr ORDER BY node, seq").fetchall() == [
        ("veil-1", 1),
        ("veil-2", 1),
        ("veil-2", 2),
    ]
    assert [node.records for node in verify(records_db).nodes] == [1, 2]
    assert verify(records_db).is_clean


@pytest.mark.parametrize(
    "steps",
    [
        [(Step.CLOSE, "a")],  # refused by policy
        [(Step.OPEN, "a"), (Step.CLOSE, "a")],
        [(Step.OPEN, "a"), (Step.ANSWER, "a"), (Step.CLOSE, "a")],
    ],
)
def test_what_ends_in_the_group_that_begins_it(book: Book, steps: Steps) -> None:
    book.write([(Step.OPEN, "x"), (Step.OPEN, "y")])
    book.write([*steps, (Step.CLOSE, "x"), (Step.OPEN, "z")])
    assert (opened(book), answered(book), ended(book)) == (["y", "z"], [], ["a", "x"])
    assert counters(book) == [("veil-1", "2026-11-24", 4, 2)]
    assert verify(book.path).is_clean


def test_opened_and_answered_in_one_group(book: Book) -> None:
    book.write([(Step.OPEN, "a"), (Step.ANSWER, "a")])
    assert (opened(book), answered(book)) == (["a"], ["a"])


def test_an_attempt_counts_on_the_day_of_its_call(book: Book) -> None:
    """Begun before midnight, ended after it: both counts stand on the first day."""
    book.write([(Step.OPEN, "a")], call_time=1_795_564_799.9)
    book.write([(Step.OPEN, "b")], call_time=1_795_564_800.0)
    book.write([(Step.CLOSE, "a")], call_time=1_795_564_799.9, release_time=1_795_564_900.0)
    assert counters(book) == [("veil-1", "2026-11-24", 1, 1), ("veil-1", "2026-11-25", 1, 0)]
    assert verify(book.path).is_clean


@pytest.mark.parametrize("sql", ["UPDATE cdr SET q850 = 31 WHERE seq = 1", "DELETE FROM cdr"])
def test_records_cannot_be_changed(book: Book, sql: str) -> None:
    book.write([(Step.CLOSE, "a")])
    with pytest.raises(sqlite3.IntegrityError, match="cdr is append-only"):
        book.connection.execute(sql)
    assert ended(book) == ["a"]


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([(Step.OPEN, "answered")], Unfit),
        ([(Step.ANSWER, "unknown")], Unfit),
        ([(Step.CLOSE, "ended")], sqlite3.IntegrityError),
        ([(Step.CLOSE, "new"), (Step.CLOSE, "new")], sqlite3.IntegrityError),
    ],
)
def test_a_step_that_does_not_fit_changes_nothing(book: Book, steps: Steps, error: type[Exception]) -> None:
    book.write([(Step.OPEN, "open"), (Step.OPEN, "answered"), (Step.ANSWER, "answered"), (Step.CLOSE, "ended")])
    before = [opened(book), answered(book), ended(book), counters(book)]
    with pytest.raises(error):
        book.write([(Step.OPEN, "good"), (Step.CLOSE, "open"), *steps])
    assert not book.connection.in_transaction
    assert [opened(book), answered(book), ended(book), counters(book)] == before
    book.write([(Step.OPEN, "good"), (Step.CLOSE, "open")])
    assert (opened(book), ended(book)) == (["answered", "good"], ["ended", "open"])
    assert verify(book.path).is_clean


def test_an_attempt_that_is_opened_again_has_its_row_written_anew(book: Book) -> None:
    """A redirect takes it to another callee before it is answered; it stays one attempt."""
    book.write([(Step.OPEN, "a"), (Step.OPEN, "b")], egress_peer="first")
    book.write([(Step.OPEN, "a")], egress_peer="second")
    assert book.connection.execute("SELECT record_id, egress_peer FROM call_open ORDER BY 1").fetchall() == [
        ("a", "second"),
        ("b", "first"),
    ]
    assert counters(book) == [("veil-1", "2026-11-24", 2, 0)]
    book.write([(Step.OPEN, "c"), (Step.OPEN, "c"), (Step.ANSWER, "a"), (Step.CLOSE, "b")])
    assert (opened(book), answered(book)) == (["a", "c"], ["a"])
    assert counters(book) == [("veil-1", "2026-11-24", 3, 1)]


def test_rows_of_ended_calls_are_used_again(book: Book) -> None:
    """Traffic comes and goes; the open tables stay as large as the number of calls at one time."""
    for number in range(0, 300, 3):
        ids = [f"r{number + offset:03d}" for offset in range(3)]
        book.write([(Step.OPEN, one) for one in ids])
        book.write([(Step.ANSWER, one) for one in ids])
        if number >= 6:
            book.write([(Step.CLOSE, f"r{number - 6 + offset:03d}") for offset in range(3)])
    assert book.column("SELECT max(slot) FROM call_open")[0] <= 9
    assert book.column("SELECT max(slot) FROM call_answer")[0] <= 9
    assert len(ended(book)) == 294
    assert verify(book.path).is_clean


def traffic(seed: int, calls: int) -> Steps:
    """Steps of many calls, each call's in order, otherwise mixed."""
    chance = random.Random(seed)
    left = {}
    for number in range(calls):
        kinds = ([Step.CLOSE], [Step.OPEN, Step.CLOSE], [Step.OPEN, Step.ANSWER, Step.CLOSE], [Step.OPEN])
        left[f"r{number:03d}"] = list(chance.choice(kinds))
    steps = []
    while left:
        record_id = chance.choice(list(left)[:8])
        steps.append((left[record_id].pop(0), record_id))
        if not left[record_id]:
            del left[record_id]
    return steps


@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=30))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_grouping_gives_the_same_books(
    tmp_path_factory: pytest.TempPathFactory, make_record: MakeRecord, seed: int, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("books")
    book = Book(folder / "records.db", open_key(folder), make_record)
    book.connection.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug here
    steps = traffic(seed, 25)
    chance = random.Random(seed)
    at = 0
    try:
        for turn in range(len(steps)):
            group = steps[at : at + sizes[turn % len(sizes)]]
            at += len(group)
            if chance.random() < 0.2:  # a group that fails half-way must leave no trace, in memory either
                with pytest.raises(Unfit):
                    book.write([*group, (Step.ANSWER, "nobody")])
            book.write(group)
        closed = [record_id for step, record_id in steps if step is Step.CLOSE]
        still_open = {record_id for step, record_id in steps if step is Step.OPEN} - set(closed)
        assert ended(book) == closed
        assert opened(book) == sorted(still_open)
        assert counters(book) == [("veil-1", "2026-11-24", len(closed) + len(still_open), len(closed))]
        assert verify(book.path).is_clean
    finally:
        book.connection.close()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 31, 32, 33, 71])
def test_any_number_of_rows_at_once(book: Book, count: int) -> None:
    """Some are stored together: each stands where it would by itself, and holds what it would."""
    ids = [f"r{number:03d}" for number in range(count)]
    book.write([(Step.OPEN, one) for one in ids])
    assert book.connection.execute("SELECT slot, record_id FROM call_open ORDER BY slot").fetchall() == [
        (slot, one) for slot, one in enumerate(ids, 1)
    ]
    book.write([(Step.OPEN, one) for one in ids] + [(Step.ANSWER, one) for one in ids], egress_peer="second")
    for table in ("call_open", "call_answer"):
        rows = book.connection.execute(f"SELECT record_id, egress_peer FROM {table} ORDER BY slot").fetchall()
        assert rows == [(one, "second") for one in ids]
    book.write([(Step.CLOSE, one) for one in reversed(ids)])
    assert book.connection.execute("SELECT rowid, seq, record_id FROM cdr ORDER BY rowid").fetchall() == [
        (number, number, one) for number, one in enumerate(reversed(ids), 1)
    ]
    together = book.connection.execute("SELECT * FROM cdr WHERE record_id = 'r000'").fetchone()
    assert counters(book) == [("veil-1", "2026-11-24", count, count)]
    assert verify(book.path).is_clean
    book.write([(Step.CLOSE, "alone")])
    alone = book.connection.execute("SELECT * FROM cdr WHERE record_id = 'alone'").fetchone()
    own = [FIELDS.index(name) for name in ("record_id", "seq", "caller_call_id", "callee_call_id", "prev_hash", "hash")]
    assert [each for at, each in enumerate(alone) if at not in own and together[at] != each] == [alone[-2]]


@pytest.mark.parametrize("bad", [0, 3, 7, 8, 20])
def test_a_bad_row_among_many_takes_all_back(book: Book, bad: int) -> None:
    book.write([(Step.CLOSE, "there")])
    ids = [f"r{number:03d}" for number in range(20)]
    ids.insert(bad, "there")
    with pytest.raises(sqlite3.IntegrityError):
        book.write([(Step.CLOSE, one) for one in ids])
    assert (ended(book), counters(book)) == (["there"], [("veil-1", "2026-11-24", 1, 1)])
    ids.remove("there")
    book.write([(Step.CLOSE, one) for one in ids])
    assert ended(book) == ["there", *ids]
    assert verify(book.path).is_clean


def test_what_did_not_happen_is_stored_as_null(book: Book) -> None:
    book.write([(Step.OPEN, "a"), (Step.CLOSE, "b")])
    query = "SELECT group_member, call_out_time, ring_time, answer_time FROM"
    for table in ("call_open", "cdr"):
        assert book.connection.execute(f"{query} {table}").fetchall() == [(None,) * 4]
