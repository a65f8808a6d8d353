"""A node that had not had a call since its start signed no day before the first one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.records import GENESIS_HASH, CallRecord
from engine.store.anchors import read_anchors
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database
from tests.store.chain_book import NODE
from tests.store.desk import Desk


def _no_record(record_id: str) -> CallRecord:
    raise AssertionError(f"{record_id}: this node has none")


def test_a_day_is_signed_without_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.loading.IDLE_S", 0.01)
    cipher = open_key(tmp_path)
    make: Callable[..., CallRecord] = _no_record
    desk = Desk(tmp_path / "records.db", cipher, make)
    connection = open_database(desk.path, RECORDS, cipher)
    desk.writer.start()
    try:
        desk.until(lambda: bool(list(read_anchors(connection, NODE))))
        (anchor,) = read_anchors(connection, NODE)
        assert (anchor.last_seq, anchor.last_hash) == (0, GENESIS_HASH)
    finally:
        desk.writer.stop()
        connection.close()
