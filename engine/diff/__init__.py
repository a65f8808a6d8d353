"""What another configuration would change: every distinct call of a corpus decided under both; nothing is written."""

from __future__ import annotations

from engine.diff.captured import is_masked, of_capture
from engine.diff.changes import Change, Differences, Group
from engine.diff.compare import compare
from engine.diff.corpus import Corpus, CorpusFault, of_export, of_numbers, of_records

__all__ = [
    "Change", "Corpus", "CorpusFault", "Differences", "Group", "compare", "is_masked", "of_capture", "of_export",
    "of_numbers", "of_records",
]  # fmt: skip
