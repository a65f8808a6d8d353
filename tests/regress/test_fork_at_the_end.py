"""A fork answered just before its INVITE was forgotten: the copy of its 2xx came after that, and got a second BYE."""

from __future__ import annotations

import pytest

from tests.core.test_crossings import one_call


@pytest.mark.parametrize(
    ("seed", "end"), [(4086, "INTERNAL by platform"), (4630, "CALLER_CANCEL by caller")], ids=["refused", "cancelled"]
)
def test_a_fork_is_told_of_its_end_once(seed: int, end: str) -> None:
    assert one_call(seed) == end
