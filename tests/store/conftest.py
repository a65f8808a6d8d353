"""A data folder with its key, and records as the core would hand them over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.records import Attempt, CallRecord
from engine.store.binding_reader import IN_C
from engine.store.crypto import NumberCipher, open_key
from engine.store.inventory import apply_inventory, read_inventory
from tests.sipstack.scans import compile_c
from tests.store.desk import Desk

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


INVENTORY = """
[[app_platform]]
id = "ap-demo"
name = "Demo platform"
licence_no = "B2-20250001"
approval_no = "700-2025-001"
state = "active"
[[business_user]]
id = "bu-express"
app_platform = "ap-demo"
name = "Demo Express"
uscc = "91110000000000000X"
state = "active"
[[business_user]]
id = "bu-other"
app_platform = "ap-demo"
name = "Other"
uscc = "91110000000000001X"
state = "active"
[[contract]]
id = "c-1"
app_platform = "ap-demo"
business_user = "bu-express"
from = "2026-01-01"
to = "2036-12-31"
[[scenario]]
code = "express"
risk_class = 1
modes = ["AXB"]
max_ttl_s = 2592000
[[number_block]]
prefix = "70012345678"
operator = "1"
app_platform = "ap-demo"
business_user = "bu-express"
certificate_no = "CERT-1"
state = "assigned"
[[number_block]]
prefix = "70012345679"
operator = "1"
app_platform = "ap-demo"
business_user = "bu-express"
certificate_no = "CERT-1"
state = "granted"
[[number_block]]
prefix = "70013800138"
operator = "1"
app_platform = "ap-demo"
business_user = "bu-express"
certificate_no = "CERT-1"
state = "assigned"
"""


@pytest.fixture
def inventory_file(tmp_path: Path) -> Path:
    """The inventory of contract §4, with a second business user and two more blocks."""
    file = tmp_path / "inventory.toml"
    file.write_text(INVENTORY)
    return file


@pytest.fixture
def stocked(bindings_db: Path, cipher: NumberCipher, inventory_file: Path) -> Path:
    """bindings.db with that inventory."""
    apply_inventory(bindings_db, cipher, read_inventory(inventory_file), wall_s=NOW)
    return bindings_db


@pytest.fixture(scope="session")
def target_reader(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What reads targets in C: the one that is used, or would be."""
    if IN_C is not None:
        return IN_C
    try:
        return compile_c("engine.store.target_read", tmp_path_factory.mktemp("c")).TargetReader
    except ImportError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["by the library", "in C"])
def read_by(request: pytest.FixtureRequest) -> Any:
    """What a `BindingReader` reads with."""
    return None if request.param == "by the library" else request.getfixturevalue("target_reader")


@pytest.fixture
def desk(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Desk]:
    desk = Desk(records_db, cipher, make_record)
    yield desk
    if desk.writer.is_alive():
        desk.writer.stop()


@pytest.fixture
def intruder(desk: Desk) -> Iterator[sqlite3.Connection]:
    """Another connection to the same file."""
    connection = sqlite3.connect(desk.path, isolation_level=None)
    yield connection
    connection.close()
