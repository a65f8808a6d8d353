"""A writer that was stuck in its first group when it was stopped had that group's segment loaded and removed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from engine.core.records import CallRecord
from engine.recording import client
from engine.store import journal
from engine.store.crypto import open_key
from engine.store.journal import segment_numbers
from tests.store.desk import NOW_S, PATIENCE_S, Desk
from tests.store.writing import recover


def _record(record_id: str) -> CallRecord:
    record = CallRecord(record_id, "veil-1", "voice")
    record.call_time = NOW_S
    return record


@pytest.mark.pure
def test_the_next_start_loads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, is_stuck, goes_on = journal._write_through, threading.Event(), threading.Event()

    def stuck(file: int, data: bytes, offset: int) -> None:
        write(file, data[:20], offset)
        is_stuck.set()
        assert goes_on.wait(PATIENCE_S)
        write(file, data, offset)

    monkeypatch.setattr(journal, "_write_through", stuck)
    monkeypatch.setattr(client, "STOP_WAIT_S", 0.01)
    cipher = open_key(tmp_path)
    desk = Desk(tmp_path / "records.db", cipher, _record)
    desk.writer.start()
    desk.close_many("a")
    assert is_stuck.wait(PATIENCE_S)
    desk.writer.in_loop(desk.writer.client.stop)  # which does not wait for who is stuck
    assert segment_numbers(desk.folder) == [1]
    goes_on.set()
    desk.writer.stop()
    assert recover(desk.path, cipher) == []
    assert desk.stored() == ["a"]
