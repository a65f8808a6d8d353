"""Ended calls were rings of references: only a full collection freed them, and it stopped the node for 0.2 s."""

from __future__ import annotations

import gc

import pytest

from engine.core.attempt import AttemptBase, RequestOwner
from engine.core.pair import DialogPair
from sipstack.transaction import Transaction
from tests.core.corenode import CALLEE, CALLER, CoreNode
from tests.core.parties import Talk, answer, invite

PARTS = (AttemptBase, RequestOwner, DialogPair, Transaction)


def _parts_in_memory() -> list[str]:
    return sorted(type(found).__name__ for found in gc.get_objects() if isinstance(found, PARTS))


@pytest.mark.parametrize("status", [200, 486])
@pytest.mark.parametrize("updates", [False, True])
def test_an_ended_call_is_free_without_a_collection(status: int, updates: bool) -> None:
    gc.collect()
    before = _parts_in_memory()
    gc.disable()
    try:
        node = CoreNode()
        node.book.wire_in(invite(extra="Expires: 3600"), CALLER)
        node.book.wire_out("SIP/2.0 100", CALLER)
        sent = node.book.wire_out("INVITE ", CALLEE)
        node.book.wire_in(answer(sent, 180), CALLEE)
        if updates:
            node.book.wire_out("SIP/2.0 180", CALLER)
            Talk(node, sent, sent).from_callee("UPDATE")
        node.book.wire_in(answer(sent, status), CALLEE)
        assert _parts_in_memory() != before
        node.book.at(200)  # nobody acknowledges: 64*T1 to give up, and as long again to forget
        node.decided.clear()  # what the rig itself remembers
        node.steps.clear()
        node.stored.clear()
        node.book.log.clear()
        node.book.sent.clear()
        del sent
        assert _parts_in_memory() == before
    finally:
        gc.enable()
