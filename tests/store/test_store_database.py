"""Opening: schema, pragmas, and every way in which a file cannot be used."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.store import database
from engine.store.audit import AuditRow, read_audit
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, RECORDS, migrate, open_database, open_read_only
from engine.store.errors import StoreError
from engine.store.lock import lock_records

DOMAIN_TABLES = {
    "transition",
    "assignment",
    "restriction",
    "number_pool",
    "pool_block",
    "group_past",
    "x_use",
    "subscriber",
    "number_group",
    "group_member",
    "service_order",
    "blacklist",
    "beside",
    "api_key",
    "api_clock",
    "api_request",
    "outbox",
    "webhook",
    "hook",
    "credit_event",
    "complaint",
    "sqlite_sequence",
}

TABLES = {
    BINDINGS: {
        "app_platform",
        "audit",
        "binding",
        "business_user",
        "contract",
        "meta",
        "number_block",
        "scenario",
        "target",
        *DOMAIN_TABLES,
    },
    RECORDS: {"call_answer", "call_open", "cdr", "counter", "meta", "anchor", "purge", "purged_day"}
    | {"day_call", "event", "feed", "last_caller", "stranger"},
}

VERSIONS = {BINDINGS: 9, RECORDS: 5}


@pytest.mark.parametrize("name", [BINDINGS, RECORDS])
def test_a_new_file_has_the_whole_schema(data_dir: Path, cipher: NumberCipher, name: str) -> None:
    connection = open_database(data_dir / f"{name}.db", name, cipher)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == TABLES[name]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSIONS[name],)
    connection.close()


@pytest.fixture
def of_version(data_dir: Path, cipher: NumberCipher, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], Path]:
    """A bindings.db as a program of that schema version has left it, behind a script."""

    def make(version: int, script: str) -> Path:
        path = data_dir / "bindings.db"
        with monkeypatch.context() as before:
            steps = database._migrations(BINDINGS)[:version]
            before.setattr(database, "_migrations", lambda _name: steps)
            connection = open_database(path, BINDINGS, cipher)
        connection.executescript(script)
        connection.close()
        return path

    return make


def test_an_audit_from_before_has_no_reasons(of_version: Callable[[int, str], Path], cipher: NumberCipher) -> None:
    path = of_version(1, "INSERT INTO audit VALUES (1, '2026-11-24T01:02:03.456Z', 'ops', 'cdr.export', 'reveal')")
    open_database(path, BINDINGS, cipher).close()
    assert list(read_audit(path)) == [AuditRow("2026-11-24T01:02:03.456Z", "ops", "cdr.export", "", "reveal")]


def test_bindings_from_before_keep_their_times(of_version: Callable[[int, str], Path], cipher: NumberCipher) -> None:
    row = "'AXB', '700123456780001', '', x'0a', x'0b', '', 'bu', 'ap', 'o', 's', 2000.0"
    path = of_version(
        2,
        f"INSERT INTO binding VALUES (1, 's1', 1, {row}, 1000.4567, 'unbound', 1500.0, 'k');"
        f"INSERT INTO binding VALUES (4, 's4', 1, {row}, 1600.0, 'active', NULL, 'k');",
    )
    connection = open_database(path, BINDINGS, cipher)
    found = connection.execute("SELECT id, subs_id, tel_b, key_id, expires_at, valid_from, valid_to FROM binding")
    assert found.fetchall() == [
        (1, "s1", b"\x0b", "k", 2000.0, 1000.457, 1500.0),
        (4, "s4", b"\x0b", "k", 2000.0, 1600.0, None),
    ]
    connection.close()


@pytest.mark.parametrize(
    ("script", "is_any"),
    [
        ("", 0),
        ("INSERT INTO scenario (code, risk_class, modes, max_ttl_s) VALUES ('s', 1, '[]', 60)", 0),
        (
            "INSERT INTO scenario (code, risk_class, modes, max_ttl_s, hours) VALUES ('s', 1, '[]', 60, '08:00-22:00')",
            1,
        ),
        ("INSERT INTO restriction VALUES ('everything', '', 'killed', 1, 'me', '')", 1),
        ("INSERT INTO blacklist VALUES ('ap', x'0a', x'', 'both', 1, 'k')", 1),
    ],
)
def test_what_stands_beside_bindings_from_before_is_known(
    of_version: Callable[[int, str], Path], cipher: NumberCipher, script: str, is_any: int
) -> None:
    connection = open_database(of_version(8, script), BINDINGS, cipher)
    assert connection.execute("SELECT * FROM beside").fetchall() == [(1, is_any)]
    connection.close()


def test_opening_again_keeps_the_data(data_dir: Path, cipher: NumberCipher) -> None:
    path = data_dir / "records.db"
    first = open_database(path, RECORDS, cipher)
    first.execute("INSERT INTO counter VALUES ('n', '2026-11-24', 1, 1)")
    first.close()
    second = open_database(path, RECORDS, cipher)
    assert second.execute("SELECT * FROM counter").fetchall() == [("n", "2026-11-24", 1, 1)]
    second.close()


def refusal(path: Path, cipher: NumberCipher) -> str:
    with pytest.raises(StoreError) as caught:
        open_database(path, RECORDS, cipher)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text or path.parent.name in text
    return text


def test_another_key_is_refused(data_dir: Path, cipher: NumberCipher) -> None:
    path = data_dir / "records.db"
    open_database(path, RECORDS, cipher).close()
    other = NumberCipher(b"k" * 64)
    reason = f"written with key {cipher.key_id}, but the key file holds {other.key_id}: restore the key file"
    assert reason in refusal(path, other)
    with pytest.raises(StoreError, match=reason):
        open_read_only(path, other)
    open_read_only(path, cipher).close()


def test_a_newer_schema_is_refused(data_dir: Path, cipher: NumberCipher) -> None:
    path = data_dir / "records.db"
    connection = open_database(path, RECORDS, cipher)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert f"schema version 99 is newer than this program ({VERSIONS[RECORDS]})" in refusal(path, cipher)
    with pytest.raises(StoreError, match=f"schema version 99, this program knows {VERSIONS[RECORDS]}"):
        open_read_only(path, None)


def test_a_file_that_is_no_database_is_refused(data_dir: Path, cipher: NumberCipher) -> None:
    path = data_dir / "records.db"
    path.write_bytes(b"not a database, but long enough to be read as the header of one" * 40)
    before = path.read_bytes()
    assert "damaged, or not a database" in refusal(path, cipher)
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="damaged, or not a database"):
        open_read_only(path, None)


def test_a_damaged_database_is_refused(data_dir: Path, cipher: NumberCipher) -> None:
    path = data_dir / "records.db"
    open_database(path, RECORDS, cipher).close()
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)  # the page that lists the tables
    path.write_bytes(content)
    assert "damaged, or not a database" in refusal(path, cipher)


def test_a_folder_in_its_place_is_refused(data_dir: Path, cipher: NumberCipher) -> None:
    (data_dir / "records.db").mkdir()
    assert "unable to open database file" in refusal(data_dir / "records.db", cipher)


def test_a_missing_folder_is_refused(data_dir: Path, cipher: NumberCipher) -> None:
    assert "no such folder" in refusal(data_dir / "gone" / "records.db", cipher)


def test_an_unwritable_folder_is_refused(data_dir: Path, cipher: NumberCipher, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def access(path: Path, mode: int) -> bool:  # the tests may run as root, whom no mode stops
        asked.append(path)
        assert mode == os.W_OK
        return False

    monkeypatch.setattr(os, "access", access)
    assert "not writable" in refusal(data_dir / "records.db", cipher)
    (data_dir / "records.db").touch()
    assert "not writable" in refusal(data_dir / "records.db", cipher)
    assert asked == [data_dir, data_dir / "records.db"]


def test_a_missing_file_cannot_be_read(data_dir: Path) -> None:
    with pytest.raises(StoreError, match=r"records\.db: no such file"):
        open_read_only(data_dir / "records.db", None)


def test_a_reader_cannot_write(data_dir: Path, cipher: NumberCipher) -> None:
    path = data_dir / "records.db"
    open_database(path, RECORDS, cipher).close()
    connection = open_read_only(path, None)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO counter VALUES ('n', '2026-11-24', 1, 1)")
    connection.close()


def test_a_name_with_odd_characters_can_be_read(tmp_path: Path, cipher: NumberCipher) -> None:
    folder = tmp_path / "a?b#c%41 d"
    folder.mkdir()
    open_database(folder / "records.db", RECORDS, cipher).close()
    connection = open_read_only(folder / "records.db", cipher)
    assert connection.execute("SELECT count(*) FROM cdr").fetchone() == (0,)
    connection.close()


def test_steps_run_once_each_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.001.sql").write_text("CREATE TABLE one (a);\n")
    (tmp_path / "x.002.sql").write_text("ALTER TABLE one ADD COLUMN b;\nINSERT INTO one VALUES (1, 2);\n")
    monkeypatch.setattr(database, "_SCHEMA", tmp_path)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, "x")
    migrate(connection, "x")
    assert connection.execute("SELECT a, b FROM one").fetchall() == [(1, 2)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_step_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.001.sql").write_text("CREATE TABLE one (a);\nCREATE TABLE one (a);\n")
    monkeypatch.setattr(database, "_SCHEMA", tmp_path)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, "x")
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    assert not connection.in_transaction
    connection.close()


def test_only_one_writes_records(records_db: Path) -> None:
    lock = lock_records(records_db)
    with pytest.raises(StoreError, match="another node is running on this folder"):
        lock_records(records_db)
    os.close(lock)
    os.close(lock_records(records_db))
