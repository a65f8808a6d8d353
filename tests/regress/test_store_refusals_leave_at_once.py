"""A call whose answer met a stuck disk was refused after 5 s, and 5 s more for the record of the refusal."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.core.records import CallRecord, ReleaseCause, Step
from engine.store import records
from engine.store.crypto import open_key
from engine.store.records import RecordWriter


@pytest.mark.parametrize(
    ("cause", "is_taken"),
    [(ReleaseCause.INTERNAL, False), (ReleaseCause.BUSY, True), (ReleaseCause.NORMAL, True)],
)
def test_a_refusal_by_the_store_does_not_wait_for_it(tmp_path: Path, cause: ReleaseCause, is_taken: bool) -> None:
    writer = RecordWriter(tmp_path / "records.db", open_key(tmp_path), "veil-1", "boot", 0.0, lambda done: None)
    record = CallRecord("a-call-that-has-rung", "veil-1", "voice")
    record.call_time = record.call_out_time = record.ring_time = 1_795_482_123.0
    record.release_cause = cause.value
    writer._began_s = time.monotonic() - records.SLOW_S - 0.01
    assert writer.submit(Step.CLOSE, record.snapshot(), None, None) is is_taken
    writer.stop()
