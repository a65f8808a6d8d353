"""Of workers that began together one found bindings.db locked while another made it ready: no node started."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from engine.store.binding_reader import BindingReader
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database


def test_who_begins_waits_for_who_has_it_for_himself(tmp_path: Path) -> None:
    path, cipher = tmp_path / "bindings.db", open_key(tmp_path)
    open_database(path, BINDINGS, cipher).close()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN IMMEDIATE")
    letting_go = threading.Timer(0.1, other.close)
    letting_go.start()
    with closing(BindingReader(path, cipher)) as reader:
        assert reader._connection.execute("PRAGMA busy_timeout").fetchone()[0] == 0  # a call does not wait
    letting_go.join()
