"""Long work lets others have the interpreter between its pieces."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.records import CallRecord, Step
from engine.store.breathing import ROWS_AT_ONCE, breathing
from engine.store.crypto import NumberCipher
from engine.store.loader import STEPS_AT_ONCE
from engine.store.segment import encoded_step
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


def test_a_load_breathes_when_it_decodes_steps_makes_rows_and_hashes_them(
    records_db: Path, cipher: NumberCipher, make_record: MakeRecord, breaths: list[float]
) -> None:
    mill = Mill(records_db, cipher, make_record)
    ids = [f"r{n:03d}" for n in range(3 * ROWS_AT_ONCE)]
    steps = [encoded_step(int(Step.CLOSE), make_record(record_id).snapshot(), None) for record_id in ids]
    mill.loader.fresh.put(mill.journal.append(steps, len(steps)))
    mill.load(mill.journal.end)
    assert len(mill.recorded) == 3 * ROWS_AT_ONCE
    assert len(breaths) == 3 * 2
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
