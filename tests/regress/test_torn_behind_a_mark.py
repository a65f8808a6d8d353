"""A group of which a power cut left its mark and its segment's number, and zeros behind them, read as a whole group of
no octets: nothing was lost, but the end of the journal was told to be damaged, and its segment was put aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.records import Step
from engine.store.crypto import NumberCipher
from engine.store.segment import END
from tests.store.test_store_journal import MakeRecord, Run


@pytest.mark.parametrize("reached", range(1, len(END) + 1))
def test_each_cut_in_the_head_of_a_group_is_told_as_torn(
    reached: int, records_db: Path, cipher: NumberCipher, make_record: MakeRecord
) -> None:
    run = Run(records_db, cipher, make_record)
    run.group((Step.CLOSE, "a"))
    run.group((Step.CLOSE, "b"))
    begins, ends = run.ends
    run.spoil(begins + reached, bytes(ends - begins - reached))
    [note] = run.recover()
    assert "the last" in note and "dropped" in note
    assert run.ended == ["a"]
