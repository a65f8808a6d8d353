"""A data folder of the release before: its open calls get their records, and the chain goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine.core.records import CallRecord
from engine.store import database
from engine.store.crypto import NumberCipher
from engine.store.rows import ANSWER_COLUMNS, OPEN_COLUMNS, RowMaker, extra_to_json
from engine.store.verify import verify
from tests.store.chain_book import MakeRecord
from tests.store.writing import recover, take_over

# As it froze an answered call: two dialogs, the 2xx, and where it goes.
_DIALOG = ("call-id", "<sip:a@127.0.0.1>;tag=l", "<sip:b@127.0.0.1>;tag=r", 1, 2, "sip:127.0.0.13:5060", ())
_FROZEN = (_DIALOG, _DIALOG, b"SIP/2.0 200 OK\r\n\r\n", "UDP", "127.0.0.13", 5060)


def leave_behind(path: Path, cipher: NumberCipher, opened: list[CallRecord], answered: list[CallRecord]) -> None:
    """records.db as that release has made it, with the rows of calls in progress."""
    connection = sqlite3.connect(path)
    connection.executescript((database._SCHEMA / "records.001.sql").read_text(encoding="utf-8"))
    connection.execute("PRAGMA user_version = 1")
    maker = RowMaker(cipher, "last boot")
    columns = ("slot", *OPEN_COLUMNS, "boot_id", "key_id")
    for slot, record in enumerate(opened, 1):
        *values, _epoch = maker.open_row(record.snapshot())
        empty = [None if value == "" and name.endswith(("_time", "_member")) else value
                 for name, value in zip(columns[1:], values, strict=True)]  # fmt: skip
        _insert(connection, "call_open", columns, (slot, *empty))
    columns = ("slot", "record_id", *ANSWER_COLUMNS, "dialogs", "key_id")
    for slot, record in enumerate(answered, 1):
        row = maker.answer_row(record.snapshot(), extra_to_json(_FROZEN))
        _insert(connection, "call_answer", columns, (slot, *row))
    day = "2026-11-24"
    connection.execute("INSERT INTO counter VALUES ('veil-1', ?, ?, 0)", (day, len(opened)))
    connection.commit()
    connection.close()


def _insert(connection: sqlite3.Connection, table: str, columns: tuple[str, ...], values: tuple[object, ...]) -> None:
    places = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", values)


def test_what_it_left_open_is_closed(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, now: float
) -> None:
    rang, talked = make_record("a", ring_time=now + 1), make_record("b", answer_time=now + 3)
    leave_behind(records_db, cipher, [rang, make_record("b")], [talked])
    assert recover(records_db, cipher) == []
    begun = take_over(records_db, cipher, "veil-1", now + 13)
    assert (begun.epoch, begun.answered, [one.record_id for one in begun.unfinished]) == (1, [], ["a"])
    connection = sqlite3.connect(records_db)
    ended = connection.execute("SELECT record_id, release_cause, sip_status, duration_ms FROM cdr ORDER BY seq")
    assert ended.fetchall() == [("a", "NODE_RESTART", 500, 0), ("b", "NODE_RESTART", 200, 10_000)]
    for table in ("call_open", "call_answer"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.close()
    assert verify(records_db, wall_s=now).is_clean
