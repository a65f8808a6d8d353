"""Where the kernel or the file system takes no RWF_DSYNC, a node could write no journal and refused every call."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.core.records import CallRecord, Step
from engine.store.crypto import open_key
from tests.store.desk import NOW_S, Desk


def _record(record_id: str) -> CallRecord:
    record = CallRecord(record_id, "veil-1", "voice")
    record.call_time = NOW_S
    return record


def test_it_is_flushed_in_a_call_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    flush = os.fdatasync

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "pwritev", refuse)
    monkeypatch.setattr(os, "fdatasync", lambda file: (flush(file), flushed.append(file)))
    desk = Desk(tmp_path / "records.db", open_key(tmp_path), _record)
    desk.writer.start()
    desk.close_many("a")
    assert desk.outcomes(1) == {(Step.CLOSE, "a"): True}
    desk.writer.stop()
    assert len(flushed) == 1
    assert desk.stored() == ["a"]
