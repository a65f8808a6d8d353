"""The hostile conversations, with a node that dies at any moment of them: the next run finds what was durable by then.

Whatever was answered is served on or ended on both sides, what was not is taken back, and every attempt that had left a
row has one record. What leaves is searched as ever: nothing that the first run knew of either side reaches the other.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.core.corenode import CoreNode
from tests.core.restart import restarted
from tests.core.test_hostile_conversations import COMMON, NO_SHRINK, Conversations


class Restarts(Conversations):
    """A core that dies now and then, its machine with it sometimes."""

    @rule(after_s=st.sampled_from((0.1, 1.0, 1.0, 5.0, 40.0)), machine=st.sampled_from((0, 0, 0, 1)))
    def dies(self, after_s: float, machine: int) -> None:
        durable, gives_up = self.node.durable, self.node.store_gives_up
        boot_id = f"{self.node.context.run.boot_id}'" if machine else ""
        self.node = restarted(self.node, self.policy_of_node, after_s, boot_id)
        CoreNode.made.remove(self.node)  # looked at here
        self.node.durable, self.node.store_gives_up = durable, gives_up
        self.look()


class TestRestarts(Restarts.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=100, stateful_step_count=40, derandomize=True, phases=NO_SHRINK, **COMMON)


@pytest.mark.long
@pytest.mark.timeout(900)
class TestManyRestarts(Restarts.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=1000, stateful_step_count=60, **COMMON)
