"""A place in the journal that cannot be read was a traceback, of a start and of an export."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.unread import tell_what_waits
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database
from engine.store.errors import StoreError
from engine.store.records import GroupWriter
from engine.store.signing import open_signing_key
from engine.store.verify import verify
from tests.store.writing import recover


def test_it_is_told_in_a_line(tmp_path: Path) -> None:
    path, cipher = tmp_path / "records.db", open_key(tmp_path)
    open_signing_key(tmp_path)
    connection: sqlite3.Connection = open_database(path, RECORDS, cipher)
    connection.execute("INSERT INTO meta VALUES ('journal', 'far')")
    connection.close()
    looks: tuple[Callable[[], object], ...] = (
        lambda: recover(path, cipher),
        lambda: GroupWriter(path, cipher, "veil-1", "boot"),
        lambda: verify(path),
        lambda: tell_what_waits(path),
    )
    for look in looks:
        with pytest.raises(StoreError, match=r"^records\.db: damaged: it does not say how far the journal is in it$"):
            look()
