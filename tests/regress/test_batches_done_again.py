"""A batch with a bad row, cut off and loaded again, counted its ends twice; a bug of the loader ended it unseen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.records import RECORD_COLUMNS, CallRecord, Step
from engine.store.crypto import open_key
from engine.store.ledger import Ledger
from engine.store.loader import Loader
from tests.store.desk import NOW_S, Desk


def _record(record_id: str) -> CallRecord:
    record = CallRecord(record_id, "veil-1", "voice")
    record.call_time = NOW_S
    return record


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "records.db", open_key(tmp_path), _record)
    yield desk
    desk.writer.stop()


@pytest.mark.pure
def test_its_ends_are_counted_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    write, cuts = Ledger.write, [1]

    def cut_off(self: Ledger, opens: Any, answers: Any, closings: Any, *more: Any, **options: Any) -> None:
        if options.get("position") and not closings and cuts:  # the last thing of a batch that is written row by row
            cuts.pop()
            raise sqlite3.OperationalError("disk I/O error")
        write(self, opens, answers, closings, *more, **options)

    monkeypatch.setattr(Ledger, "write", cut_off)
    values = list(_record("bad").snapshot())
    values[RECORD_COLUMNS.index("octets")] = 1.5  # no column holds it
    desk.close_many("a")
    assert desk.writer.submit(Step.CLOSE, tuple(values), None, (Step.CLOSE, "bad"))
    desk.close_many("b")
    desk.writer.start()
    assert all(desk.outcomes(3).values())
    desk.until(lambda: not desk.writer.unloaded_bytes)
    assert not cuts
    assert desk.stored() == ["a", "b"]
    assert (desk.writer.written, desk.writer.lost) == (2, 1)


@pytest.mark.pure
def test_what_nobody_has_thought_of_is_shown_and_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    load, faults, told = Loader.load, [1], []

    def stumble(self: Loader, until: Any) -> bool:
        told.append(desk.writer.load_fault)
        if until is not None and faults:
            faults.pop()
            raise RuntimeError("13800138000")
        return load(self, until)

    monkeypatch.setattr(Loader, "load", stumble)
    desk.writer.start()
    desk.close_many("a")
    assert all(desk.outcomes(1).values())
    desk.until(lambda: desk.stored() == ["a"])
    assert "journal: RuntimeError when it was loaded" in told
    desk.until(lambda: not desk.writer.load_fault)
