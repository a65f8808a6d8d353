"""A worker that began when the journal had just come back was not told what it had left until somebody wrote a step."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from engine.store.crypto import open_key
from engine.store.journal import segment_numbers
from engine.store.records import GroupWriter
from tests.store.desk import PATIENCE_S


def test_what_is_left_is_told_though_nothing_stands_in_the_segment(tmp_path: Path) -> None:
    writer = GroupWriter(tmp_path / "records.db", open_key(tmp_path), "veil-1", "boot")
    is_told = threading.Event()
    try:
        writer.start(lambda at, last: None, lambda fault: None)
        writer._go_down(OSError("the disk was away"))
        end_s = time.monotonic() + PATIENCE_S
        while writer.fault and time.monotonic() < end_s:
            writer.retry()
            time.sleep(0.01)
        assert segment_numbers(tmp_path / "journal") == [1]
        assert writer.publish()
        writer.left_rows(0, 1, lambda rows, fault: is_told.set())
        assert is_told.wait(PATIENCE_S / 4)
    finally:
        writer.stop()
