"""Opening the two databases: pragmas, schema, key check, and errors in one clear line.

Every connection runs in autocommit (`isolation_level=None`): transactions are written out where they are
meant.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError

BINDINGS: Final = "bindings"
RECORDS: Final = "records"

TOOL_BUSY_MS: Final = 5000  # so long a command or the API waits for another writer before it says so
WAL_KEPT_BYTES: Final = 64 * 1024 * 1024  # after a large import the log shrinks back to this

_SCHEMA: Final = Path(__file__).with_name("schema")


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what sqlite3 raises inside into a StoreError that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {reason(error)}") from error


def reason(error: sqlite3.Error) -> str:
    """What a person can do something about, else sqlite's own words on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "not a database" in text or "malformed" in text:
        return f"damaged, or not a database ({text})"
    if "locked" in text:
        return f"busy: another process is writing to it ({text})"
    return text


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is done inside is committed at the end, or nothing of it where something raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def open_database(
    path: Path, name: str, cipher: NumberCipher, *, busy_ms: int = TOOL_BUSY_MS, any_thread: bool = False
) -> sqlite3.Connection:
    """A connection for reading and writing: file made and schema brought up to date when needed.

    `name` is BINDINGS or RECORDS; `any_thread` allows use in another thread than this one. StoreError when
    the folder or the file cannot be used, when the schema is newer than this program, or when the data was
    written under another key.
    """
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent}: no such folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise StoreError(f"{path}: not writable")
    _make(path)
    with store_errors(path):
        connection = sqlite3.connect(
            path, timeout=busy_ms / 1000.0, isolation_level=None, check_same_thread=not any_thread
        )
        try:
            _set_up(connection, path)
            migrate(connection, name)
            if _key_of(connection) is None:  # the first key that opens the data stays its key
                connection.execute("INSERT OR IGNORE INTO meta VALUES ('key_id', ?)", (cipher.key_id,))
            _compare_key(connection, path, cipher)
        except BaseException:
            connection.close()
            raise
        return connection


def _make(path: Path) -> None:
    """The file, empty, when it is not there: for its owner only, as those that SQLite makes beside it are then."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass  # and it is not opened here: to close it again would let go of every lock that this process has on it
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None


def open_read_only(
    path: Path,
    cipher: NumberCipher | None,
    *,
    busy_ms: int = TOOL_BUSY_MS,
    any_thread: bool = False,
    at_rest: bool = False,
) -> sqlite3.Connection:
    """A connection that cannot write; `cipher` is None for what needs no key.

    SQLite makes the files -wal and -shm for it where there are none, and leaves them, unless `at_rest`: then nothing
    is made and nothing is locked, and what is read is right only while nobody else has the database open.
    StoreError when the file is missing, damaged, of another schema than this program's, or of another key.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    uri = f"{read_only_uri(path)}{'&immutable=1' if at_rest else ''}"
    with store_errors(path):
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_ms / 1000.0, isolation_level=None, check_same_thread=not any_thread
        )
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            known = len(_migrations(path.stem))
            if version != known:
                raise StoreError(f"{path}: schema version {version}, this program knows {known}")
            if cipher is not None:
                _compare_key(connection, path, cipher)
        except BaseException:
            connection.close()
            raise
        return connection


def read_only_uri(path: Path) -> str:
    """What SQLite opens such a connection by."""
    return f"file:{quote(str(path))}?mode=ro"


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring the schema of `name` up to date, one transaction per step; StoreError when it is newer."""
    steps = _migrations(name)
    version = _user_version(connection)
    if version > len(steps):
        raise StoreError(f"{name}.db: schema version {version} is newer than this program ({len(steps)})")
    while version < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _user_version(connection) == version:  # another process may have been faster
                for statement in _statements(steps[version].read_text(encoding="utf-8")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        version = _user_version(connection)


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise StoreError(f"{path}: this file system cannot hold a write-ahead log")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")


def _compare_key(connection: sqlite3.Connection, path: Path, cipher: NumberCipher) -> None:
    found = _key_of(connection)
    if found is not None and found != cipher.key_id:
        what = f"written with key {found}, but the key file holds {cipher.key_id}"
        raise StoreError(f"{path}: {what}: restore the key file")


def _key_of(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'key_id'").fetchone()
    return None if row is None else str(row[0])


def _migrations(name: str) -> list[Path]:
    """The steps in order: name.001.sql leads from nothing to version 1."""
    return sorted(_SCHEMA.glob(f"{name}.[0-9][0-9][0-9].sql"))


def _user_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """The single statements of a script: `executescript` would commit the transaction around them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
