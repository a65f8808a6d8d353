"""Segments that somebody has put there: a start says what it does not read, and goes on."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final
from zlib import crc32

import pytest

from engine.core.records import Step
from engine.store.crypto import NumberCipher
from engine.store.segment import UNKNOWN_END, SegmentHead
from tests.store.test_store_journal import MakeRecord, Run

GOOD_HEAD: Final = SegmentHead(1, "n", "b", 1, "k", "0000", UNKNOWN_END).encoded().partition(b"{")[2]


@pytest.fixture
def run(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Run:
    return Run(records_db, cipher, make_record)


@pytest.mark.parametrize(
    "description",
    [
        b"[1]", b"{", b"\xff\xfe", b"[" * 4000, b"{}", b'{"format":1}', b'{"format":1,"salt":5}',
        b"{" + GOOD_HEAD.replace(b'"epoch"', b'"age"'), b"{" + GOOD_HEAD.replace(b"-1", b'"x"'),
        b"{" + GOOD_HEAD.replace(b"0000", b"\\ud800"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [1, 2])
def test_whatever_a_head_says_a_start_goes_on(run: Run, description: bytes, number: int) -> None:
    """Its sum is no secret: anybody who may write there can make one that is right."""
    for record_id in "ab":
        run.group((Step.CLOSE, record_id))
        run.journal.begin()
    run.journal.close()
    head = struct.pack("<8sII", b"VEIL700J", len(description), crc32(description))
    run.segment(number).write_bytes(head + description)
    assert run.recover()[0] == f"journal segment {number}: cannot be read: its head is damaged"
    assert run.ended == ["b" if number == 1 else "a"]


def test_a_segment_under_another_number_is_none(run: Run) -> None:
    """It would be loaded once more: its groups open wherever the whole of it is put."""
    run.group((Step.CLOSE, "a"))
    run.journal.begin()
    run.group((Step.CLOSE, "b"))
    run.journal.close()
    run.segment(3).write_bytes(run.segment(1).read_bytes())
    assert run.recover() == ["journal segment 3: cannot be read: it was written as segment 1"]
    assert run.ended == ["a", "b"]
