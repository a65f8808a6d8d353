"""`cdr verify` names the day whose anchor is wrong or missing, and what anchors find that the chain alone does not."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from engine.core.records import FIELDS, chain_hash
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError
from engine.store.rows import CDR_COLUMNS
from engine.store.signing import open_signing_key
from engine.store.verify import verify
from tests.store.chain_book import DAY_S, Book, MakeRecord

# Outside the hash, and nothing that a bill or an inquiry asks for.
UNHASHED = ("caller_cseq", "caller_branch")


@pytest.fixture
def book(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Book]:
    """Five records on 11-24, none on 11-25, four on 11-26, two on 11-27, which is running; one call is open."""
    book = Book(records_db, cipher, make_record)
    book.close(5)
    book.now_s += 2 * DAY_S
    book.open("still-open")
    book.close(4)
    book.now_s += DAY_S
    book.close(2)
    yield book
    book.connection.close()


def test_a_chain_of_days_is_clean(book: Book) -> None:
    node = book.verify()
    assert node.faults == ()
    assert (node.records, node.last_seq, node.open, node.purged) == (11, 11, 1, 0)
    assert node.signed_day == "2026-11-26"
    (last_hash,) = book.connection.execute("SELECT hash FROM cdr WHERE seq = 11").fetchone()
    assert node.last_hash == last_hash


@pytest.mark.parametrize(
    ("statement", "day", "reason"),
    [
        ("DELETE FROM anchor WHERE day = '2026-11-23'", "2026-11-24", "the anchor does not follow the one before"),
        ("DELETE FROM anchor WHERE day = '2026-11-25'", "2026-11-25", "the anchor is missing"),
        ("DELETE FROM anchor WHERE day = '2026-11-26'", "2026-11-26", "the anchor is missing"),
        (
            "DELETE FROM anchor WHERE day IN ('2026-11-24', '2026-11-25')",
            "2026-11-24",
            "the anchor is missing, so are those to 2026-11-25",
        ),
        ("DELETE FROM anchor", "2026-11-26", "no day has been signed"),
        ("UPDATE anchor SET day = '2026-11-31' WHERE day = '2026-11-26'", "2026-11-26", "the anchor is missing"),
        ("UPDATE anchor SET last_seq = 'x' WHERE day = '2026-11-24'", "2026-11-24", "the anchor is damaged"),
        (
            "UPDATE anchor SET signature = randomblob(64) WHERE day = '2026-11-24'",
            "2026-11-24",
            "the signature of the anchor is wrong",
        ),
        ("UPDATE anchor SET key_id = 'k' WHERE day = '2026-11-24'", "2026-11-24", "key that is not known, k"),
        ("UPDATE anchor SET records = 4 WHERE day = '2026-11-24'", "2026-11-24", "counts 4 records from seq 0 to 5"),
        ("UPDATE anchor SET last_seq = 4 WHERE day = '2026-11-24'", "2026-11-24", "the signature of the anchor"),
        (
            "UPDATE anchor SET last_hash = 'h' WHERE day = '2026-11-24'",
            "2026-11-24",
            "its last record, seq 5, was signed with another hash",
        ),
        (
            "UPDATE anchor SET last_hash = 'h' WHERE day = '2026-11-25'",
            "2026-11-25",
            "another hash than the one before",
        ),
    ],
)
def test_a_wrong_or_missing_anchor_is_named(book: Book, statement: str, day: str, reason: str) -> None:
    book.tamper(statement)
    node = book.verify()
    assert node.bad_day == day
    assert any(fault.startswith(f"{day}: ") and reason in fault for fault in node.faults), node.faults


def rewrite(book: Book, seq: int) -> None:
    """Change a record and give it and all behind it hashes that fit."""
    names = ", ".join(FIELDS)
    rows = book.connection.execute(f"SELECT {names} FROM cdr WHERE seq >= ? ORDER BY seq", (seq,)).fetchall()
    prev_hash = rows[0][-2]
    statements = []
    for row in rows:
        values = list(row)
        if values[FIELDS.index("seq")] == seq:
            values[FIELDS.index("bill_seconds")] = 9999
        found = chain_hash(prev_hash, values[:-2])
        billed, at = values[FIELDS.index("bill_seconds")], values[FIELDS.index("seq")]
        statements.append(
            f"UPDATE cdr SET bill_seconds = {billed}, prev_hash = '{prev_hash}', hash = '{found}' WHERE seq = {at}"
        )
        prev_hash = found
    book.tamper(*statements)


def test_a_chain_that_was_rewritten_is_found_by_the_anchor_of_the_day(book: Book) -> None:
    rewrite(book, 3)
    node = book.verify()
    assert node.bad_day == "2026-11-24"
    assert "seq 5, was signed with another hash: the chain was rewritten" in node.faults[0]


def test_what_no_anchor_has_seen_can_be_rewritten(book: Book) -> None:
    """As docs/records.md says: the day that is running is not signed. A noted hash shows it."""
    noted = book.verify().last_hash
    rewrite(book, 10)
    node = book.verify()
    assert node.faults == ()
    assert node.last_hash != noted


@pytest.mark.parametrize("kept", [0, 3, 5, 8])
def test_an_end_that_was_cut_off_with_its_counters_is_found(book: Book, kept: int) -> None:
    book.tamper(
        f"DELETE FROM cdr WHERE seq > {kept}",
        "DELETE FROM counter",
        "INSERT INTO counter SELECT node, substr(call_time, 1, 10), count(*), count(*) FROM cdr GROUP BY 1, 2",
        "DELETE FROM call_open",
    )
    node = book.verify()
    day = "2026-11-24" if kept < 5 else "2026-11-26"
    assert node.bad_day == day
    assert node.bad_seq == kept + 1
    assert f"{day}: signed up to seq {5 if kept < 5 else 9}, but the records end at seq {kept}" in node.faults


def test_a_key_kept_elsewhere_finds_anchors_signed_anew(book: Book, tmp_path: Path) -> None:
    """Who may write the folder can replace key and anchors; the auditor's copy of the public key tells."""
    kept = tmp_path / "kept.pub"
    kept.write_bytes(book.path.with_name("signing_key.pub").read_bytes())
    assert book.verify(public_key=kept).faults == ()
    book.path.with_name("signing_key").unlink()
    book.path.with_name("signing_key.pub").unlink()
    book.tamper("DELETE FROM anchor")
    book.start()
    book.ledger.write([], [], [])
    assert book.verify().faults == ()  # what lies beside the anchors agrees with them
    node = book.verify(public_key=kept)
    assert node.bad_day == "2026-11-26"
    assert "signed with a key that is not known" in node.faults[0]


def test_a_key_that_was_replaced_by_the_node_goes_on(book: Book) -> None:
    book.path.with_name("signing_key").unlink()
    book.start()
    book.now_s += DAY_S
    book.close()
    assert len({anchor.key_id for anchor in book.anchors()}) == 2
    assert book.verify().faults == ()


def test_without_a_public_key_nothing_can_be_said(book: Book) -> None:
    book.path.with_name("signing_key.pub").unlink()
    with pytest.raises(StoreError, match=r"signing_key\.pub: No such file"):
        verify(book.path)


def test_anchors_of_a_node_that_was_down_are_not_missed(book: Book) -> None:
    book.now_s += 20 * DAY_S
    assert book.verify().faults == ()
    book.start()
    book.ledger.write([], [], [])
    assert book.verify().faults == ()
    assert book.verify().signed_day == "2026-12-16"


@pytest.mark.parametrize(
    ("since", "records"),
    [
        ("2026-11-20", 11),
        ("2026-11-24", 11),
        ("2026-11-25", 6),
        ("2026-11-26", 6),
        ("2026-11-27", 2),
        ("2027-01-01", 2),
    ],
)
def test_since_a_day_only_its_records_and_later_ones_are_read(book: Book, since: str, records: int) -> None:
    node = book.verify(since=since)
    assert (node.records, node.last_seq, node.faults) == (records, 11, ())


def test_since_a_day_finds_what_was_changed_behind_it_and_nothing_before(book: Book) -> None:
    book.tamper("UPDATE cdr SET bill_seconds = 9 WHERE seq IN (2, 7)")
    assert book.verify(since="2026-11-25").bad_seq == 7
    assert book.verify(since="2026-11-27").faults == ()
    assert book.verify().bad_seq == 2
    book.tamper("DELETE FROM cdr WHERE seq = 6")
    assert book.verify(since="2026-11-25").faults[0].startswith("seq 6: missing, seq 7")


def test_since_a_day_the_anchors_before_it_are_checked_too(book: Book) -> None:
    book.tamper("DELETE FROM anchor WHERE day = '2026-11-24'")
    assert book.verify(since="2026-11-27").bad_day == "2026-11-24"


def test_progress_is_told(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.verify.PROGRESS_ROWS", 5)
    told: list[tuple[int, int]] = []
    book.verify(progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 11), (10, 11)]
    told.clear()
    book.verify(since="2026-11-26", progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 6)]


def test_two_nodes_in_one_file(book: Book, cipher: NumberCipher, make_record: MakeRecord) -> None:
    """Each has its chain and its anchors; `since` starts each at its own."""
    other = Book(book.path, cipher, lambda record_id, **changes: make_record(f"o{record_id}", node="veil-2", **changes))
    other.connection.close()
    from engine.store.ledger import Ledger

    ledger = Ledger(book.connection, "veil-2", open_signing_key(book.path.parent), lambda: book.now_s)
    closings = [book.maker.closing(make_record(f"o{n}", node="veil-2", call_time=book.now_s).snapshot()) for n in "ab"]
    ledger.write([], [], closings)
    book.close(1)
    reports = verify(book.path, wall_s=book.now_s, since="2026-11-27").nodes
    assert [(node.node, node.records, node.faults) for node in reports] == [("veil-1", 3, ()), ("veil-2", 2, ())]
    book.now_s += DAY_S
    book.close(1)
    reports = verify(book.path, wall_s=book.now_s, since="2026-11-28").nodes
    assert [(node.node, node.records, node.faults) for node in reports] == [("veil-1", 1, ()), ("veil-2", 2, ())]
    book.tamper("UPDATE cdr SET q850 = 99 WHERE node = 'veil-2' AND seq = 2")
    reports = verify(book.path, wall_s=book.now_s, since="2026-11-27").nodes
    assert [node.bad_seq for node in reports] == [None, 2]


@given(seed=st.integers(0, 10**9), seq=st.integers(1, 11), column=st.sampled_from(CDR_COLUMNS))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_bit_of_any_column_of_any_record_is_named(book: Book, seed: int, seq: int, column: str) -> None:
    """But of the two that only tell a repeat from a new attempt."""
    chance = random.Random(seed)
    (before,) = book.connection.execute(f"SELECT {column} FROM cdr WHERE seq = {seq}").fetchone()
    after = _flipped(before, chance)
    change = "CAST(? AS TEXT)" if isinstance(before, str) or before is None else "?"
    connection = sqlite3.connect(book.path, isolation_level=None)
    connection.execute("DROP TRIGGER IF EXISTS cdr_is_never_changed")
    (row,) = connection.execute("SELECT rowid FROM cdr WHERE seq = ?", (seq,)).fetchone()
    try:
        connection.execute(f"UPDATE cdr SET {column} = {change} WHERE rowid = ?", (after, row))
    except sqlite3.IntegrityError:  # two of one name cannot be in the table
        connection.close()
        reject()
    try:
        report = verify(book.path, wall_s=book.now_s)
    finally:
        connection.execute(f"UPDATE cdr SET {column} = ? WHERE rowid = ?", (before, row))
        connection.close()
    named = [node.bad_seq for node in report.nodes if node.node == "veil-1"]
    assert named == ([None] if column in UNHASHED else [seq])
    assert all(node.faults[0].startswith(f"seq {seq}") for node in report.nodes if node.bad_seq == seq)
    assert verify(book.path, wall_s=book.now_s).is_clean


def _flipped(value: object, chance: random.Random) -> object:
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(20)
    octets = bytearray(value.encode() if isinstance(value, str) else value or b"\0")  # type: ignore[arg-type]
    octets = octets or bytearray(b"\0")
    octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return bytes(octets)
