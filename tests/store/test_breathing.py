"""Long work lets others have the interpreter between its pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.records import CallRecord, Step
from engine.store import loader
from engine.store.breathing import ROWS_AT_ONCE, breathing
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database
from engine.store.ledger import Ledger
from engine.store.loader import STEPS_AT_ONCE
from engine.store.rows import RowMaker
from engine.store.segment import StoredStep, decoded_step, encoded_step
from engine.store.signing import open_signing_key
from tests.store.test_store_fresh import Mill

MakeRecord = Callable[..., CallRecord]


@pytest.fixture
def breaths(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    return taken


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE])
def test_all_of_them_in_order_and_a_breath_between_pieces(breaths: list[float], count: int) -> None:
    items = list(range(count))
    assert list(breathing(items)) == items
    assert len(breaths) == max(0, count - 1) // ROWS_AT_ONCE


def test_records_are_stored_soon_after_they_are_made(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    """Each that is stored is a breath."""
    connection = open_database(records_db, RECORDS, cipher)
    ledger, maker = Ledger(connection, "veil-1", open_signing_key(records_db.parent)), RowMaker(cipher, "boot")
    made: list[int] = []
    waiting: list[int] = []
    before = connection.total_changes

    def storing(sql: str) -> None:
        if " cdr " in sql:
            waiting.append(len(made) - (connection.total_changes - before))

    def rows() -> Iterator[list[object]]:
        for number in range(3 * ROWS_AT_ONCE + 1):
            made.append(number)
            yield maker.closing(make_record(f"r{number:03d}").snapshot())

    ledger.write([], [], [])  # what comes with the first one
    before = connection.total_changes
    connection.set_trace_callback(storing)
    ledger.write([], [], rows())
    connection.set_trace_callback(None)
    assert [row[0] for row in connection.execute("SELECT seq FROM cdr ORDER BY seq")] == [number + 1 for number in made]
    assert max(waiting) == ROWS_AT_ONCE
    connection.close()


@pytest.mark.pure
def test_a_load_decodes_as_much_as_it_stores_at_once(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill = Mill(records_db, cipher, make_record)
    decoded: list[bytes] = []
    waiting: list[int] = []

    def decoding(step: bytes) -> StoredStep:
        decoded.append(step)
        return decoded_step(step)

    def storing(sql: str) -> None:
        if " cdr " in sql:
            waiting.append(len(decoded) - (mill.connection.total_changes - before))

    monkeypatch.setattr(loader, "decoded_step", decoding)
    mill.loader.sign_day("veil-1")  # what comes with the first one
    before = mill.connection.total_changes
    mill.connection.set_trace_callback(storing)
    ids = [f"r{n:03d}" for n in range(3 * ROWS_AT_ONCE)]
    steps = [encoded_step(int(Step.CLOSE), make_record(record_id).snapshot(), None) for record_id in ids]
    mill.loader.fresh.put(mill.journal.append(steps, len(steps)))
    mill.load(mill.journal.end)
    assert len(mill.recorded) == 3 * ROWS_AT_ONCE
    assert max(waiting) == ROWS_AT_ONCE
    mill.connection.set_trace_callback(None)
    mill.journal.close()
    mill.connection.close()


def test_a_load_breathes_when_it_cuts_steps_apart(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, breaths: list[float]
) -> None:
    """Of one attempt, so that nothing else takes long."""
    mill = Mill(records_db, cipher, make_record)
    step = encoded_step(int(Step.OPEN), make_record("a").snapshot(), None)
    for _ in range(3 * STEPS_AT_ONCE // 2):
        mill.loader.fresh.put(mill.journal.append([step, step], 2))
    mill.load(mill.journal.end)
    assert len(breaths) == 3
    mill.journal.close()
    mill.connection.close()
