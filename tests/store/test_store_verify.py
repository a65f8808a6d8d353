"""`cdr verify` finds what was changed, removed or moved, and where."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.records import FIELDS, CallRecord
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.errors import StoreError
from engine.store.ledger import Ledger
from engine.store.rows import RowMaker
from engine.store.signing import open_signing_key
from engine.store.verify import verify

MakeRecord = Callable[..., CallRecord]
NODE = "veil-1"


@pytest.fixture
def book(records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float) -> Path:
    """Nine records on two days, two calls open."""
    connection = open_database(records_db, RECORDS, cipher)
    maker = RowMaker(cipher, "boot")
    ends = [make_record(f"r{seq}", call_time=now + (86_400 if seq > 5 else 0)) for seq in range(1, 10)]
    Ledger(connection, NODE, open_signing_key(records_db.parent)).write(
        [maker.open_row(make_record(name).snapshot()) for name in ("open1", "open2")],
        [],
        [maker.closing(one.snapshot()) for one in ends],
    )
    connection.close()
    return records_db


def tamper(path: Path, *statements: str) -> None:
    """As somebody would who may write the file: the triggers are no obstacle to him."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DROP TRIGGER cdr_is_never_changed")
    connection.execute("DROP TRIGGER cdr_is_never_deleted")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def faults(path: Path) -> tuple[int | None, tuple[str, ...]]:
    report = verify(path)
    assert report.is_clean == (not report.nodes[0].faults)
    return report.nodes[0].bad_seq, report.nodes[0].faults


def test_a_store_as_it_was_written_is_clean(book: Path) -> None:
    node = verify(book).nodes[0]
    assert (node.node, node.records, node.last_seq, node.open) == (NODE, 9, 9, 2)
    assert (node.bad_seq, node.faults) == (None, ())
    assert verify(book).records == 9


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in ("seq", "hash", "prev_hash", "node")])
def test_a_change_of_any_field_is_found(book: Path, name: str) -> None:
    tamper(book, f"UPDATE cdr SET {name} = CAST(coalesce({name}, '') AS TEXT) || '1' WHERE seq = 4")
    bad_seq, reasons = faults(book)
    assert bad_seq == 4
    record = "r41" if name == "record_id" else "r4"
    assert reasons[0] == f"seq 4, record {record}: changed: its content does not match its hash"


@pytest.mark.parametrize("name", ["caller", "callee", "tel_x", "attempts"])
def test_a_change_of_one_byte_is_found(book: Path, name: str) -> None:
    """Bytes that are no text included."""
    tamper(book, f"UPDATE cdr SET {name} = CAST(substr(CAST({name} AS BLOB), 2) || x'ff' AS TEXT) WHERE seq = 9")
    assert faults(book)[0] == 9


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "UPDATE cdr SET callee = NULL WHERE seq = 3",
            "seq 3, record r3: changed: its content does not match its hash",
        ),
        (
            "UPDATE cdr SET group_member = '' WHERE seq = 3",
            "seq 3, record r3: changed: its content does not match its hash",
        ),
        ("UPDATE cdr SET q850 = 1.5 WHERE seq = 3", "seq 3, record r3: changed: a record holds no float"),
        ("UPDATE cdr SET hash = 'x' || substr(hash, 2) WHERE seq = 3", "seq 3, record r3: changed"),
        ("UPDATE cdr SET prev_hash = 'x' || substr(prev_hash, 2) WHERE seq = 3", "seq 3, record r3: prev_hash is not"),
        ("DELETE FROM cdr WHERE seq = 3", "seq 3: missing, seq 4 (record r4) stands in its place"),
        ("DELETE FROM cdr WHERE seq = 1", "seq 1: missing, seq 2 (record r2) stands in its place"),
        ("UPDATE cdr SET seq = 30 WHERE seq = 3", "seq 3: missing, seq 30 (record r3) stands in its place"),
    ],
)
def test_the_first_fault_is_named(book: Path, statement: str, reason: str) -> None:
    tamper(book, statement)
    bad_seq, reasons = faults(book)
    assert bad_seq == int(reason.split()[1].rstrip(":,"))
    assert reasons[0].startswith(reason)


def test_records_that_changed_places_are_found(book: Path) -> None:
    swap = "UPDATE cdr SET seq = {} WHERE seq = {}"
    tamper(book, swap.format(100, 4), swap.format(4, 5), swap.format(5, 100))
    assert faults(book)[0] == 4


def test_rows_that_changed_places_are_found(book: Path) -> None:
    move = "UPDATE cdr SET rowid = {} WHERE rowid = {}"
    tamper(book, move.format(100, 4), move.format(4, 5), move.format(5, 100))
    assert faults(book) == (4, ("seq 4: missing, seq 5 (record r5) stands in its place",))


def test_a_record_put_in_between_is_found(book: Path) -> None:
    names = ", ".join(FIELDS[2:])
    tamper(
        book,
        "UPDATE cdr SET rowid = 100 WHERE rowid = 9",
        "UPDATE cdr SET seq = 10 WHERE rowid = 100",
        f"INSERT INTO cdr (rowid, record_id, node, {names}, caller_cseq, caller_branch, key_id)"
        f" SELECT 9, 'new', node, 9, {', '.join(FIELDS[3:])}, 1, '', key_id FROM cdr WHERE seq = 8",
    )
    assert faults(book)[0] == 9


@pytest.mark.parametrize("kept", range(9))
def test_a_tail_that_was_cut_off_is_found(book: Path, kept: int) -> None:
    """The chain that is left is whole; the counters know better."""
    tamper(book, f"DELETE FROM cdr WHERE seq > {kept}")
    bad_seq, reasons = faults(book)
    assert bad_seq == kept + 1
    assert "2026-11-25: " in reasons[-1]
    assert reasons[-1].endswith("0 open, 4 attempts were begun")


def test_an_open_call_that_was_removed_is_found(book: Path) -> None:
    tamper(book, "DELETE FROM call_open WHERE record_id = 'open1'")
    assert faults(book) == (10, ("2026-11-24: 5 records and 1 open, 7 attempts were begun",))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM counter WHERE day = '2026-11-25'", "2026-11-25: 4 records, 0 were written"),
        ("UPDATE counter SET records = 6 WHERE day = '2026-11-24'", "2026-11-24: 5 records, 6 were written"),
        (
            "UPDATE counter SET attempts = 6 WHERE day = '2026-11-24'",
            "2026-11-24: 5 records and 2 open, 6 attempts were begun",
        ),
        ("INSERT INTO counter VALUES ('veil-1', '2026-11-30', 1, 0)", "2026-11-30: 0 records and 0 open, 1 attempts"),
    ],
)
def test_counters_that_do_not_fit_are_found(book: Path, statement: str, reason: str) -> None:
    tamper(book, statement)
    assert faults(book)[1][0].startswith(reason)


def test_records_of_a_node_that_is_hidden_are_found(book: Path) -> None:
    tamper(book, "UPDATE cdr SET node = 'other' WHERE seq >= 8")
    report = verify(book)
    assert [(node.node, bool(node.faults)) for node in report.nodes] == [("other", True), (NODE, True)]
    assert not report.is_clean


def test_a_running_writer_does_not_disturb(
    book: Path, cipher: NumberCipher, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records committed while the check runs belong to the next check."""
    from engine.store import verify as module

    real = module._verify

    def verify_with_traffic(connection: sqlite3.Connection, *rest: object) -> object:
        assert connection.execute("SELECT count(*) FROM cdr").fetchone() == (9,)
        writer = open_database(book, RECORDS, cipher)
        Ledger(writer, NODE, open_signing_key(book.parent)).write(
            [], [], [RowMaker(cipher, "b").closing(make_record("new").snapshot())]
        )
        writer.close()
        return real(connection, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_verify", verify_with_traffic)
    assert verify(book).records == 9
    monkeypatch.undo()
    assert verify(book).records == 10
    assert verify(book).is_clean


def test_a_missing_or_damaged_file_is_one_clear_line(data_dir: Path, book: Path) -> None:
    with pytest.raises(StoreError, match=r"records\.db: no such file"):
        verify(data_dir / "other" / "records.db")
    content = bytearray(book.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    book.write_bytes(content)
    with pytest.raises(StoreError, match="damaged, or not a database"):
        verify(book)
