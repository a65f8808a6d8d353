"""Whoever had overheard an INVITE could answer it: a response was matched by its branch, from whatever address."""

from __future__ import annotations

import pytest

from tests.core.corenode import CALLEE, CALLEE2, CALLER, STRANGER, CoreNode
from tests.core.parties import answer, start, trying


@pytest.mark.parametrize("source", [STRANGER, CALLER])
def test_answer_of_another_host_is_none(source: str) -> None:
    node = CoreNode()
    sent = start(node)
    trying(node, sent)
    node.book.wire_in(answer(sent, 486), source)
    node.book.silence()
    assert node.context.transactions.counters["stray_responses"] == 1
    node.book.wire_in(answer(sent, 486), CALLEE2)  # another address of the same trunk
    node.book.wire_out("ACK ", CALLEE)
    refused = node.book.wire_out("SIP/2.0 486", CALLER)
    assert refused.status == 486
