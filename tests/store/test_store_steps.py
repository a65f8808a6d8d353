"""Steps as groups of the journal hold them: what is decoded of them, and what an older program has written."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from engine.core.records import CallRecord, Step
from engine.store import journal, loader
from engine.store.crypto import NumberCipher
from engine.store.segment import SegmentHead, StoredStep, decoded_step, encoded_step, kind_and_record
from tests.store.test_store_journal import Run


@pytest.fixture
def run(records_db: Path, cipher: NumberCipher, make_record: Callable[..., CallRecord]) -> Run:
    return Run(records_db, cipher, make_record)


@pytest.mark.pure
def test_what_an_older_program_has_left_is_loaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SegmentHead", partial(SegmentHead, format=1))
    wanted = (Step.OPEN, "a"), (Step.OPEN, "b"), (Step.ANSWER, "a"), (Step.CLOSE, "b")
    run.journal.append([marshal.dumps(run.step(step, of), 2) for step, of in wanted], len(wanted))
    assert run.recover() == []
    assert (run.opened, run.ended) == (["a"], ["b"])


@pytest.mark.pure
def test_of_an_attempt_that_has_ended_only_the_end_is_decoded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []

    def noting(step: bytes) -> StoredStep:
        found = decoded_step(step)
        decoded.append((found[0], found[1][0]))
        return found

    monkeypatch.setattr(loader, "decoded_step", noting)
    run.group((Step.OPEN, "a"), (Step.OPEN, "b"), (Step.ANSWER, "a"))
    run.group((Step.CHANGE, "a"), (Step.CLOSE, "a"))
    assert run.recover() == []
    assert (run.opened, run.ended) == (["b"], ["a"])
    assert decoded == [(Step.OPEN, "b"), (Step.CLOSE, "a")]


@pytest.mark.parametrize("kind", [0, 4, 255, 256, 2**16, 2**24])
@pytest.mark.parametrize("record_id", ["", "r", "x" * 255, "x" * 256, "x" * 2**16, "x" * 2**24, "中" * 90_000], ids=len)
def test_kind_and_record_of_a_step(kind: int, record_id: str) -> None:
    step = marshal.loads(encoded_step(kind, (record_id, "node"), None))
    assert kind_and_record(step) == (kind, record_id.encode())
    assert decoded_step(step)[:2] == (kind, (record_id, "node"))


@pytest.mark.parametrize(
    "step", [b"(\x03\0\0\0i", marshal.dumps((1.5, ("a",), None), 2), marshal.dumps((1, (2,), None), 2)]
)
def test_what_does_not_begin_as_a_step_is_none(step: bytes) -> None:
    with pytest.raises(ValueError, match="not a step"):
        kind_and_record(step)
