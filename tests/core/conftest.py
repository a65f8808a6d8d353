"""Every conversation ends at rest: nothing kept, nothing crossed, nothing that cannot be, one record per attempt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.corenode import CoreNode


@pytest.fixture(autouse=True)
def every_node_comes_to_rest() -> Iterator[None]:
    CoreNode.made.clear()
    yield
    for node in CoreNode.made:
        node.assert_rests()
    CoreNode.made.clear()
