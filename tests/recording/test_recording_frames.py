"""Frames are put together from a stream, however that was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recording.frames import (
    DONE,
    DURABLE,
    FAULTS,
    HEAD_BYTES,
    LAST,
    MORE_KEPT,
    STEPS,
    Reader,
    content_of,
    done,
    figures_of,
    kind_and_length,
    steps_frame,
    told,
)

SENT = [
    (steps_frame([b"one", b"another"], MORE_KEPT), (STEPS, MORE_KEPT, 2, b"oneanother")),
    (steps_frame([b"x" * 70_000], LAST), (STEPS, LAST, 1, b"x" * 70_000)),
    (steps_frame([b""], 0), (STEPS, 0, 1, b"")),
    (done(300, True, 1 << 40, 2, 3), (DONE, DURABLE, 300, done(300, True, 1 << 40, 2, 3)[HEAD_BYTES:])),
    (told(FAULTS, ("a", "", "b")), (FAULTS, 0, 0, told(FAULTS, ("a", "", "b"))[HEAD_BYTES:])),
]


def read_with(reader: Reader, data: bytes) -> list[tuple[int, int, int, bytes]]:
    reader.add(data)
    found = []
    while reader.next():
        found.append((reader.kind, reader.flags, reader.steps, reader.content))
    return found


@given(sent=st.lists(st.sampled_from(SENT), max_size=6), cuts=st.lists(st.integers(0, 400_000), max_size=8))
def test_a_stream_may_be_cut_anywhere(sent: list[tuple[bytes, tuple[int, int, int, bytes]]], cuts: list[int]) -> None:
    stream = b"".join(data for data, _ in sent)
    ends = [*sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    reader, found, at = Reader(), [], 0
    for end in ends:
        found += read_with(reader, stream[at:end])
        at = end
    assert found == [frame for _, frame in sent]


@pytest.mark.parametrize("is_durable", [True, False])
def test_an_outcome_has_the_figures(is_durable: bool) -> None:
    reader = Reader()
    ((kind, flags, steps, content),) = read_with(reader, done(7, is_durable, (1 << 64) - 1, 0, 12))
    assert (kind, bool(flags & DURABLE), steps, figures_of(content)) == (DONE, is_durable, 7, ((1 << 64) - 1, 0, 12))
    assert not reader.next()


def test_what_is_told_comes_back() -> None:
    frame = told(FAULTS, ("why", "", "x" * 500))
    assert kind_and_length(frame[:HEAD_BYTES]) == (FAULTS, len(frame) - HEAD_BYTES)
    assert content_of(frame[HEAD_BYTES:]) == ("why", "", "x" * 500)
