"""A data folder with its key, and records as the core would hand them over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.records import Attempt, CallRecord
from engine.store.crypto import NumberCipher, open_key

NOW = 1_795_482_123.456  # 2026-11-24T01:02:03.456Z

MakeRecord = Callable[..., CallRecord]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def cipher(data_dir: Path) -> NumberCipher:
    return open_key(data_dir)


@pytest.fixture
def records_db(data_dir: Path, cipher: NumberCipher) -> Path:
    return data_dir / "records.db"


@pytest.fixture
def bindings_db(data_dir: Path, cipher: NumberCipher) -> Path:
    return data_dir / "bindings.db"


@pytest.fixture
def make_record() -> MakeRecord:
    """record_id, then attributes that differ from an ordinary call."""

    def make(record_id: str, **changes: object) -> CallRecord:
        record = CallRecord(record_id, "veil-1", "voice")
        record.mode, record.subs_id, record.binding_version = "AXB", "s1", 1
        record.app_platform, record.business_user, record.order_id = "ap-demo", "bu-express", "order-1"
        record.scenario, record.tel_x, record.presented_number = "express", "700123456780001", "700123456780001"
        record.caller, record.callee = "13800138000", "13900139000"
        record.ingress_peer = record.egress_peer = "core"
        record.attempts.append(Attempt("core", "sip:127.0.0.13:5060"))
        record.caller_call_id, record.callee_call_id = f"{record_id}@127.0.0.12", "abcdef"
        record.caller_cseq, record.caller_branch = 1, f"z9hG4bK{record_id}"
        record.call_time = NOW
        record.decided_by = "binding"
        for name, value in changes.items():
            setattr(record, name, value)
        return record

    return make


@pytest.fixture
def now() -> float:
    return NOW


@pytest.fixture
def rows() -> Iterator[Callable[..., list[sqlite3.Row]]]:
    """Rows of a query on a database file, by a connection of its own."""
    connections: list[sqlite3.Connection] = []

    def query(path: Path, sql: str, *parameters: object) -> list[sqlite3.Row]:
        connection = sqlite3.connect(path, isolation_level=None)
        connections.append(connection)
        connection.row_factory = sqlite3.Row
        return connection.execute(sql, parameters).fetchall()

    yield query
    for connection in connections:
        connection.close()
