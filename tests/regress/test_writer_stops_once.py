"""A writer that ended while it was being stopped was closed twice: Bad file descriptor, exit 1 on SIGTERM."""

from __future__ import annotations

from pathlib import Path

from engine.store.crypto import open_key
from tests.store.writing import RecordWriter


def test_stopping_a_writer_that_has_just_been_stopped(tmp_path: Path) -> None:
    cipher = open_key(tmp_path)
    writer = RecordWriter(tmp_path / "records.db", cipher, "veil-1", "boot", 0.0, lambda done: None)
    writer.start()
    writer.in_loop(writer.client.stop)
    writer.stop()
    assert writer.fault == ""
    again = RecordWriter(tmp_path / "records.db", cipher, "veil-1", "boot", 0.0, lambda done: None)
    again.stop()  # never started: closes by itself
