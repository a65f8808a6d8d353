"""A call whose answer met a stuck disk was refused after 5 s, and 5 s more for the record of the refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.records import CallRecord, ReleaseCause, Step
from engine.recording import client
from engine.store.crypto import open_key
from tests.store.writing import RecordWriter


@pytest.mark.pure
@pytest.mark.parametrize(
    ("cause", "is_taken"),
    [(ReleaseCause.INTERNAL, False), (ReleaseCause.BUSY, True), (ReleaseCause.NORMAL, True)],
)
def test_a_refusal_by_the_store_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: ReleaseCause, is_taken: bool
) -> None:
    writer = RecordWriter(tmp_path / "records.db", open_key(tmp_path), "veil-1", "boot", 0.0, lambda done: None)
    record = CallRecord("a-call-that-has-rung", "veil-1", "voice")
    record.call_time = record.call_out_time = record.ring_time = 1_795_482_123.0
    record.release_cause = cause.value
    assert writer.submit(Step.OPEN, record.snapshot(), None, None)  # nobody looks at it
    monkeypatch.setattr(client, "SLOW_S", -1.0)
    assert writer.submit(Step.CLOSE, record.snapshot(), None, None) is is_taken
    writer.stop()
